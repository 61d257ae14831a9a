-- claim: Whoever waits for a cap waits until the last of the full caps has room; whoever was suppressed could not have waited.
select decisions.entry_id, decisions.step, decisions.decided_at, decisions.outcome, decisions.retry_at, room.frees_at
from activate.decisions
join facts.campaigns on campaigns.campaign = decisions.campaign
join facts.due on due.entry_id = decisions.entry_id and due.step = decisions.step
left join (
    select entry_id, step, decided_at, max(frees_at) as frees_at
    from facts.cap_figures
    where counted >= most
    group by entry_id, step, decided_at
) as room on room.entry_id = decisions.entry_id and room.step = decisions.step and room.decided_at = decisions.decided_at
where decisions.gate = 'caps' and case
    when waits_for_caps and frees_at < due.expires_at then decisions.outcome <> 'defer' or decisions.retry_at <> frees_at
    else decisions.outcome <> 'suppress'
end
-- tamper: somebody waits an hour too long
update activate.decisions set retry_at = retry_at + interval '1 hour'
where entry_id = (select min(entry_id) from activate.decisions where gate = 'caps' and outcome = 'defer') and gate = 'caps'
