-- claim: No message was queued though an exception event had happened since the entry and was loaded.
select messages.message_id, exceptions.event_id
from activate.messages
join facts.watched on watched.entry_id = messages.entry_id
join facts.exceptions on exceptions.campaign = watched.campaign and exceptions.user_id = watched.user_id
    and exceptions.match_key = watched.match_key
where exceptions.happened_at >= watched.entered_at and exceptions.happened_at <= messages.queued_at
    and exceptions.landed_at <= messages.queued_at and exceptions.event_id <> watched.occurrence_id
-- tamper: a cancelled candidate is messaged after all
insert into activate.messages
select 'made up', entry_id, campaign, step, null, user_id, 'email', 'letters', 'marketing', '[]', decided_at, run_id,
    decided_at, null, true, 't', 1
from activate.decisions
where entry_id = (select min(entry_id) from activate.decisions where reason = 'exception_event') and reason = 'exception_event'
