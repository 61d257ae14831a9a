-- High-value customers who have gone quiet: they spent a lot, and bought nothing for `lapsed_after_days`.
select
    user_id,
    sum(revenue) as lifetime_value,
    count(*) as orders,
    max(ordered_at) as last_ordered_at
from {{ ref('orders') }}
group by user_id
having sum(revenue) >= {{ var('high_value_from') }}
    and max(ordered_at) < {{ dbt.dateadd('day', '-' ~ var('lapsed_after_days'), activate_now()) }}
