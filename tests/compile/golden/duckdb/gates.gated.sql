-- The candidates, and the first gate that does not pass.
CREATE TEMPORARY TABLE tick_gated AS
SELECT
  q.*,
  CASE
    WHEN q.verdict IS NULL
    THEN MD5(q.entry_id || '|' || CAST(q.step AS TEXT) || '|' || q.channel)
  END AS message_id
FROM (
  SELECT
    o.entry_id,
    o.user_id,
    o.step_id,
    o.variant,
    o.control_group,
    o.entered_at,
    o.recorded_at,
    s.step,
    z.zone AS own_zone,
    COALESCE(w.due_at, o.anchor + TO_SECONDS(s.wait_seconds)) AS due_at,
    CASE
      WHEN s.until < o.anchor + TO_SECONDS(s.expires_seconds)
      THEN s.until
      ELSE o.anchor + TO_SECONDS(s.expires_seconds)
    END AS expires_at,
    x.event_id AS exit_event_id,
    w2.closes_at AS send_by,
    w2.opens_at AS opens_at,
    CASE
      WHEN s.channel_0 = 'push'
      AND p.ok_0
      AND (
        (
          la0.lost_at IS NULL OR COALESCE(p.registered_0 > la0.lost_at, FALSE)
        )
        AND la0.refused_at IS NULL
      )
      THEN 'push'
      WHEN s.channel_0 = 'email'
      AND p.ok_1
      AND (
        la1.lost_at IS NULL AND (
          la1.refused_at IS NULL OR s.is_transactional
        )
      )
      AND (
        lu1.lost_at IS NULL AND (
          lu1.refused_at IS NULL OR s.is_transactional
        )
      )
      THEN 'email'
      WHEN s.channel_1 = 'push'
      AND p.ok_0
      AND (
        (
          la0.lost_at IS NULL OR COALESCE(p.registered_0 > la0.lost_at, FALSE)
        )
        AND la0.refused_at IS NULL
      )
      THEN 'push'
      WHEN s.channel_1 = 'email'
      AND p.ok_1
      AND (
        la1.lost_at IS NULL AND (
          la1.refused_at IS NULL OR s.is_transactional
        )
      )
      AND (
        lu1.lost_at IS NULL AND (
          lu1.refused_at IS NULL OR s.is_transactional
        )
      )
      THEN 'email'
    END AS channel,
    CAST(CASE
      WHEN (
        s.removed
      )
      THEN 5
      WHEN (
        s.until <= :now
      )
      THEN 4
      WHEN (
        NOT x.entry_id IS NULL
      )
      THEN 6
      WHEN (
        NOT m.entry_id IS NULL
      )
      THEN m.verdict
      WHEN (
        NOT u.user_id IS NULL
      )
      THEN 10
      WHEN (
        p.user_id IS NULL
      )
      THEN 9
      WHEN NOT CASE
        WHEN (
          (
            s.channel_0 = 'push' AND p.ok_0
          )
          OR (
            s.channel_0 = 'email' AND p.ok_1
          )
          OR (
            s.channel_1 = 'push' AND p.ok_0
          )
          OR (
            s.channel_1 = 'email' AND p.ok_1
          )
        )
        THEN TRUE
        ELSE FALSE
      END
      AND CASE
        WHEN (
          (
            s.channel_0 = 'push' AND p.has_0
          )
          OR (
            s.channel_0 = 'email' AND p.has_1
          )
          OR (
            s.channel_1 = 'push' AND p.has_0
          )
          OR (
            s.channel_1 = 'email' AND p.has_1
          )
        )
        THEN TRUE
        ELSE FALSE
      END
      THEN 12
      WHEN NOT CASE
        WHEN (
          (
            s.channel_0 = 'push' AND p.ok_0
          )
          OR (
            s.channel_0 = 'email' AND p.ok_1
          )
          OR (
            s.channel_1 = 'push' AND p.ok_0
          )
          OR (
            s.channel_1 = 'email' AND p.ok_1
          )
        )
        THEN TRUE
        ELSE FALSE
      END
      THEN 11
      WHEN NOT CASE
        WHEN (
          (
            s.channel_0 = 'push'
            AND p.ok_0
            AND (
              (
                la0.lost_at IS NULL OR COALESCE(p.registered_0 > la0.lost_at, FALSE)
              )
              AND la0.refused_at IS NULL
            )
          )
          OR (
            s.channel_0 = 'email'
            AND p.ok_1
            AND (
              la1.lost_at IS NULL AND (
                la1.refused_at IS NULL OR s.is_transactional
              )
            )
            AND (
              lu1.lost_at IS NULL AND (
                lu1.refused_at IS NULL OR s.is_transactional
              )
            )
          )
          OR (
            s.channel_1 = 'push'
            AND p.ok_0
            AND (
              (
                la0.lost_at IS NULL OR COALESCE(p.registered_0 > la0.lost_at, FALSE)
              )
              AND la0.refused_at IS NULL
            )
          )
          OR (
            s.channel_1 = 'email'
            AND p.ok_1
            AND (
              la1.lost_at IS NULL AND (
                la1.refused_at IS NULL OR s.is_transactional
              )
            )
            AND (
              lu1.lost_at IS NULL AND (
                lu1.refused_at IS NULL OR s.is_transactional
              )
            )
          )
        )
        THEN TRUE
        ELSE FALSE
      END
      THEN 13
      WHEN (
        s.suppress_unknown
        AND s.window_zone IS NULL
        AND z.zone IS NULL
        AND NOT s.window_id IS NULL
        AND COALESCE(p.time_zone, '') = ''
      )
      THEN 15
      WHEN (
        s.suppress_unknown
        AND s.window_zone IS NULL
        AND z.zone IS NULL
        AND NOT s.window_id IS NULL
      )
      THEN 16
      WHEN (
        w2.is_open OR s.window_id IS NULL
      )
      THEN NULL
      WHEN (
        s.drop_if_closed
      )
      THEN 18
      WHEN (
        w2.opens_at < CASE
          WHEN s.until < o.anchor + TO_SECONDS(s.expires_seconds)
          THEN s.until
          ELSE o.anchor + TO_SECONDS(s.expires_seconds)
        END
      )
      THEN 17
      ELSE 21
    END AS BIGINT) AS verdict
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
  JOIN tick_steps AS s
    ON s.step_id = o.step_id
  LEFT JOIN (
    SELECT
      q.*
    FROM (
      SELECT
        t."user_id" AS user_id,
        t."time_zone" AS time_zone,
        NOT t."push_token" IS NULL AND t."push_token" <> '' AS has_0,
        (
          NOT t."push_token" IS NULL AND t."push_token" <> ''
        )
        AND COALESCE(t."push_consent" IN ('opted_in', 'subscribed'), FALSE) AS ok_0,
        t."push_token" AS address_0,
        t."push_at" AT TIME ZONE 'UTC' AS registered_0,
        NOT t."email" IS NULL AND t."email" <> '' AS has_1,
        (
          NOT t."email" IS NULL AND t."email" <> ''
        )
        AND COALESCE(t."email_consent", FALSE) AS ok_1,
        t."email" AS address_1
      FROM "analytics"."profiles" AS t
    ) AS q
    LEFT JOIN tick_duplicates AS r
      ON r.user_id = q.user_id
    WHERE
      r.user_id IS NULL
  ) AS p
    ON p.user_id = o.user_id
  LEFT JOIN tick_zones AS z
    ON z.zone = p.time_zone
  LEFT JOIN tick_waits AS w
    ON w.wait_id = s.wait_id
    AND w.zone = COALESCE(z.zone, s.fallback_zone)
    AND o.anchor >= w.anchor_from
    AND o.anchor < w.anchor_until
  LEFT JOIN tick_duplicates AS u
    ON u.user_id = o.user_id
  LEFT JOIN tick_exits AS x
    ON x.entry_id = o.entry_id
  LEFT JOIN tick_misfits AS m
    ON m.entry_id = o.entry_id
  LEFT JOIN tick_suppressed AS la0
    ON la0.channel = 'push' AND la0.address_hash = SHA256(p.address_0)
  LEFT JOIN tick_suppressed AS la1
    ON la1.channel = 'email'
    AND la1.address_hash = SHA256(
      TRANSLATE(
        p.address_1,
        'ABCDEFGHIJKLMNOPQRSTUVWXYZ 	
 ',
        'abcdefghijklmnopqrstuvwxyz'
      )
    )
  LEFT JOIN tick_suppressed AS lu1
    ON lu1.channel = 'email' AND lu1.user_id = o.user_id
  LEFT JOIN tick_windows AS w2
    ON w2.window_id = s.window_id
    AND w2.zone = COALESCE(s.window_zone, z.zone, s.fallback_zone)
  WHERE
    (
      o.decided_at IS NULL OR o.decided_at < :now
    )
    AND (
      o.anchor <= s.due_before OR NOT w.due_at IS NULL
    )
) AS q
