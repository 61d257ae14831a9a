-- claim: A step has one final decision, nothing after it, and no step of an entry is decided that should not be.
select decisions.entry_id, decisions.step, decisions.decided_at
from activate.decisions
left join facts.due on due.entry_id = decisions.entry_id and due.step = decisions.step
left join facts.last_rows on last_rows.entry_id = decisions.entry_id and last_rows.step = decisions.step
    and last_rows.decided_at < decisions.decided_at
where decisions.step > 0 and (due.entry_id is null or last_rows.entry_id is not null)
union all
select entry_id, step, min(decided_at)
from facts.last_rows
group by entry_id, step
having count(*) > 1
union all
select entry_id, step, decided_at
from activate.decisions
group by entry_id, step, decided_at
having count(*) > 1
-- tamper: a step is decided again
insert into activate.decisions
select entry_id, null, campaign, step, user_id, channel, 'suppress', 'expiry', 'expired', null, run_id,
    decided_at + interval '3 hours', due_at, null, null, null, null, true
from activate.decisions
where message_id = (select min(message_id) from activate.decisions where outcome = 'send')
