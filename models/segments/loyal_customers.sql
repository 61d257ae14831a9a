-- Three orders or more in 30 days.
select
    user_id,
    count(*) as orders,
    sum(revenue) as revenue
from {{ ref('orders') }}
where ordered_at >= {{ dbt.dateadd('day', -30, activate_now()) }}
group by user_id
having count(*) >= 3
