-- Something was put into a cart.
select event_id, user_id, session_id, platform, occurred_at, loaded_at
from {{ ref('events') }}
where event_name = 'add_to_cart'
