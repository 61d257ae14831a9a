-- How many wait.
SELECT
  COUNT(*) AS waiting_for_room
FROM tick_capped AS k
JOIN tick_gated AS g
  ON g.entry_id = k.entry_id
JOIN tick_steps AS s
  ON s.step_id = g.step_id AND s.wait_if_capped
