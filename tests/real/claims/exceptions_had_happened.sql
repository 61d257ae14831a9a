-- claim: Whoever was stopped by an exception event really did it: the evidence is the earliest such event that was loaded.
select decisions.entry_id, decisions.evidence
from activate.decisions
join facts.watched on watched.entry_id = decisions.entry_id
left join facts.exceptions on exceptions.campaign = watched.campaign and exceptions.user_id = watched.user_id
    and exceptions.event_id = decisions.evidence
    and exceptions.match_key = watched.match_key
where decisions.reason = 'exception_event' and (
    exceptions.event_id is null or exceptions.event_id = watched.occurrence_id
    or exceptions.happened_at < watched.entered_at or exceptions.happened_at > decisions.decided_at
    or exceptions.landed_at > decisions.decided_at
    or exists (
        select 1 from facts.exceptions as earlier
        where earlier.campaign = decisions.campaign and earlier.user_id = decisions.user_id
            and earlier.match_key = exceptions.match_key
            and earlier.event_id <> watched.occurrence_id and earlier.happened_at >= watched.entered_at
            and earlier.happened_at < exceptions.happened_at and earlier.landed_at <= decisions.decided_at
    )
)
-- tamper: the evidence is the trigger itself
update activate.decisions
set evidence = (select occurrence_id from activate.entries where entries.entry_id = decisions.entry_id)
where entry_id = (select min(entry_id) from activate.decisions where reason = 'exception_event') and reason = 'exception_event'
