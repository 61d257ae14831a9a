-- claim: Whoever could not be reached has no profile, two, no address, or no consent: the one that is named.
select decisions.entry_id, decisions.step, decisions.reason
from activate.decisions
join facts.people on people.user_id = decisions.user_id
left join (
    select user_id, campaign, step,
        bool_or(has_address) as has_address, bool_or(has_address and has_consent) as has_both
    from facts.step_channels
    join facts.reach on reach.channel = step_channels.channel
    group by user_id, campaign, step
) as reached on reached.user_id = decisions.user_id and reached.campaign = decisions.campaign and reached.step = decisions.step
where decisions.gate = 'consent' and decisions.reason <> case
    when people.profiles = 0 then 'no_profile'
    when people.profiles > 1 then 'duplicate_profile'
    when not reached.has_address then 'unreachable'
    when not reached.has_both then 'no_consent'
    else 'nothing' end
-- tamper: somebody who was reached is said to have no consent
update activate.decisions set gate = 'consent', reason = 'no_consent', outcome = 'suppress'
where message_id = (select min(message_id) from activate.decisions)
