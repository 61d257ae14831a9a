-- claim: A message carries its campaign's class, tags and priority, its entry's variant, and whether caps count it.
select messages.message_id
from activate.messages
join activate.entries on entries.entry_id = messages.entry_id
join facts.campaigns on campaigns.campaign = messages.campaign
where messages.class <> campaigns.class or messages.priority <> campaigns.priority
    or replace(messages.tags, ' ', '') <> replace(campaigns.tags, ' ', '')
    or messages.counts_toward_caps <> campaigns.counts
    or coalesce(messages.variant, '') <> coalesce(entries.variant, '')
    or messages.user_id <> entries.user_id or messages.campaign <> entries.campaign
-- tamper: a message stops counting
update activate.messages set counts_toward_caps = not counts_toward_caps
where message_id = (select min(message_id) from activate.decisions)
