-- How many candidates compete with another.
SELECT
  COUNT(*) AS last_round
FROM tick_ranked AS r
