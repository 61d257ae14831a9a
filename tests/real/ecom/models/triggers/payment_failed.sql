-- A payment did not go through, or the checkout broke.
select event_id, user_id, session_id, event_name as failure, occurred_at, loaded_at
from {{ ref('events') }}
where event_name in ('payment_error', 'checkout_bug')
