-- When there will be room again.
INSERT INTO tick_retry (
  entry_id,
  retry_at
)
SELECT
  a.entry_id,
  CASE
    WHEN MAX(CASE WHEN a.room_at IS NULL THEN 1 ELSE 0 END) = 0
    THEN MAX(a.room_at)
  END AS retry_at
FROM (
  SELECT
    *
  FROM (
    WITH candidates AS (
      SELECT
        g.entry_id,
        g.user_id,
        g.own_zone,
        COALESCE(r.place, 1) AS place,
        s.cap_0 AS applies
      FROM tick_capped AS k
      JOIN tick_gated AS g
        ON g.entry_id = k.entry_id
      JOIN tick_steps AS s
        ON s.step_id = g.step_id AND s.wait_if_capped
      LEFT JOIN tick_ranked AS r
        ON r.entry_id = g.entry_id
    ), people AS (
      SELECT DISTINCT
        c.user_id,
        c.own_zone
      FROM candidates AS c
    ), counted AS (
      SELECT
        c.entry_id,
        m.queued_at
      FROM "activate".messages AS m
      JOIN people AS u
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
      JOIN candidates AS c
        ON c.user_id = m.user_id AND c.applies
      WHERE
        (
          m.queued_at > :ago_2851200 AND m.counts_toward_caps AND r.message_id IS NULL
        )
        AND m.queued_at > :ago_86400
      UNION ALL
      SELECT
        c.entry_id,
        CAST(:now AS TIMESTAMP) AS queued_at
      FROM candidates AS c
      JOIN tick_ranked AS g
        ON g.user_id = c.user_id AND g.place < c.place
      JOIN tick_steps AS s
        ON s.step_id = g.step_id
      LEFT JOIN tick_capped AS k
        ON k.entry_id = g.entry_id
      WHERE
        c.applies
        AND k.entry_id IS NULL
        AND s.counts
        AND g.control_group IS NULL
        AND s.cap_0
    )
    SELECT
      n.entry_id,
      n.queued_at + TO_SECONDS(86400) AS room_at
    FROM (
      SELECT
        q.entry_id,
        q.queued_at,
        ROW_NUMBER() OVER (PARTITION BY q.entry_id ORDER BY q.queued_at DESC NULLS FIRST) AS place
      FROM counted AS q
    ) AS n
    JOIN candidates AS c
      ON c.entry_id = n.entry_id
    WHERE
      n.place = 2
  ) AS p
  UNION ALL
  SELECT
    *
  FROM (
    WITH candidates AS (
      SELECT
        g.entry_id,
        g.user_id,
        g.own_zone,
        COALESCE(r.place, 1) AS place,
        s.cap_1 AND g.channel = 'push' AS applies
      FROM tick_capped AS k
      JOIN tick_gated AS g
        ON g.entry_id = k.entry_id
      JOIN tick_steps AS s
        ON s.step_id = g.step_id AND s.wait_if_capped
      LEFT JOIN tick_ranked AS r
        ON r.entry_id = g.entry_id
    ), people AS (
      SELECT DISTINCT
        c.user_id,
        c.own_zone
      FROM candidates AS c
    ), counted AS (
      SELECT
        c.entry_id,
        m.queued_at
      FROM "activate".messages AS m
      JOIN people AS u
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
      JOIN candidates AS c
        ON c.user_id = m.user_id AND c.applies
      WHERE
        (
          m.queued_at > :ago_2851200 AND m.counts_toward_caps AND r.message_id IS NULL
        )
        AND m.channel = 'push'
        AND m.queued_at > :ago_604800
      UNION ALL
      SELECT
        c.entry_id,
        CAST(:now AS TIMESTAMP) AS queued_at
      FROM candidates AS c
      JOIN tick_ranked AS g
        ON g.user_id = c.user_id AND g.place < c.place
      JOIN tick_steps AS s
        ON s.step_id = g.step_id
      LEFT JOIN tick_capped AS k
        ON k.entry_id = g.entry_id
      WHERE
        c.applies
        AND k.entry_id IS NULL
        AND s.counts
        AND g.control_group IS NULL
        AND s.cap_1
        AND g.channel = 'push'
    )
    SELECT
      n.entry_id,
      n.queued_at + TO_SECONDS(604800) AS room_at
    FROM (
      SELECT
        q.entry_id,
        q.queued_at,
        ROW_NUMBER() OVER (PARTITION BY q.entry_id ORDER BY q.queued_at DESC NULLS FIRST) AS place
      FROM counted AS q
    ) AS n
    JOIN candidates AS c
      ON c.entry_id = n.entry_id
    WHERE
      n.place = 3
  ) AS p
  UNION ALL
  SELECT
    *
  FROM (
    WITH candidates AS (
      SELECT
        g.entry_id,
        g.user_id,
        g.own_zone,
        COALESCE(r.place, 1) AS place,
        s.cap_2 AS applies
      FROM tick_capped AS k
      JOIN tick_gated AS g
        ON g.entry_id = k.entry_id
      JOIN tick_steps AS s
        ON s.step_id = g.step_id AND s.wait_if_capped
      LEFT JOIN tick_ranked AS r
        ON r.entry_id = g.entry_id
    ), people AS (
      SELECT DISTINCT
        c.user_id,
        c.own_zone
      FROM candidates AS c
    ), counted AS (
      SELECT
        c.entry_id,
        m.queued_at
      FROM "activate".messages AS m
      JOIN people AS u
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
      JOIN candidates AS c
        ON c.user_id = m.user_id AND c.applies
      WHERE
        (
          m.queued_at > :ago_2851200 AND m.counts_toward_caps AND r.message_id IS NULL
        )
        AND STRPOS(m.tags, '"promotion"') > 0
        AND m.queued_at >= z.day
      UNION ALL
      SELECT
        c.entry_id,
        CAST(:now AS TIMESTAMP) AS queued_at
      FROM candidates AS c
      JOIN tick_ranked AS g
        ON g.user_id = c.user_id AND g.place < c.place
      JOIN tick_steps AS s
        ON s.step_id = g.step_id
      LEFT JOIN tick_capped AS k
        ON k.entry_id = g.entry_id
      WHERE
        c.applies
        AND k.entry_id IS NULL
        AND s.counts
        AND g.control_group IS NULL
        AND s.cap_2
    )
    SELECT
      n.entry_id,
      z.next_day AS room_at
    FROM (
      SELECT
        q.entry_id,
        q.queued_at,
        ROW_NUMBER() OVER (PARTITION BY q.entry_id ORDER BY q.queued_at DESC NULLS FIRST) AS place
      FROM counted AS q
    ) AS n
    JOIN candidates AS c
      ON c.entry_id = n.entry_id
    JOIN tick_zones AS z
      ON z.zone = COALESCE(c.own_zone, 'Europe/Berlin')
    WHERE
      n.place = 1
  ) AS p
  UNION ALL
  SELECT
    *
  FROM (
    WITH candidates AS (
      SELECT
        g.entry_id,
        g.user_id,
        g.own_zone,
        COALESCE(r.place, 1) AS place,
        s.cap_3 AS applies
      FROM tick_capped AS k
      JOIN tick_gated AS g
        ON g.entry_id = k.entry_id
      JOIN tick_steps AS s
        ON s.step_id = g.step_id AND s.wait_if_capped
      LEFT JOIN tick_ranked AS r
        ON r.entry_id = g.entry_id
    ), people AS (
      SELECT DISTINCT
        c.user_id,
        c.own_zone
      FROM candidates AS c
    ), counted AS (
      SELECT
        c.entry_id,
        m.queued_at
      FROM "activate".messages AS m
      JOIN people AS u
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
      JOIN candidates AS c
        ON c.user_id = m.user_id AND c.applies
      WHERE
        (
          m.queued_at > :ago_2851200 AND m.counts_toward_caps AND r.message_id IS NULL
        )
        AND m.class = 'marketing'
        AND m.queued_at >= z.month
      UNION ALL
      SELECT
        c.entry_id,
        CAST(:now AS TIMESTAMP) AS queued_at
      FROM candidates AS c
      JOIN tick_ranked AS g
        ON g.user_id = c.user_id AND g.place < c.place
      JOIN tick_steps AS s
        ON s.step_id = g.step_id
      LEFT JOIN tick_capped AS k
        ON k.entry_id = g.entry_id
      WHERE
        c.applies
        AND k.entry_id IS NULL
        AND s.counts
        AND g.control_group IS NULL
        AND s.cap_3
    )
    SELECT
      n.entry_id,
      z.next_month AS room_at
    FROM (
      SELECT
        q.entry_id,
        q.queued_at,
        ROW_NUMBER() OVER (PARTITION BY q.entry_id ORDER BY q.queued_at DESC NULLS FIRST) AS place
      FROM counted AS q
    ) AS n
    JOIN candidates AS c
      ON c.entry_id = n.entry_id
    JOIN tick_zones AS z
      ON z.zone = COALESCE(c.own_zone, 'Europe/Berlin')
    WHERE
      n.place = 4
  ) AS p
  UNION ALL
  SELECT
    *
  FROM (
    WITH candidates AS (
      SELECT
        g.entry_id,
        g.user_id,
        g.own_zone,
        COALESCE(r.place, 1) AS place,
        s.cap_4 AS applies
      FROM tick_capped AS k
      JOIN tick_gated AS g
        ON g.entry_id = k.entry_id
      JOIN tick_steps AS s
        ON s.step_id = g.step_id AND s.wait_if_capped
      LEFT JOIN tick_ranked AS r
        ON r.entry_id = g.entry_id
    ), people AS (
      SELECT DISTINCT
        c.user_id,
        c.own_zone
      FROM candidates AS c
    ), counted AS (
      SELECT
        c.entry_id,
        m.queued_at
      FROM "activate".messages AS m
      JOIN people AS u
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
      JOIN candidates AS c
        ON c.user_id = m.user_id AND c.applies
      WHERE
        (
          m.queued_at > :ago_2851200 AND m.counts_toward_caps AND r.message_id IS NULL
        )
        AND m.campaign = 'journey'
        AND m.queued_at >= z.week
      UNION ALL
      SELECT
        c.entry_id,
        CAST(:now AS TIMESTAMP) AS queued_at
      FROM candidates AS c
      JOIN tick_ranked AS g
        ON g.user_id = c.user_id AND g.place < c.place
      JOIN tick_steps AS s
        ON s.step_id = g.step_id
      LEFT JOIN tick_capped AS k
        ON k.entry_id = g.entry_id
      WHERE
        c.applies
        AND k.entry_id IS NULL
        AND s.counts
        AND g.control_group IS NULL
        AND s.cap_4
    )
    SELECT
      n.entry_id,
      z.next_week AS room_at
    FROM (
      SELECT
        q.entry_id,
        q.queued_at,
        ROW_NUMBER() OVER (PARTITION BY q.entry_id ORDER BY q.queued_at DESC NULLS FIRST) AS place
      FROM counted AS q
    ) AS n
    JOIN candidates AS c
      ON c.entry_id = n.entry_id
    JOIN tick_zones AS z
      ON z.zone = COALESCE(c.own_zone, 'Europe/Berlin')
    WHERE
      n.place = 1
  ) AS p
) AS a
GROUP BY
  a.entry_id
