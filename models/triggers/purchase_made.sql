-- Somebody bought something, in the app or on the web.
select event_id, user_id, occurred_at, loaded_at, order_id, cart_id, revenue, source
from {{ ref('events') }}
where event_name = 'purchase'
