-- An approval lets messages pass once.
INSERT INTO "activate".approvals (
  approval_id,
  subject,
  name,
  kind,
  ceiling,
  expires_at,
  status,
  run_id,
  recorded_at
)
SELECT
  a.approval_id,
  a.subject,
  a.name,
  a.kind,
  a.ceiling,
  a.expires_at,
  'used',
  :run_id,
  :now
FROM tick_guarded AS t
JOIN "activate".approvals AS a
  ON a.approval_id = t.approval_id AND a.status = 'granted'
WHERE
  t.messages <= t.ceiling
