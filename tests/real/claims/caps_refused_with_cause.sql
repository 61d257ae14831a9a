-- claim: Whoever was refused by a cap: the cap that is named was full, with the figure that is named, and none before it was.
select decisions.entry_id, decisions.step, decisions.decided_at, decisions.rule, decisions.observed, first_full.number, cap_figures.counted
from activate.decisions
left join (
    select entry_id, step, decided_at, min(number) as number
    from facts.cap_figures
    where counted >= most
    group by entry_id, step, decided_at
) as first_full on first_full.entry_id = decisions.entry_id and first_full.step = decisions.step
    and first_full.decided_at = decisions.decided_at
left join facts.cap_figures on cap_figures.entry_id = decisions.entry_id and cap_figures.step = decisions.step
    and cap_figures.decided_at = decisions.decided_at and cap_figures.number = first_full.number
where decisions.gate = 'caps' and (
    first_full.number is null
    or decisions.rule <> 'frequency_caps[' || first_full.number || ']'
    or decisions.observed <> cap_figures.counted
)
-- tamper: a full cap is blamed on a message that was not sent
delete from activate.messages
where user_id = (select min(user_id) from activate.decisions where gate = 'caps')
