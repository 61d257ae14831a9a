-- claim: Where nothing tells a person's entries of a campaign apart, two messages are never closer than `re_enter` allows.
select later.campaign, later.user_id, later.message_id
from activate.messages as later
join facts.campaigns on campaigns.campaign = later.campaign and campaigns.last_step = 1 and campaigns.retrigger <> 'stack'
join activate.messages as earlier on earlier.campaign = later.campaign and earlier.user_id = later.user_id
    and earlier.message_id <> later.message_id and earlier.queued_at <= later.queued_at
where later.campaign not in (select campaign from activate.entries where match_key is not null)
    and earlier.message_id not in (select message_id from facts.failed)
    and (re_enter_seconds is null or later.queued_at < earlier.queued_at + interval '1 second' * re_enter_seconds)
-- tamper: a message is repeated two hours later
insert into activate.messages
select md5(message_id), entry_id, campaign, step, variant, user_id, channel, provider, class, tags, expires_at, run_id,
    queued_at + interval '2 hours', send_by, counts_toward_caps, template, priority
from activate.messages
where message_id = (
    select min(message_id) from activate.messages
    join facts.campaigns on campaigns.campaign = messages.campaign and last_step = 1 and re_enter_seconds > 7200
    where message_id not in (select message_id from facts.failed)
        and messages.campaign not in (select campaign from activate.entries where match_key is not null)
)
