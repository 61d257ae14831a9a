-- Purchases as of activate_now(), once per order.
with ranked as (
    select
        order_id, user_id, occurred_at as ordered_at, revenue,
        row_number() over (partition by order_id order by occurred_at, event_id) as copy
    from {{ ref('events') }}
    where event_name = 'purchase' and order_id is not null
        and occurred_at <= {{ activate_now() }} and loaded_at <= {{ activate_now() }}
)

select order_id, user_id, ordered_at, revenue
from ranked
where copy = 1
