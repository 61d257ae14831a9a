-- Room for who waits.
CREATE TEMPORARY TABLE tick_retry AS
SELECT
  CAST(NULL AS TEXT) AS entry_id,
  CAST(NULL AS TIMESTAMP) AS retry_at
WHERE
  FALSE
