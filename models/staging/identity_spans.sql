-- Who a device belonged to, and from when to when: from one log-in to the next. The first person's span reaches back to the
-- beginning, because what was done before the first log-in belongs to the person who then logged in; after another
-- person's log-in the device is that person's.
with log_ins as (
    select
        source || ':' || device_id as device_key,
        user_id,
        identified_at,
        min(loaded_at) as loaded_at
    from {{ source('raw', 'identities') }}
    where device_id is not null and user_id is not null and identified_at is not null
    group by source, device_id, user_id, identified_at
)

select
    device_key,
    user_id,
    loaded_at,
    case
        when row_number() over (partition by device_key order by identified_at, loaded_at, user_id) = 1
            then cast('1970-01-01' as {{ dbt.type_timestamp() }})
        else identified_at
    end as valid_from,
    coalesce(
        lead(identified_at) over (partition by device_key order by identified_at, loaded_at, user_id),
        cast('9999-12-31' as {{ dbt.type_timestamp() }})
    ) as valid_to
from log_ins
