-- claim: Each exception event that was loaded only after the message was queued, and no other, is on record as late.
select coalesce(late.message_id, audits.message_id) as message_id, late.event_id, audits.evidence
from (
    select distinct messages.message_id, exceptions.event_id
    from activate.messages
    join facts.watched on watched.entry_id = messages.entry_id
    join facts.exceptions on exceptions.campaign = watched.campaign and exceptions.user_id = watched.user_id
        and exceptions.match_key = watched.match_key
    where exceptions.happened_at >= watched.entered_at and exceptions.happened_at <= messages.queued_at
        and exceptions.landed_at > messages.queued_at and exceptions.event_id <> watched.occurrence_id
        and exceptions.landed_at <= (select last from facts.life)
) as late
full join (
    select * from activate.audits where kind = 'late_exception'
) as audits on audits.message_id = late.message_id and audits.evidence = late.event_id
where late.message_id is null or audits.message_id is null
-- tamper: a late exception is made up
insert into activate.audits
select entry_id, message_id, 'late_exception', 'made up', run_id, queued_at
from activate.messages where message_id = (select min(message_id) from activate.decisions)
