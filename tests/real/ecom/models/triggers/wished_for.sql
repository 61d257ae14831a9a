-- Something was put on a wish list.
select event_id, user_id, session_id, occurred_at, loaded_at
from {{ ref('events') }}
where event_name = 'wishlist_add'
