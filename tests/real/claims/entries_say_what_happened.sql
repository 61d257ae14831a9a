-- claim: An entry's time, match value, variant and control group are those of its occurrence and its person's hash.
select entries.entry_id, entries.campaign, entries.user_id
from activate.entries
join facts.expected on expected.campaign = entries.campaign and expected.user_id = entries.user_id
    and expected.occurrence_id = entries.occurrence_id
join facts.campaigns on campaigns.campaign = entries.campaign
cross join facts.global_control
left join facts.variants on variants.campaign = entries.campaign
    and md5(entries.campaign || ':variant|' || entries.user_id) >= variants.from_cut
    and md5(entries.campaign || ':variant|' || entries.user_id) < variants.to_cut
where entries.entered_at <> expected.entered_at
    or coalesce(entries.match_key, '') <> coalesce(expected.match_key, '')
    or coalesce(entries.variant, '') <> coalesce(variants.variant, '')
    or coalesce(entries.control_group, '') <> case
        when campaigns.class <> 'transactional' and md5('global_control|' || entries.user_id) < global_control.cut then 'global'
        when md5(entries.campaign || ':control|' || entries.user_id) < campaigns.control_cut then 'campaign'
        else '' end
    or entries.is_control <> (entries.control_group is not null)
-- tamper: somebody leaves the control group
update activate.entries set is_control = false
where entry_id = (select min(entry_id) from activate.entries where is_control)
-- tamper: an entry is dated a minute later
update activate.entries set entered_at = entered_at + interval '1 minute'
where entry_id = (select min(entry_id) from activate.entries)
