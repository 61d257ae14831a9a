-- claim: Each message has one last delivery row, and what was accepted was accepted before its expiry and the close of its window.
select messages.message_id, count(deliveries.message_id) as last_rows
from activate.messages
left join activate.deliveries on deliveries.message_id = messages.message_id and final
group by messages.message_id
having count(deliveries.message_id) <> 1
union all
select messages.message_id, 1
from activate.messages
join activate.deliveries on deliveries.message_id = messages.message_id and status = 'accepted'
where deliveries.recorded_at >= messages.expires_at or deliveries.recorded_at >= messages.send_by
-- tamper: a delivery is lost
delete from activate.deliveries where message_id = (select min(message_id) from activate.decisions)
-- tamper: a message is delivered a year late
update activate.deliveries set recorded_at = recorded_at + interval '365 days'
where message_id = (select min(message_id) from activate.deliveries where status = 'accepted')
