-- Opened or clicked an e-mail within 30 days, and still wants the newsletter. Machines that open mail do not count.
select
    profiles.user_id,
    count(*) as reactions,
    max(engagement.occurred_at) as last_reacted_at
from {{ ref('profiles') }} as profiles
inner join {{ ref('stg_engagement') }} as engagement on engagement.user_id = profiles.user_id
where engagement.channel = 'email'
    and engagement.kind in ('opened', 'clicked')
    and not engagement.is_machine
    and engagement.occurred_at >= {{ dbt.dateadd('day', -30, activate_now()) }}
    and engagement.occurred_at <= {{ activate_now() }} and engagement.loaded_at <= {{ activate_now() }}
    and profiles.newsletter_consent in ('opted_in', 'subscribed')
group by profiles.user_id
