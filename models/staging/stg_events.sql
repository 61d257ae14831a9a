-- App and web events in one shape. Nothing is joined or dropped but rows that can be no event (no id, no time).
with app as (
    select
        event_id, 'app' as source, 'app:' || device_id as device_key, user_id, event_name, occurred_at, loaded_at,
        properties
    from {{ source('raw', 'app_events') }}
),

web as (
    select
        event_id, 'web' as source, 'web:' || anonymous_id as device_key, user_id, event_name, occurred_at, loaded_at,
        properties
    from {{ source('raw', 'web_events') }}
),

unioned as (
    select * from app
    union all
    select * from web
)

select
    event_id,
    source,
    device_key,
    user_id as known_user_id,
    event_name,
    -- A device's clock may be ahead of ours; nothing is loaded before it happened.
    least(occurred_at, loaded_at) as occurred_at,
    loaded_at,
    properties,
    {{ json_text('properties', 'cart_id') }} as cart_id,
    {{ json_text('properties', 'order_id') }} as order_id,
    {{ json_text('properties', 'product_id') }} as product_id,
    {{ json_text('properties', 'product_name') }} as product_name,
    {{ json_text('properties', 'product_category') }} as product_category,
    cast({{ json_text('properties', 'price') }} as {{ dbt.type_float() }}) as price,
    cast({{ json_text('properties', 'quantity') }} as {{ dbt.type_int() }}) as quantity,
    cast({{ json_text('properties', 'revenue') }} as {{ dbt.type_float() }}) as revenue,
    cast({{ json_text('properties', 'latitude') }} as {{ dbt.type_float() }}) as latitude,
    cast({{ json_text('properties', 'longitude') }} as {{ dbt.type_float() }}) as longitude
from unioned
where event_id is not null and event_name is not null and occurred_at is not null and loaded_at is not null
