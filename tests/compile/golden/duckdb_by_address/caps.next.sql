-- They, against the past and the rounds before.
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
      s.cap_1 AND g.channel = 'email'
    )
    AND CASE
      WHEN g.share IS NULL
      THEN COALESCE(h.n_1, 0) + COALESCE(u.u_1, 0)
      ELSE COALESCE(y.n_1, 0) + COALESCE(v.u_1, 0)
    END >= 1
    THEN 1
    WHEN (
      s.cap_2 AND g.channel = 'push'
    )
    AND CASE
      WHEN g.share IS NULL
      THEN COALESCE(h.n_2, 0) + COALESCE(u.u_2, 0)
      ELSE COALESCE(y.n_2, 0) + COALESCE(v.u_2, 0)
    END >= 3
    THEN 2
  END,
  CASE
    WHEN s.cap_0 AND COALESCE(h.n_0, 0) + COALESCE(u.u_0, 0) >= 2
    THEN COALESCE(h.n_0, 0) + COALESCE(u.u_0, 0)
    WHEN (
      s.cap_1 AND g.channel = 'email'
    )
    AND CASE
      WHEN g.share IS NULL
      THEN COALESCE(h.n_1, 0) + COALESCE(u.u_1, 0)
      ELSE COALESCE(y.n_1, 0) + COALESCE(v.u_1, 0)
    END >= 1
    THEN CASE
      WHEN g.share IS NULL
      THEN COALESCE(h.n_1, 0) + COALESCE(u.u_1, 0)
      ELSE COALESCE(y.n_1, 0) + COALESCE(v.u_1, 0)
    END
    WHEN (
      s.cap_2 AND g.channel = 'push'
    )
    AND CASE
      WHEN g.share IS NULL
      THEN COALESCE(h.n_2, 0) + COALESCE(u.u_2, 0)
      ELSE COALESCE(y.n_2, 0) + COALESCE(v.u_2, 0)
    END >= 3
    THEN CASE
      WHEN g.share IS NULL
      THEN COALESCE(h.n_2, 0) + COALESCE(u.u_2, 0)
      ELSE COALESCE(y.n_2, 0) + COALESCE(v.u_2, 0)
    END
  END,
  CASE
    WHEN s.cap_0 AND COALESCE(h.n_0, 0) + COALESCE(u.u_0, 0) >= 2
    THEN u.e_0
    WHEN (
      s.cap_1 AND g.channel = 'email'
    )
    AND CASE
      WHEN g.share IS NULL
      THEN COALESCE(h.n_1, 0) + COALESCE(u.u_1, 0)
      ELSE COALESCE(y.n_1, 0) + COALESCE(v.u_1, 0)
    END >= 1
    THEN CASE WHEN g.share IS NULL THEN u.e_1 ELSE v.e_1 END
    WHEN (
      s.cap_2 AND g.channel = 'push'
    )
    AND CASE
      WHEN g.share IS NULL
      THEN COALESCE(h.n_2, 0) + COALESCE(u.u_2, 0)
      ELSE COALESCE(y.n_2, 0) + COALESCE(v.u_2, 0)
    END >= 3
    THEN CASE WHEN g.share IS NULL THEN u.e_2 ELSE v.e_2 END
  END
FROM tick_ranked AS g
JOIN tick_turns AS o
  ON o.entry_id = g.entry_id AND o.turn = :round
JOIN tick_steps AS s
  ON s.step_id = g.step_id
LEFT JOIN tick_room AS h
  ON h.user_id = g.user_id
LEFT JOIN tick_shared_room AS y
  ON y.share = g.share
  AND y.channel = g.channel
  AND COALESCE(y.own_zone, '') = COALESCE(g.own_zone, '')
LEFT JOIN (
  SELECT
    g.user_id,
    SUM(CASE WHEN s.cap_0 THEN 1 ELSE 0 END) AS u_0,
    MIN(CASE WHEN s.cap_0 THEN g.message_id END) AS e_0,
    SUM(CASE WHEN s.cap_1 AND g.channel = 'email' THEN 1 ELSE 0 END) AS u_1,
    MIN(CASE WHEN s.cap_1 AND g.channel = 'email' THEN g.message_id END) AS e_1,
    SUM(CASE WHEN s.cap_2 AND g.channel = 'push' THEN 1 ELSE 0 END) AS u_2,
    MIN(CASE WHEN s.cap_2 AND g.channel = 'push' THEN g.message_id END) AS e_2
  FROM tick_ranked AS g
  JOIN tick_turns AS t
    ON t.entry_id = g.entry_id AND t.turn < :round
  JOIN tick_steps AS s
    ON s.step_id = g.step_id
  LEFT JOIN tick_capped AS k
    ON k.entry_id = g.entry_id
  WHERE
    k.entry_id IS NULL AND s.counts AND g.control_group IS NULL
  GROUP BY
    g.user_id
) AS u
  ON u.user_id = g.user_id
LEFT JOIN (
  SELECT
    g.share,
    g.channel,
    SUM(CASE WHEN s.cap_1 AND g.channel = 'email' THEN 1 ELSE 0 END) AS u_1,
    MIN(CASE WHEN s.cap_1 AND g.channel = 'email' THEN g.message_id END) AS e_1,
    SUM(CASE WHEN s.cap_2 AND g.channel = 'push' THEN 1 ELSE 0 END) AS u_2,
    MIN(CASE WHEN s.cap_2 AND g.channel = 'push' THEN g.message_id END) AS e_2
  FROM tick_ranked AS g
  JOIN tick_turns AS t
    ON t.entry_id = g.entry_id AND t.turn < :round
  JOIN tick_steps AS s
    ON s.step_id = g.step_id
  LEFT JOIN tick_capped AS k
    ON k.entry_id = g.entry_id
  WHERE
    k.entry_id IS NULL AND s.counts AND g.control_group IS NULL
  GROUP BY
    g.share,
    g.channel
) AS v
  ON v.share = g.share AND v.channel = g.channel
WHERE
  NOT s.is_transactional
  AND (
    (
      s.cap_0 AND COALESCE(h.n_0, 0) + COALESCE(u.u_0, 0) >= 2
    )
    OR (
      (
        s.cap_1 AND g.channel = 'email'
      )
      AND CASE
        WHEN g.share IS NULL
        THEN COALESCE(h.n_1, 0) + COALESCE(u.u_1, 0)
        ELSE COALESCE(y.n_1, 0) + COALESCE(v.u_1, 0)
      END >= 1
    )
    OR (
      (
        s.cap_2 AND g.channel = 'push'
      )
      AND CASE
        WHEN g.share IS NULL
        THEN COALESCE(h.n_2, 0) + COALESCE(u.u_2, 0)
        ELSE COALESCE(y.n_2, 0) + COALESCE(v.u_2, 0)
      END >= 3
    )
  )
