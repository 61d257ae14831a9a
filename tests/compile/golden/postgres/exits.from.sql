-- How far back exception events matter.
SELECT
  COALESCE(MIN(e.entered_at), :now) AS entered_from
FROM "activate".entries AS e
WHERE
  e.recorded_at >= :live_from
