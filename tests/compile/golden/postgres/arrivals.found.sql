-- How many there are.
SELECT
  COUNT(*) AS occurrences,
  CASE
    WHEN MIN(r.entered_at) < :ago_2592000
    THEN MIN(r.entered_at)
    ELSE :ago_2592000
  END AS seen_from
FROM tick_raw AS r
