-- Looked at three products or more within three days, and bought nothing for a week.
with views as (
    select user_id, product_category, occurred_at
    from {{ ref('events') }}
    where event_name = 'product_viewed'
        and occurred_at >= {{ dbt.dateadd('day', -3, activate_now()) }}
        and occurred_at <= {{ activate_now() }} and loaded_at <= {{ activate_now() }}
),

buyers as (
    select distinct user_id
    from {{ ref('orders') }}
    where ordered_at >= {{ dbt.dateadd('day', -7, activate_now()) }}
)

select
    views.user_id,
    count(*) as product_views,
    max(views.occurred_at) as last_viewed_at
from views
left join buyers on buyers.user_id = views.user_id
where buyers.user_id is null
group by views.user_id
having count(*) >= 3
