-- Record who entered and who left.
INSERT INTO "activate".memberships (
  segment,
  user_id,
  change,
  run_id,
  changed_at
)
SELECT
  m.segment,
  m.user_id,
  'enter',
  :run_id,
  :now
FROM tick_members AS m
LEFT JOIN tick_known AS k
  ON k.segment = m.segment AND k.user_id = m.user_id
WHERE
  k.user_id IS NULL AND m.is_entry
UNION ALL
SELECT
  k.segment,
  k.user_id,
  'exit',
  :run_id,
  :now
FROM tick_known AS k
LEFT JOIN tick_members AS m
  ON k.segment = m.segment AND k.user_id = m.user_id
WHERE
  m.user_id IS NULL
