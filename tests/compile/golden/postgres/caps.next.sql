-- Each person's next candidate against the past and the rounds before.
INSERT INTO tick_capped (
  entry_id,
  cap,
  observed,
  evidence
)
SELECT
  g.entry_id,
  CASE
    WHEN s.cap_0 AND COALESCE(h.n_0, 0) + COALESCE(u.u_0, 0) >= 2
    THEN 0
    WHEN (
      s.cap_1 AND g.channel = 'push'
    )
    AND COALESCE(h.n_1, 0) + COALESCE(u.u_1, 0) >= 3
    THEN 1
    WHEN s.cap_2 AND COALESCE(h.n_2, 0) + COALESCE(u.u_2, 0) >= 1
    THEN 2
    WHEN s.cap_3 AND COALESCE(h.n_3, 0) + COALESCE(u.u_3, 0) >= 4
    THEN 3
    WHEN s.cap_4 AND COALESCE(h.n_4, 0) + COALESCE(u.u_4, 0) >= 1
    THEN 4
  END,
  CASE
    WHEN s.cap_0 AND COALESCE(h.n_0, 0) + COALESCE(u.u_0, 0) >= 2
    THEN COALESCE(h.n_0, 0) + COALESCE(u.u_0, 0)
    WHEN (
      s.cap_1 AND g.channel = 'push'
    )
    AND COALESCE(h.n_1, 0) + COALESCE(u.u_1, 0) >= 3
    THEN COALESCE(h.n_1, 0) + COALESCE(u.u_1, 0)
    WHEN s.cap_2 AND COALESCE(h.n_2, 0) + COALESCE(u.u_2, 0) >= 1
    THEN COALESCE(h.n_2, 0) + COALESCE(u.u_2, 0)
    WHEN s.cap_3 AND COALESCE(h.n_3, 0) + COALESCE(u.u_3, 0) >= 4
    THEN COALESCE(h.n_3, 0) + COALESCE(u.u_3, 0)
    WHEN s.cap_4 AND COALESCE(h.n_4, 0) + COALESCE(u.u_4, 0) >= 1
    THEN COALESCE(h.n_4, 0) + COALESCE(u.u_4, 0)
  END,
  CASE
    WHEN s.cap_0 AND COALESCE(h.n_0, 0) + COALESCE(u.u_0, 0) >= 2
    THEN u.e_0
    WHEN (
      s.cap_1 AND g.channel = 'push'
    )
    AND COALESCE(h.n_1, 0) + COALESCE(u.u_1, 0) >= 3
    THEN u.e_1
    WHEN s.cap_2 AND COALESCE(h.n_2, 0) + COALESCE(u.u_2, 0) >= 1
    THEN u.e_2
    WHEN s.cap_3 AND COALESCE(h.n_3, 0) + COALESCE(u.u_3, 0) >= 4
    THEN u.e_3
    WHEN s.cap_4 AND COALESCE(h.n_4, 0) + COALESCE(u.u_4, 0) >= 1
    THEN u.e_4
  END
FROM tick_ranked AS g
JOIN tick_steps AS s
  ON s.step_id = g.step_id
LEFT JOIN tick_room AS h
  ON h.user_id = g.user_id
LEFT JOIN (
  SELECT
    g.user_id,
    SUM(CASE WHEN s.cap_0 THEN 1 ELSE 0 END) AS u_0,
    MIN(CASE WHEN s.cap_0 THEN g.message_id END) AS e_0,
    SUM(CASE WHEN s.cap_1 AND g.channel = 'push' THEN 1 ELSE 0 END) AS u_1,
    MIN(CASE WHEN s.cap_1 AND g.channel = 'push' THEN g.message_id END) AS e_1,
    SUM(CASE WHEN s.cap_2 THEN 1 ELSE 0 END) AS u_2,
    MIN(CASE WHEN s.cap_2 THEN g.message_id END) AS e_2,
    SUM(CASE WHEN s.cap_3 THEN 1 ELSE 0 END) AS u_3,
    MIN(CASE WHEN s.cap_3 THEN g.message_id END) AS e_3,
    SUM(CASE WHEN s.cap_4 THEN 1 ELSE 0 END) AS u_4,
    MIN(CASE WHEN s.cap_4 THEN g.message_id END) AS e_4
  FROM tick_ranked AS g
  JOIN (
    SELECT
      t.user_id
    FROM tick_ranked AS t
    WHERE
      t.place = :round
  ) AS n
    ON n.user_id = g.user_id
  JOIN tick_steps AS s
    ON s.step_id = g.step_id
  LEFT JOIN tick_capped AS k
    ON k.entry_id = g.entry_id
  WHERE
    g.place < :round AND k.entry_id IS NULL AND s.counts AND g.control_group IS NULL
  GROUP BY
    g.user_id
) AS u
  ON u.user_id = g.user_id
WHERE
  (
    NOT s.is_transactional
    AND (
      (
        s.cap_0 AND COALESCE(h.n_0, 0) + COALESCE(u.u_0, 0) >= 2
      )
      OR (
        (
          s.cap_1 AND g.channel = 'push'
        )
        AND COALESCE(h.n_1, 0) + COALESCE(u.u_1, 0) >= 3
      )
      OR (
        s.cap_2 AND COALESCE(h.n_2, 0) + COALESCE(u.u_2, 0) >= 1
      )
      OR (
        s.cap_3 AND COALESCE(h.n_3, 0) + COALESCE(u.u_3, 0) >= 4
      )
      OR (
        s.cap_4 AND COALESCE(h.n_4, 0) + COALESCE(u.u_4, 0) >= 1
      )
    )
  )
  AND g.place = :round
