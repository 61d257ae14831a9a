-- claim: Whoever was stopped by an exception event really did it: the evidence is the earliest such event that was loaded.
select decisions.entry_id, decisions.evidence
from activate.decisions
join activate.entries on entries.entry_id = decisions.entry_id
left join facts.exceptions on exceptions.campaign = decisions.campaign and exceptions.user_id = decisions.user_id
    and exceptions.event_id = decisions.evidence
    and coalesce(exceptions.match_key, '') = case when exceptions.match_key is null then '' else entries.match_key end
where decisions.reason = 'exception_event' and (
    exceptions.event_id is null or exceptions.event_id = entries.occurrence_id
    or exceptions.happened_at < entries.entered_at or exceptions.happened_at > decisions.decided_at
    or exceptions.landed_at > decisions.decided_at
    or exists (
        select 1 from facts.exceptions as earlier
        where earlier.campaign = decisions.campaign and earlier.user_id = decisions.user_id
            and coalesce(earlier.match_key, '') = coalesce(exceptions.match_key, '')
            and earlier.event_id <> entries.occurrence_id and earlier.happened_at >= entries.entered_at
            and earlier.happened_at < exceptions.happened_at and earlier.landed_at <= decisions.decided_at
    )
)
-- tamper: the evidence is the trigger itself
update activate.decisions
set evidence = (select occurrence_id from activate.entries where entries.entry_id = decisions.entry_id)
where entry_id = (select min(entry_id) from activate.decisions where reason = 'exception_event') and reason = 'exception_event'
