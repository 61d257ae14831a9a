-- The same by the candidates' zones.
CREATE TEMPORARY TABLE tick_sharers AS
SELECT
  w.user_id,
  w.channel,
  w.share,
  c.own_zone
FROM tick_sharing AS w
JOIN (
  SELECT DISTINCT
    x.share,
    x.channel,
    g.own_zone
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
  JOIN tick_sharing AS x
    ON x.user_id = g.user_id AND x.channel = g.channel
) AS c
  ON c.share = w.share AND c.channel = w.channel
