-- claim: An occurrence is refused as too late when, and only when, it was older than the limit at the tick that saw it.
select expected.campaign, expected.user_id, expected.occurrence_id
from facts.expected
join facts.campaigns on campaigns.campaign = expected.campaign
join facts.occurrences on occurrences.campaign = expected.campaign and occurrences.user_id = expected.user_id
    and occurrences.occurrence_id = expected.occurrence_id
cross join facts.life
left join activate.decisions as refusals on refusals.step = 0 and refusals.reason = 'trigger_too_late'
    and refusals.entry_id = md5(expected.campaign || '|' || expected.user_id || '|' || expected.occurrence_id)
where (refusals.entry_id is not null) <> (
    expected.entered_at < expected.seen_at - interval '1 second' * campaigns.lateness_seconds
    and not (campaigns.since is not null and occurrences.seen_from <= life.launch)
)
-- tamper: a refusal is taken for an entry's
delete from activate.decisions where entry_id = (select min(entry_id) from activate.decisions where reason = 'trigger_too_late')
