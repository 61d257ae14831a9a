-- How many there are.
SELECT
  COUNT(*) AS occurrences,
  COALESCE(MIN(r.entered_at), :now) AS first_entered_at
FROM tick_raw AS r
