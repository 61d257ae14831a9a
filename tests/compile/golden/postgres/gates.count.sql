-- How many candidates there are.
SELECT
  COUNT(*) AS candidates
FROM tick_gated AS g
