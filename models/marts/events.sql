{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='event_id',
    on_schema_change='append_new_columns',
) }}
-- What people did, in the app and on the web, each event once and with the person it belongs to. Events of devices that
-- nobody has logged in on are not here yet; a later log-in brings them in.
--
-- loaded_at is when the row could first be seen in this form: the later of the event's own load and the load of the log-in
-- that says whose it is. Whoever scans by load time (Activate does) therefore misses none.
with raw_events as (
    select * from {{ ref('stg_events') }}
),

{% if is_incremental() %}
affected as (
    select event_id from raw_events where loaded_at > {{ loaded_after() }}
    union
    -- A log-in that has become known changes whose everything on that device is.
    select raw_events.event_id
    from raw_events
    where raw_events.device_key in (
        select device_key from {{ ref('identity_spans') }} where loaded_at > {{ loaded_after() }}
    )
),
{% endif %}

ranked as (
    select
        raw_events.*,
        -- A collector may send an event twice, and the app and the web may both report it: the copy loaded first counts.
        row_number() over (
            partition by raw_events.event_id order by raw_events.loaded_at, raw_events.source, raw_events.device_key
        ) as copy
    from raw_events
    {% if is_incremental() %}
    where raw_events.event_id in (select event_id from affected)
    {% endif %}
)

select
    ranked.event_id,
    coalesce(ranked.known_user_id, spans.user_id) as user_id,
    ranked.event_name,
    ranked.occurred_at,
    case
        when ranked.known_user_id is null and spans.loaded_at > ranked.loaded_at then spans.loaded_at
        else ranked.loaded_at
    end as loaded_at,
    ranked.source,
    ranked.device_key,
    ranked.known_user_id is null as is_stitched,
    ranked.cart_id,
    ranked.order_id,
    ranked.product_id,
    ranked.product_name,
    ranked.product_category,
    ranked.price,
    ranked.quantity,
    ranked.revenue,
    ranked.latitude,
    ranked.longitude,
    ranked.properties
from ranked
left join {{ ref('identity_spans') }} as spans
    on ranked.known_user_id is null
    and spans.device_key = ranked.device_key
    and ranked.occurred_at >= spans.valid_from
    and ranked.occurred_at < spans.valid_to
where ranked.copy = 1 and coalesce(ranked.known_user_id, spans.user_id) is not null
