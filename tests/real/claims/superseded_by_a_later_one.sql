-- claim: Whoever was superseded was held back by the window, and a later entry of the same person, held back too, went on in its place.
select decisions.entry_id, decisions.evidence
from activate.decisions
join activate.entries on entries.entry_id = decisions.entry_id
left join activate.entries as kept on kept.entry_id = decisions.evidence and kept.user_id = decisions.user_id
    and (kept.entered_at, kept.entry_id) > (entries.entered_at, entries.entry_id)
left join activate.decisions as went_on on went_on.entry_id = kept.entry_id and went_on.decided_at = decisions.decided_at
    and went_on.reason <> 'superseded'
where decisions.reason = 'superseded' and (kept.entry_id is null or went_on.entry_id is null or not exists (
    select 1 from activate.decisions as held
    where held.entry_id = decisions.entry_id and held.step = decisions.step
        and held.reason = 'window_closed' and held.decided_at < decisions.decided_at
))
-- tamper: an entry is superseded by itself
update activate.decisions set reason = 'superseded', gate = 'window', evidence = entry_id
where message_id = (select min(message_id) from activate.decisions)
