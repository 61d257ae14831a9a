-- Who was in which audience at its destination, from when until when: what the destination acknowledged, not what was meant.
-- An update is no change of membership. `valid_to` is null for those who are in it now.
with told as (
    select
        audience, destination, member, user_id, recorded_at, wave,
        case when change = 'remove' then 0 else 1 end as is_in
    from {{ source('activate', 'audience_changes') }}
    where status in ('accepted', 'baselined', 'observed')
),

turns as (
    select
        *,
        coalesce(lag(is_in) over (partition by audience, destination, member order by wave), 0) as was_in
    from told
),

spans as (
    select
        audience, destination, member, user_id, is_in,
        recorded_at as valid_from,
        lead(recorded_at) over (partition by audience, destination, member order by wave) as valid_to
    from turns
    where is_in <> was_in
)

select audience, destination, member, user_id, valid_from, valid_to
from spans
where is_in = 1
