-- claim: When a message was queued, its person was still in the segment that brought them in (or out of it), and in none that is kept out; whoever was stopped for it was not.
select decisions.entry_id, decisions.step, decisions.reason
from activate.decisions
join facts.ticks on ticks.now = decisions.decided_at
left join facts.entered_by_segment on entered_by_segment.campaign = decisions.campaign
left join facts.members as home on home.segment = entered_by_segment.segment and home.user_id = decisions.user_id
    and home.as_of = ticks.as_of
left join facts.kept_out on kept_out.campaign = decisions.campaign
left join facts.members as barred on barred.segment = kept_out.segment and barred.user_id = decisions.user_id
    and barred.as_of = ticks.as_of
where decisions.step > 0 and case decisions.reason
    when 'left_segment' then entered_by_segment.campaign is null or (home.user_id is not null) = (entered_by_segment.change = 'enter')
    when 'not_in_audience' then barred.user_id is null
    when 'ready' then barred.user_id is not null
        or entered_by_segment.campaign is not null and (home.user_id is not null) <> (entered_by_segment.change = 'enter')
    else false
end
-- tamper: somebody is said to have left who has not
update activate.decisions set gate = 'audience', reason = 'left_segment', outcome = 'suppress'
where message_id = (select min(message_id) from activate.decisions)
