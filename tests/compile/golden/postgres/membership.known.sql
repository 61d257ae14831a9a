-- Who was in each segment until now.
CREATE TEMPORARY TABLE tick_known AS
SELECT
  segment,
  user_id
FROM "activate".memberships
WHERE
  segment IN ('vip')
GROUP BY
  segment,
  user_id
HAVING
  SUM(CASE WHEN change = 'enter' THEN 1 ELSE -1 END) > 0
