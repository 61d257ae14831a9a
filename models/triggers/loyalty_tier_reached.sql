-- A custom event of this shop: somebody climbed to another tier of the loyalty programme. Any event that a tracker sends
-- becomes a trigger this way.
select event_id, user_id, occurred_at, loaded_at, {{ json_text('properties', 'tier') }} as tier
from {{ ref('events') }}
where event_name = 'loyalty_tier_reached'
