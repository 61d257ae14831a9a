-- Too late, not in the audience, or at a wrong time of the day.
CREATE TEMPORARY TABLE tick_screened AS
SELECT
  n.*,
  CASE
    WHEN n.is_late
    THEN 'trigger_too_late'
    WHEN NOT m.entry_id IS NULL
    THEN 'not_in_audience'
    WHEN NOT o.entry_id IS NULL
    THEN 'triggered_outside_window'
  END AS reason
FROM tick_new AS n
LEFT JOIN tick_door_misfits AS m
  ON m.entry_id = n.entry_id
LEFT JOIN tick_door_outside AS o
  ON o.entry_id = n.entry_id
