-- Occurrences of people outside the audience.
CREATE TEMPORARY TABLE tick_door_misfits AS
SELECT DISTINCT
  n.entry_id
FROM tick_new AS n
JOIN tick_requirements AS q
  ON q.campaign = n.campaign AND q.at_door
LEFT JOIN tick_members AS m
  ON m.segment = q.segment AND m.user_id = n.user_id
WHERE
  q.must <> (
    m.user_id IS NOT NULL
  )
