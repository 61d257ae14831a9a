-- Room for the occurrences.
CREATE TEMPORARY TABLE tick_raw AS
SELECT
  CAST(NULL AS TEXT) AS campaign,
  CAST(NULL AS TEXT) AS user_id,
  CAST(NULL AS TEXT) AS occurrence_id,
  CAST(NULL AS TIMESTAMP) AS entered_at,
  CAST(NULL AS TIMESTAMP) AS visible_at,
  CAST(NULL AS BOOLEAN) AS is_late,
  CAST(NULL AS TEXT) AS match_key,
  CAST(NULL AS TEXT) AS context
WHERE
  FALSE
