-- claim: Each message goes out on the first channel of its step with an address and consent; who has none has no message.
select messages.message_id, messages.channel, reachable.channel as reachable
from activate.messages
join activate.entries on entries.entry_id = messages.entry_id
left join (
    select user_id, campaign, step, min(place) as place
    from facts.step_channels
    join facts.reach on reach.channel = step_channels.channel and has_address and has_consent
    group by user_id, campaign, step
) as first on first.user_id = messages.user_id and first.campaign = messages.campaign and first.step = messages.step
left join facts.step_channels as reachable on reachable.campaign = first.campaign and reachable.step = first.step
    and reachable.place = first.place
where reachable.channel is null or reachable.channel <> messages.channel
-- tamper: a message goes out on another channel
update activate.messages set channel = 'letter' where message_id = (select min(message_id) from activate.decisions)
