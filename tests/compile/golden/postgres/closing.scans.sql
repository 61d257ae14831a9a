-- Remember how far each campaign has read.
INSERT INTO "activate".scans (
  campaign,
  scanned_to,
  decided_at,
  live_from,
  run_id
)
SELECT
  c.campaign,
  CASE WHEN p.campaign IS NULL THEN k.scanned_to ELSE :now END,
  :now,
  COALESCE(MIN(o.recorded_at), :now),
  :run_id
FROM (
  SELECT DISTINCT
    s.campaign
  FROM tick_steps AS s
) AS c
LEFT JOIN tick_doors AS p
  ON p.campaign = c.campaign
LEFT JOIN (
  SELECT
    a.campaign,
    MAX(a.scanned_to) AS scanned_to
  FROM "activate".scans AS a
  GROUP BY
    a.campaign
) AS k
  ON k.campaign = c.campaign
LEFT JOIN (
  SELECT
    e.campaign,
    MIN(e.recorded_at) AS recorded_at
  FROM (
    SELECT
      o.campaign,
      o.recorded_at
    FROM (
      SELECT
        e.entry_id,
        e.user_id,
        e.campaign,
        e.entered_at,
        e.recorded_at,
        e.variant,
        e.control_group,
        s.step_id,
        COALESCE(f.decided_at, e.entered_at) AS anchor,
        f.decided_at
      FROM "activate".entries AS e
      LEFT JOIN tick_progress AS f
        ON f.entry_id = e.entry_id
      JOIN tick_steps AS s
        ON s.campaign = e.campaign
        AND s.campaign_version = e.campaign_version
        AND s.step = COALESCE(f.step, 0) + 1
      WHERE
        e.recorded_at >= :live_from AND COALESCE(f.ended, 0) = 0
    ) AS o
    LEFT JOIN tick_gated AS g
      ON g.entry_id = o.entry_id
    WHERE
      g.entry_id IS NULL
  ) AS e
  GROUP BY
    e.campaign
  UNION ALL
  SELECT
    s.campaign,
    MIN(g.recorded_at) AS recorded_at
  FROM tick_gated AS g
  JOIN tick_steps AS s
    ON s.step_id = g.step_id
  WHERE
    NOT s.is_last
    OR g.verdict = 17
    OR s.wait_if_capped
    OR s.campaign IN (
      SELECT
        q.campaign
      FROM tick_guards AS q
    )
  GROUP BY
    s.campaign
) AS o
  ON o.campaign = c.campaign
GROUP BY
  c.campaign,
  p.campaign,
  k.scanned_to
