-- Households that bought at least five times and then nothing for 21 days, as far as the warehouse knew.
select household_id, count(*) as baskets, max(occurred_at) as last_basket_at
from {{ ref('stg_baskets') }}
where occurred_at <= {{ activate_now() }} and loaded_at <= {{ activate_now() }}
group by household_id
having count(*) >= 5 and max(occurred_at) <= {{ activate_now() }} - interval '21 days'
