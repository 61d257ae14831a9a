-- Entries whose segments no longer hold.
CREATE TEMPORARY TABLE tick_misfits AS
SELECT
  h.entry_id,
  h.verdict
FROM (
  SELECT
    e.entry_id,
    q.verdict,
    ROW_NUMBER() OVER (PARTITION BY e.entry_id ORDER BY q.place) AS place
  FROM "activate".entries AS e
  JOIN tick_requirements AS q
    ON q.campaign = e.campaign
    AND q.campaign_version = e.campaign_version
    AND NOT q.at_door
  LEFT JOIN tick_members AS m
    ON m.segment = q.segment AND m.user_id = e.user_id
  WHERE
    e.recorded_at >= :live_from AND q.must <> (
      NOT m.user_id IS NULL
    )
) AS h
WHERE
  h.place = 1
