-- Each person's first candidate against the past.
INSERT INTO tick_capped (
  entry_id,
  cap,
  observed,
  evidence
)
SELECT
  g.entry_id,
  CASE
    WHEN s.cap_0 AND COALESCE(h.n_0, 0) >= 2
    THEN 0
    WHEN (
      s.cap_1 AND g.channel = 'email'
    ) AND COALESCE(h.n_1, 0) >= 1
    THEN 1
    WHEN (
      s.cap_2 AND g.channel = 'push'
    ) AND COALESCE(h.n_2, 0) >= 3
    THEN 2
  END,
  CASE
    WHEN s.cap_0 AND COALESCE(h.n_0, 0) >= 2
    THEN COALESCE(h.n_0, 0)
    WHEN (
      s.cap_1 AND g.channel = 'email'
    ) AND COALESCE(h.n_1, 0) >= 1
    THEN COALESCE(h.n_1, 0)
    WHEN (
      s.cap_2 AND g.channel = 'push'
    ) AND COALESCE(h.n_2, 0) >= 3
    THEN COALESCE(h.n_2, 0)
  END,
  CAST(NULL AS TEXT)
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
JOIN tick_steps AS s
  ON s.step_id = g.step_id
INNER JOIN tick_room AS h
  ON h.user_id = g.user_id
LEFT JOIN tick_ranked AS r
  ON r.entry_id = g.entry_id
WHERE
  (
    NOT s.is_transactional
    AND (
      (
        s.cap_0 AND COALESCE(h.n_0, 0) >= 2
      )
      OR (
        (
          s.cap_1 AND g.channel = 'email'
        ) AND COALESCE(h.n_1, 0) >= 1
      )
      OR (
        (
          s.cap_2 AND g.channel = 'push'
        ) AND COALESCE(h.n_2, 0) >= 3
      )
    )
  )
  AND r.place IS NULL
