-- The steps of those that no approval lets pass.
CREATE TEMPORARY TABLE tick_held AS
SELECT
  s.step_id,
  t.max_messages,
  t.messages
FROM tick_guarded AS t
JOIN tick_steps AS s
  ON s.campaign = t.campaign
WHERE
  t.ceiling IS NULL OR t.messages > t.ceiling
