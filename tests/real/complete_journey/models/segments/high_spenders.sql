-- Households that spent 400 or more in the last 30 days, as far as the warehouse knew.
select household_id, sum(basket_value) as spent
from {{ ref('stg_baskets') }}
where occurred_at > {{ activate_now() }} - interval '30 days'
    and occurred_at <= {{ activate_now() }}
    and loaded_at <= {{ activate_now() }}
group by household_id
having sum(basket_value) >= 400
