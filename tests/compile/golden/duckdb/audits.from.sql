-- The earliest of them.
SELECT
  COUNT(*) AS late_events,
  COALESCE(MIN(v.happened_at), :now) AS late_from
FROM tick_late AS v
