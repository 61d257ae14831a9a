{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='event_id',
) }}
-- Somebody changed a cart: one row per change, with what the cart was worth after it. Whether the cart is then left behind is
-- for the rule to say: `on_retrigger: restart` makes its wait count from the last change, and a purchase ends it.
with changes as (
    select
        event_id, user_id, occurred_at, loaded_at, cart_id, product_name, product_category, source,
        case event_name when 'remove_from_cart' then -quantity else quantity end as items,
        case event_name when 'remove_from_cart' then -1 else 1 end * quantity * price as amount
    from {{ ref('events') }}
    where event_name in ('add_to_cart', 'remove_from_cart') and cart_id is not null
)

select
    changes.event_id,
    changes.user_id,
    changes.occurred_at,
    changes.loaded_at,
    changes.cart_id,
    changes.product_name,
    changes.product_category,
    changes.source,
    sum(changes.items) over running as items,
    sum(changes.amount) over running as cart_value
from changes
{% if is_incremental() %}
where changes.cart_id in (select recent.cart_id from changes as recent where recent.loaded_at > {{ loaded_after() }})
{% endif %}
window running as (
    partition by changes.cart_id
    order by changes.occurred_at, changes.event_id rows between unbounded preceding and current row
)
