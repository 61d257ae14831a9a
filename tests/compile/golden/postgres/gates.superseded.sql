-- Messages held back by a window that gave way to a later one.
CREATE TEMPORARY TABLE tick_superseded AS
SELECT
  h.entry_id,
  h.kept_entry_id
FROM (
  SELECT
    g.entry_id,
    FIRST_VALUE(g.entry_id) OVER (
      PARTITION BY g.user_id, CASE WHEN s.held_scope = 'latest' THEN '*' ELSE s.campaign END
      ORDER BY g.entered_at DESC, g.entry_id DESC
    ) AS kept_entry_id
  FROM tick_gated AS g
  JOIN tick_steps AS s
    ON s.step_id = g.step_id AND NOT s.held_scope IS NULL
  JOIN tick_deferrals AS l
    ON l.entry_id = g.entry_id AND l.step = s.step AND l.gate = 'window'
  WHERE
    g.verdict IS NULL
) AS h
WHERE
  h.entry_id <> h.kept_entry_id
