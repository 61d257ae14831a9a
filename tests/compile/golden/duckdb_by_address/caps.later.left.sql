-- How many are left.
SELECT
  COUNT(*) AS waiting
FROM tick_ranked AS r
LEFT JOIN tick_turns AS t
  ON t.entry_id = r.entry_id
WHERE
  t.entry_id IS NULL
