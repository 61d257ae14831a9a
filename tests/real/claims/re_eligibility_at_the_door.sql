-- claim: Nobody entered again sooner than `re_enter` allows, counted from the last send (one step) or entry (several).
select later.campaign, later.user_id, later.entry_id
from activate.entries as later
join facts.campaigns on campaigns.campaign = later.campaign and campaigns.last_step = 1
join activate.decisions as sends on sends.campaign = later.campaign and sends.user_id = later.user_id
    and sends.outcome in ('send', 'withhold') and sends.decided_at < later.recorded_at
left join facts.failed on failed.message_id = sends.message_id
where failed.message_id is null
    and (re_enter_seconds is null or later.recorded_at < sends.decided_at + interval '1 second' * re_enter_seconds)
union all
select later.campaign, later.user_id, later.entry_id
from activate.entries as later
join facts.campaigns on campaigns.campaign = later.campaign and campaigns.last_step > 1
join activate.entries as earlier on earlier.campaign = later.campaign and earlier.user_id = later.user_id
    and earlier.entry_id <> later.entry_id and earlier.recorded_at <= later.recorded_at
where re_enter_seconds is null or later.recorded_at < earlier.recorded_at + interval '1 second' * re_enter_seconds
-- tamper: somebody enters again a tick after a message
insert into activate.entries
select md5(sends.message_id), sends.campaign, sends.user_id, 'made up', sends.decided_at, null, false, null, 'v', 'r',
    sends.decided_at + interval '1 hour', 'v', null, null
from activate.decisions as sends
where sends.message_id = (
    select min(message_id) from activate.messages
    join facts.campaigns on campaigns.campaign = messages.campaign and last_step = 1 and re_enter_seconds > 3600
    where message_id not in (select message_id from facts.failed)
)
