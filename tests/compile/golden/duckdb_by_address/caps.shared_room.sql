-- What caps by address count already.
CREATE TEMPORARY TABLE tick_shared_room AS
SELECT
  u.share,
  u.channel,
  u.own_zone,
  SUM(CASE WHEN m.channel = 'email' AND m.queued_at > :ago_604800 THEN 1 ELSE 0 END) AS n_1,
  SUM(CASE WHEN m.channel = 'push' AND m.queued_at >= z.day THEN 1 ELSE 0 END) AS n_2
FROM "activate".messages AS m
JOIN tick_sharers AS u
  ON u.user_id = m.user_id
LEFT JOIN (
  SELECT
    v.message_id
  FROM "activate".deliveries AS v
  WHERE
    v.final AND v.status IN ('rejected', 'failed', 'aborted', 'expired')
) AS r
  ON r.message_id = m.message_id
JOIN tick_zones AS z
  ON z.zone = COALESCE(u.own_zone, 'Europe/Berlin')
WHERE
  (
    m.queued_at > :ago_604800 AND m.counts_toward_caps AND r.message_id IS NULL
  )
  AND m.channel = u.channel
GROUP BY
  u.share,
  u.channel,
  u.own_zone
