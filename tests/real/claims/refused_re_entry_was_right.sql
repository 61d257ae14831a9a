-- claim: Whoever was refused at the door for an earlier entry had one: waiting, sent too short a time ago, or begun in the same tick.
select refusals.campaign, refusals.user_id, refusals.reason, refusals.entry_id
from (
    select decisions.*, expected.match_key, re_enter_seconds, last_step
    from activate.decisions
    join facts.expected on decisions.entry_id = md5(expected.campaign || '|' || expected.user_id || '|' || expected.occurrence_id)
    join facts.campaigns on campaigns.campaign = decisions.campaign
    where decisions.step = 0 and decisions.gate = 're_entry'
) as refusals
where not exists (
    select 1
    from activate.entries
    left join facts.last_rows on last_rows.entry_id = entries.entry_id
        and last_rows.step = 1 and last_rows.decided_at < refusals.decided_at
    where refusals.reason in ('already_waiting', 'restarted')
        and entries.campaign = refusals.campaign and entries.user_id = refusals.user_id
        and coalesce(entries.match_key, '') = coalesce(refusals.match_key, '')
        and entries.recorded_at <= refusals.decided_at and last_rows.entry_id is null
) and not exists (
    select 1
    from activate.decisions as sends
    left join facts.failed on failed.message_id = sends.message_id
    where refusals.reason = 'not_re_eligible' and refusals.last_step = 1
        and sends.campaign = refusals.campaign and sends.user_id = refusals.user_id
        and sends.outcome in ('send', 'withhold') and sends.decided_at < refusals.decided_at
        and (refusals.re_enter_seconds is null
            or refusals.decided_at < sends.decided_at + interval '1 second' * refusals.re_enter_seconds)
) and not exists (
    select 1
    from activate.entries
    where refusals.reason = 'not_re_eligible' and refusals.last_step > 1
        and entries.campaign = refusals.campaign and entries.user_id = refusals.user_id
        and entries.recorded_at <= refusals.decided_at
        and (refusals.re_enter_seconds is null
            or refusals.decided_at < entries.recorded_at + interval '1 second' * refusals.re_enter_seconds)
) and not exists (
    -- A competitor of the same tick that was itself refused as not re-eligible has still removed this one.
    select 1
    from activate.decisions as rivals
    where refusals.reason in ('already_waiting', 'restarted') and rivals.step = 0 and rivals.reason = 'not_re_eligible'
        and rivals.campaign = refusals.campaign and rivals.user_id = refusals.user_id
        and rivals.decided_at = refusals.decided_at
)
-- tamper: somebody without any other entry is refused
update activate.decisions set reason = 'already_waiting', gate = 're_entry'
where step = 0 and entry_id = (
    select min(refusals.entry_id)
    from activate.decisions as refusals
    left join activate.entries on entries.campaign = refusals.campaign and entries.user_id = refusals.user_id
    where refusals.reason = 'trigger_too_late' and entries.entry_id is null
)
