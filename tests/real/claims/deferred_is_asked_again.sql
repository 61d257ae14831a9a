-- claim: Whoever was deferred has another decision by the first tick at or after the time that was promised.
select deferred.entry_id, deferred.step, deferred.decided_at, deferred.retry_at
from (
    select decisions.*, (select min(now) from facts.ticks where now >= retry_at) as promised_at
    from activate.decisions
    where outcome = 'defer'
) as deferred
left join (
    select entry_id, step, decided_at,
        lead(decided_at) over (partition by entry_id, step order by decided_at) as next_at
    from activate.decisions
    where step > 0
) as following on following.entry_id = deferred.entry_id and following.step = deferred.step
    and following.decided_at = deferred.decided_at
where deferred.retry_at is null or deferred.retry_at <= deferred.decided_at
    or promised_at is not null and (next_at is null or next_at > promised_at)
-- tamper: what came after a deferral is lost
delete from activate.decisions
where outcome <> 'defer' and entry_id = (
    select min(entry_id) from activate.decisions where outcome = 'defer' and retry_at < (select last from facts.life)
)
