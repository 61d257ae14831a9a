-- claim: Whatever is called expired or ended was: the step's expiry had come, or the campaign's end.
select decisions.entry_id, decisions.step, decisions.decided_at, due.expires_at
from activate.decisions
left join facts.due on due.entry_id = decisions.entry_id and due.step = decisions.step
join facts.campaigns on campaigns.campaign = decisions.campaign
where decisions.reason = 'expired' and not decisions.decided_at >= due.expires_at
    or decisions.reason = 'campaign_ended' and not coalesce(decisions.decided_at >= campaigns.active_until, false)
    or decisions.step > 0 and decisions.reason <> 'campaign_ended' and decisions.decided_at >= campaigns.active_until
-- tamper: something is called expired at once
update activate.decisions set reason = 'expired', gate = 'expiry', outcome = 'suppress', message_id = null
where message_id = (select min(message_id) from activate.decisions)
