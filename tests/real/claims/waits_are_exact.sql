-- claim: Every step is first decided about at the first tick at which its wait (and the settling time) is over, and every step that fell due has a decision.
select due.entry_id, due.campaign, due.step, due.due_at, expected_at, decided_at
from (
    select due.*, (
        select min(now) from facts.ticks
        where now >= due.due_at + interval '1 second' * policy.settle_seconds
            and (now > due.not_before or now = due.not_before and not due.strictly)
    ) as expected_at
    from facts.due
    cross join facts.policy
) as due
left join (
    select entry_id, step, min(decided_at) as decided_at, bool_or(gate = 're_entry') as restarted, min(due_at) as due_at
    from activate.decisions
    where step > 0
    group by entry_id, step
) as decided on decided.entry_id = due.entry_id and decided.step = due.step
where (expected_at is not null and decided_at is null)
    or (decided_at <> expected_at and not (restarted and decided_at < expected_at))
    or (decided_at is not null and expected_at is null and not restarted)
    or (decided.due_at <> due.due_at)
-- tamper: a message goes out an hour late
update activate.decisions set decided_at = decided_at + interval '1 hour'
where message_id = (
    select min(message_id) from activate.decisions
    where outcome = 'send' and entry_id not in (select entry_id from activate.decisions where outcome = 'defer')
)
-- tamper: a candidate is forgotten
delete from activate.decisions
where entry_id = (select min(entry_id) from activate.decisions where step = 1 and reason = 'exception_event')
