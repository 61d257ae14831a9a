-- claim: No message of a campaign with a time window was queued outside the person's local window, and each must be sent before that closes.
select local_times.message_id, local_times.decided_at, zone, local_clock, messages.send_by
from facts.local_times
left join activate.messages on messages.message_id = local_times.message_id
where local_times.gate in ('caps', 'control', 'send') and (
    zone is null or not is_open
    or messages.send_by <> (
        cast(local_times.decided_at at time zone 'UTC' at time zone zone as date)
        + case when open_at > close_at and local_clock >= open_at then 1 else 0 end + close_at
    ) at time zone zone at time zone 'UTC'
    or local_times.gate = 'send' and messages.send_by is null
)
-- tamper: a message goes out twelve hours later
update activate.decisions set decided_at = decided_at + interval '12 hours'
where message_id = (
    select min(message_id) from activate.decisions
    where campaign in (select campaign from facts.windows where weekdays = '1234567')
)
