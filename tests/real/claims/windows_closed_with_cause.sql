-- claim: Whoever was held back by the window was outside it, and was told the next instant at which it opens; a person without a usable zone was told which way it is unusable.
select local_times.entry_id, local_times.step, local_times.decided_at, local_times.reason, zone, local_clock, retry_at, opens_at
from facts.local_times
left join facts.openings on openings.entry_id = local_times.entry_id and openings.step = local_times.step
    and openings.decided_at = local_times.decided_at
left join facts.due on due.entry_id = local_times.entry_id and due.step = local_times.step
where case reason
    when 'window_closed' then is_open or zone is null
        or outcome = 'defer' and (drops or retry_at <> opens_at or opens_at >= due.expires_at)
        or outcome = 'suppress' and not drops
    when 'expired_in_quiet_hours' then is_open or zone is null or drops or opens_at < due.expires_at
    when 'superseded' then not is_open or zone is null
    when 'zone_missing' then zone is not null or zone_problem <> 'zone_missing'
    when 'zone_invalid' then zone is not null or zone_problem <> 'zone_invalid'
    else false
end
-- tamper: somebody is told an hour too early
update activate.decisions set retry_at = retry_at - interval '1 hour'
where entry_id = (select min(entry_id) from activate.decisions where reason = 'window_closed' and outcome = 'defer')
    and reason = 'window_closed'
