-- Who shares an address with a candidate.
CREATE TEMPORARY TABLE tick_sharing AS
SELECT
  a.user_id,
  a.channel,
  a.share
FROM (
  SELECT
    b.user_id,
    b.channel,
    MIN(b.user_id) OVER (PARTITION BY b.channel, b.address) AS share,
    COUNT(*) OVER (PARTITION BY b.channel, b.address) AS people
  FROM (
    SELECT
      p.user_id,
      'email' AS channel,
      TRANSLATE(
        p.address_1,
        'ABCDEFGHIJKLMNOPQRSTUVWXYZ 	
 ',
        'abcdefghijklmnopqrstuvwxyz'
      ) AS address
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
        NOT t."email" IS NULL AND t."email" <> '' AS has_1,
        (
          NOT t."email" IS NULL AND t."email" <> ''
        )
        AND COALESCE(t."email_consent", FALSE) AS ok_1,
        t."email" AS address_1
      FROM "analytics"."profiles" AS t
    ) AS p
    LEFT JOIN tick_duplicates AS r
      ON r.user_id = p.user_id
    WHERE
      r.user_id IS NULL AND p.has_1
    UNION ALL
    SELECT
      p.user_id,
      'push' AS channel,
      p.address_0 AS address
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
        NOT t."email" IS NULL AND t."email" <> '' AS has_1,
        (
          NOT t."email" IS NULL AND t."email" <> ''
        )
        AND COALESCE(t."email_consent", FALSE) AS ok_1,
        t."email" AS address_1
      FROM "analytics"."profiles" AS t
    ) AS p
    LEFT JOIN tick_duplicates AS r
      ON r.user_id = p.user_id
    WHERE
      r.user_id IS NULL AND p.has_0
  ) AS b
  JOIN (
    SELECT DISTINCT
      e.channel,
      e.address
    FROM (
      SELECT
        p.user_id,
        'email' AS channel,
        TRANSLATE(
          p.address_1,
          'ABCDEFGHIJKLMNOPQRSTUVWXYZ 	
 ',
          'abcdefghijklmnopqrstuvwxyz'
        ) AS address
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
          NOT t."email" IS NULL AND t."email" <> '' AS has_1,
          (
            NOT t."email" IS NULL AND t."email" <> ''
          )
          AND COALESCE(t."email_consent", FALSE) AS ok_1,
          t."email" AS address_1
        FROM "analytics"."profiles" AS t
      ) AS p
      LEFT JOIN tick_duplicates AS r
        ON r.user_id = p.user_id
      WHERE
        r.user_id IS NULL AND p.has_1
      UNION ALL
      SELECT
        p.user_id,
        'push' AS channel,
        p.address_0 AS address
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
          NOT t."email" IS NULL AND t."email" <> '' AS has_1,
          (
            NOT t."email" IS NULL AND t."email" <> ''
          )
          AND COALESCE(t."email_consent", FALSE) AS ok_1,
          t."email" AS address_1
        FROM "analytics"."profiles" AS t
      ) AS p
      LEFT JOIN tick_duplicates AS r
        ON r.user_id = p.user_id
      WHERE
        r.user_id IS NULL AND p.has_0
    ) AS e
    JOIN (
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
      ON g.user_id = e.user_id AND g.channel = e.channel
  ) AS c
    ON c.channel = b.channel AND c.address = b.address
) AS a
WHERE
  a.people > 1
