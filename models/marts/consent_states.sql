-- The last word on each address as of activate_now(): per channel and address, for everything (group_name is null) and per
-- group. At one instant an unsubscribe wins over a subscribe.
with known as (
    select *
    from {{ ref('stg_consents') }}
    where occurred_at <= {{ activate_now() }} and loaded_at <= {{ activate_now() }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by channel, address, group_name
            order by occurred_at desc, case when state = 'unsubscribed' then 0 else 1 end, consent_id
        ) as recency
    from known
)

select channel, address, group_name, state, occurred_at as changed_at
from ranked
where recency = 1
