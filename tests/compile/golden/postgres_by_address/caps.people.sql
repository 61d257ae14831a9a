-- The people that come as far as the caps.
CREATE TEMPORARY TABLE tick_people AS
SELECT
  g.user_id,
  COUNT(*) AS candidates,
  MAX(g.own_zone) AS own_zone
FROM (
  SELECT
    g.*
  FROM tick_gated AS g
  LEFT JOIN tick_superseded AS b
    ON b.entry_id = g.entry_id
  WHERE
    (
      g.verdict IS NULL AND g.expires_at > :now
    ) AND b.entry_id IS NULL
) AS g
GROUP BY
  g.user_id
