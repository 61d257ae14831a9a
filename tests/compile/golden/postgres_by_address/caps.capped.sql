-- Room for the refused.
CREATE TEMPORARY TABLE tick_capped AS
SELECT
  CAST(NULL AS TEXT) AS entry_id,
  CAST(NULL AS BIGINT) AS cap,
  CAST(NULL AS BIGINT) AS observed,
  CAST(NULL AS TEXT) AS evidence
WHERE
  FALSE
