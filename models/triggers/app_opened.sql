-- Somebody opened the app.
select event_id, user_id, occurred_at, loaded_at
from {{ ref('events') }}
where event_name = 'app_opened'
