{{ config(materialized='table') }}
-- Somebody came near a store: the first position within its radius, after one outside it or after two hours of silence.
-- The rectangle keeps the trigonometry to positions that can be near: one degree of latitude is at least 110 km, one of
-- longitude that times the cosine of the latitude.
with positions as (
    select event_id, user_id, occurred_at, loaded_at, latitude, longitude
    from {{ ref('events') }}
    where event_name = 'location_updated' and latitude between -90 and 90 and longitude between -180 and 180
),

near as (
    select
        positions.event_id,
        stores.store_id,
        stores.name as store_name,
        {{ distance_metres('positions.latitude', 'positions.longitude', 'stores.latitude', 'stores.longitude') }}
            as distance_metres,
        stores.radius_metres
    from positions
    inner join {{ source('raw', 'stores') }} as stores
        on positions.latitude between stores.latitude - stores.radius_metres / 110000.0
            and stores.latitude + stores.radius_metres / 110000.0
        and abs(positions.longitude - stores.longitude) * cos(radians(stores.latitude)) * 110000.0
            <= stores.radius_metres * 1.1
),

nearest as (
    select
        *,
        row_number() over (partition by event_id order by distance_metres, store_id) as place
    from near
    where distance_metres <= radius_metres
),

placed as (
    select
        positions.event_id,
        positions.user_id,
        positions.occurred_at,
        positions.loaded_at,
        nearest.store_id,
        nearest.store_name,
        nearest.distance_metres,
        lag(nearest.store_id) over person as store_before,
        lag(positions.occurred_at) over person as seen_before
    from positions
    left join nearest on nearest.event_id = positions.event_id and nearest.place = 1
    window person as (partition by positions.user_id order by positions.occurred_at, positions.event_id)
)

select event_id, user_id, occurred_at, loaded_at, store_id, store_name, distance_metres
from placed
where store_id is not null
    and (
        store_before is null
        or store_before <> store_id
        or seen_before < {{ dbt.dateadd('hour', -2, 'occurred_at') }}
    )
