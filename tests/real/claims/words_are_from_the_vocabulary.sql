-- claim: Every decision has an outcome, a gate and a reason, and the three belong together.
select decisions.entry_id, decisions.step, decisions.outcome, decisions.gate, decisions.reason
from activate.decisions
left join (values
    (0, 'entry', 'trigger_too_late', 'suppress'), (0, 'audience', 'not_in_audience', 'suppress'),
    (0, 'window', 'triggered_outside_window', 'suppress'),
    (0, 're_entry', 'already_waiting', 'suppress'), (0, 're_entry', 'not_re_eligible', 'suppress'),
    (0, 're_entry', 'restarted', 'suppress'), (1, 're_entry', 'restarted', 'suppress'),
    (1, 'active', 'campaign_ended', 'suppress'), (1, 'exception', 'exception_event', 'suppress'),
    (1, 'audience', 'not_in_audience', 'suppress'), (1, 'audience', 'left_segment', 'suppress'),
    (1, 'consent', 'no_profile', 'suppress'), (1, 'consent', 'duplicate_profile', 'suppress'),
    (1, 'consent', 'unreachable', 'suppress'), (1, 'consent', 'no_consent', 'suppress'),
    (1, 'window', 'zone_missing', 'suppress'), (1, 'window', 'zone_invalid', 'suppress'),
    (1, 'window', 'window_closed', 'defer'), (1, 'window', 'window_closed', 'suppress'),
    (1, 'window', 'superseded', 'suppress'), (1, 'expiry', 'expired', 'suppress'),
    (1, 'expiry', 'expired_in_quiet_hours', 'suppress'), (1, 'caps', 'frequency_cap', 'defer'),
    (1, 'caps', 'frequency_cap', 'suppress'), (1, 'control', 'control_group', 'withhold'),
    (1, 'control', 'global_control_group', 'withhold'), (1, 'send', 'ready', 'send')
) as words (stage, gate, reason, outcome)
    on words.stage = least(decisions.step, 1) and words.gate = decisions.gate
    and words.reason = decisions.reason and words.outcome = decisions.outcome
where words.reason is null
-- tamper: a reason is misspelt
update activate.decisions set reason = 'frequency_caps'
where entry_id = (select min(entry_id) from activate.decisions where step > 0) and step = 1
