-- claim: Nobody in a control group was sent anything by that campaign, and nobody else was withheld.
select entries.entry_id
from activate.entries
join activate.messages on messages.entry_id = entries.entry_id
where entries.is_control
union all
select decisions.entry_id
from activate.decisions
join activate.entries on entries.entry_id = decisions.entry_id
where decisions.outcome = 'withhold' and coalesce(entries.control_group, '')
    <> case decisions.reason when 'control_group' then 'campaign' when 'global_control_group' then 'global' end
-- tamper: a message to somebody in a control group
insert into activate.messages
select 'made up', entry_id, campaign, step, null, user_id, 'email', 'letters', 'marketing', '[]', decided_at, run_id,
    decided_at, null, true, 't', 1
from activate.decisions
where entry_id = (select min(entry_id) from activate.decisions where outcome = 'withhold') and outcome = 'withhold'
