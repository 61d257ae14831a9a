-- The order of people's several candidates.
CREATE TEMPORARY TABLE tick_ranked AS
SELECT
  g.entry_id,
  g.user_id,
  g.step_id,
  g.channel,
  g.control_group,
  ROW_NUMBER() OVER (
    ORDER BY CASE WHEN s.is_transactional THEN 0 ELSE 1 END, s.priority DESC NULLS FIRST, g.due_at, s.campaign_order, g.entry_id
  ) AS place,
  g.message_id,
  g.own_zone,
  w.share
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
JOIN tick_people AS u
  ON u.user_id = g.user_id
LEFT JOIN tick_sharing AS w
  ON w.user_id = g.user_id AND w.channel = g.channel
WHERE
  u.candidates > 1 OR NOT w.share IS NULL
