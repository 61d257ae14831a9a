-- How many candidates one person has at most.
SELECT
  COALESCE(MAX(r.place), 1) AS last_round
FROM tick_ranked AS r
