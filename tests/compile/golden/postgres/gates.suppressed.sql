-- Addresses and persons that a channel is not used for.
CREATE TEMPORARY TABLE tick_suppressed AS
SELECT
  h.channel,
  h.address_hash,
  h.user_id,
  CASE WHEN h.lost_at >= COALESCE(h.mended_at, h.lost_at) THEN h.lost_at END AS lost_at,
  CASE
    WHEN h.refused_at >= COALESCE(h.returned_at, h.refused_at)
    THEN h.refused_at
  END AS refused_at
FROM (
  SELECT
    s.channel,
    s.address_hash,
    CASE WHEN s.address_hash IS NULL THEN s.user_id END AS user_id,
    MAX(
      CASE
        WHEN s.reason IN ('unregistered', 'hard_bounce') AND s.status = 'suppressed'
        THEN s.occurred_at
      END
    ) AS lost_at,
    MAX(
      CASE
        WHEN s.reason IN ('unregistered', 'hard_bounce') AND s.status = 'released'
        THEN s.occurred_at
      END
    ) AS mended_at,
    MAX(
      CASE
        WHEN s.reason IN ('opted_out', 'complained') AND s.status = 'suppressed'
        THEN s.occurred_at
      END
    ) AS refused_at,
    MAX(
      CASE
        WHEN s.reason IN ('opted_out', 'complained') AND s.status = 'released'
        THEN s.occurred_at
      END
    ) AS returned_at
  FROM "activate".suppressions AS s
  GROUP BY
    s.channel,
    s.address_hash,
    CASE WHEN s.address_hash IS NULL THEN s.user_id END
) AS h
WHERE
  h.lost_at >= COALESCE(h.mended_at, h.lost_at)
  OR h.refused_at >= COALESCE(h.returned_at, h.refused_at)
