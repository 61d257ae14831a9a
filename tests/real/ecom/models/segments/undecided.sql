-- People with three visits or more in a week, and no purchase in it, as far as the warehouse knew.
select user_id, count(distinct session_id) as visits
from {{ ref('events') }}
where occurred_at > {{ activate_now() }} - interval '7 days'
    and occurred_at <= {{ activate_now() }}
    and loaded_at <= {{ activate_now() }}
group by user_id
having count(distinct session_id) >= 3 and max(case when event_name = 'purchase' then 1 else 0 end) = 0
