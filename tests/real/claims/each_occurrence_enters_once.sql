-- claim: Whatever should enter has exactly one entry or one refusal at the door, from the tick that saw it first; nothing else has.
select coalesce(expected.campaign, found.campaign) as campaign, coalesce(expected.user_id, found.user_id) as user_id,
    occurrence_id, seen_at, recorded_at, rows_found
from (
    select *, md5(campaign || '|' || user_id || '|' || occurrence_id) as entry_id from facts.expected
) as expected
full join (
    select entry_id, campaign, user_id, min(recorded_at) as recorded_at, count(*) as rows_found
    from (
        select entry_id, campaign, user_id, recorded_at from activate.entries
        union all
        select entry_id, campaign, user_id, decided_at from activate.decisions where step = 0
    ) as arrivals
    group by entry_id, campaign, user_id
) as found on found.entry_id = expected.entry_id
where expected.entry_id is null or found.entry_id is null or rows_found <> 1 or recorded_at <> seen_at
-- tamper: one entry is lost
delete from activate.entries where entry_id = (select min(entry_id) from activate.entries)
-- tamper: one entry is doubled
insert into activate.entries select * from activate.entries where entry_id = (select min(entry_id) from activate.entries)
