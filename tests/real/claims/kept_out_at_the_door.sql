-- claim: Nobody enters who is in a segment that the campaign keeps out, and nobody is refused for it who is not.
select expected.campaign, expected.user_id, expected.occurrence_id
from facts.expected
join facts.kept_out on kept_out.campaign = expected.campaign
join facts.ticks on ticks.now = expected.seen_at
left join facts.members on members.segment = kept_out.segment and members.user_id = expected.user_id
    and members.as_of = ticks.as_of
left join activate.entries on entries.campaign = expected.campaign and entries.user_id = expected.user_id
    and entries.occurrence_id = expected.occurrence_id
left join activate.decisions as refusals on refusals.step = 0 and refusals.reason = 'not_in_audience'
    and refusals.entry_id = md5(expected.campaign || '|' || expected.user_id || '|' || expected.occurrence_id)
where (entries.entry_id is not null and members.user_id is not null)
    or (refusals.entry_id is not null and members.user_id is null)
-- tamper: a refusal names somebody else's occurrence
update activate.decisions set entry_id = (
    select min(entry_id) from activate.entries where campaign = (select min(campaign) from facts.kept_out)
), reason = 'not_in_audience'
where step = 0 and entry_id = (select min(entry_id) from activate.decisions where step = 0)
