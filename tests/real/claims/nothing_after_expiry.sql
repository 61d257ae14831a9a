-- claim: No message was queued at or after its expiry or outside its campaign's life, and each carries the right expiry.
select messages.message_id, messages.queued_at, due.expires_at
from activate.messages
join activate.entries on entries.entry_id = messages.entry_id
join facts.due on due.entry_id = messages.entry_id and due.step = messages.step
join facts.campaigns on campaigns.campaign = messages.campaign
where messages.queued_at >= due.expires_at or messages.expires_at <> due.expires_at
    or messages.queued_at >= campaigns.active_until or entries.entered_at < campaigns.active_from
-- tamper: a message is queued at its very expiry
update activate.messages set queued_at = expires_at
where message_id = (select min(message_id) from activate.decisions)
