-- Signed up within two weeks and not through with onboarding.
with finished as (
    select distinct user_id
    from {{ ref('events') }}
    where event_name = 'onboarding_completed'
        and occurred_at <= {{ activate_now() }} and loaded_at <= {{ activate_now() }}
)

select
    profiles.user_id,
    profiles.signed_up_at
from {{ ref('profiles') }} as profiles
left join finished on finished.user_id = profiles.user_id
where finished.user_id is null
    and profiles.signed_up_at <= {{ activate_now() }}
    and profiles.signed_up_at >= {{ dbt.dateadd('day', -14, activate_now()) }}
