-- claim: The recorded changes of each segment are those that the raw tables say, at the tick that first saw them.
select coalesce(changes.segment, memberships.segment) as segment, coalesce(changes.user_id, memberships.user_id) as user_id,
    coalesce(changes.change, memberships.change) as change, changes.changed_at as expected_at, memberships.changed_at
from (
    select * from facts.changes
    where segment in (select segment from facts.entered_by_segment)
) as changes
full join activate.memberships on memberships.segment = changes.segment and memberships.user_id = changes.user_id
    and memberships.change = changes.change and memberships.changed_at = changes.changed_at
where changes.segment is null or memberships.segment is null
-- tamper: a change is recorded an hour late
update activate.memberships set changed_at = changed_at + interval '1 hour'
where user_id = (select min(user_id) from activate.memberships)
