-- claim: Each decision to send has exactly one message, at the same instant, with the same id; each message but the history has its decision.
select coalesce(messages.message_id, sends.message_id) as message_id
from activate.decisions as sends
full join (
    select messages.* from activate.messages
    left join facts.history on history.message_id = messages.message_id
    where history.message_id is null
) as messages on messages.message_id = sends.message_id
where (sends.outcome = 'send' or sends.entry_id is null)
    and (messages.message_id is null or sends.message_id is null
        or messages.queued_at <> sends.decided_at or messages.entry_id <> sends.entry_id
        or messages.step <> sends.step or messages.channel <> sends.channel
        or messages.message_id <> md5(sends.entry_id || '|' || sends.step || '|' || sends.channel))
union all
select message_id from activate.messages group by message_id having count(*) > 1
union all
select entry_id || '|' || step from activate.messages group by entry_id, step having count(*) > 1
union all
select message_id from activate.decisions where (outcome = 'send') <> (message_id is not null)
-- tamper: a message is lost
delete from activate.messages where message_id = (select min(message_id) from activate.decisions)
-- tamper: a message is doubled
insert into activate.messages select * from activate.messages where message_id = (select min(message_id) from activate.decisions)
