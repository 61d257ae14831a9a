-- Record the entries.
INSERT INTO "activate".entries (
  entry_id,
  campaign,
  user_id,
  occurrence_id,
  entered_at,
  variant,
  is_control,
  context,
  rules_version,
  run_id,
  recorded_at,
  campaign_version,
  control_group,
  match_key
)
SELECT
  d.entry_id,
  d.campaign,
  d.user_id,
  d.occurrence_id,
  d.entered_at,
  a.variant,
  MD5(p.control_salt || d.user_id) < p.control_cut
  OR MD5('global_control|' || d.user_id) < p.global_cut,
  d.context,
  :rules_version,
  :run_id,
  :now,
  p.campaign_version,
  CASE
    WHEN MD5('global_control|' || d.user_id) < p.global_cut
    THEN 'global'
    WHEN MD5(p.control_salt || d.user_id) < p.control_cut
    THEN 'campaign'
  END,
  d.match_key
FROM tick_door AS d
JOIN tick_doors AS p
  ON p.campaign = d.campaign
LEFT JOIN tick_arms AS a
  ON a.campaign = d.campaign
  AND MD5(p.variant_salt || d.user_id) >= a.from_hash
  AND MD5(p.variant_salt || d.user_id) < a.below_hash
WHERE
  d.refusal IS NULL
