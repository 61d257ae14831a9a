-- Every change of consent, append-only, once each: what people chose in the shop, and what providers report
-- (an unsubscribe link, a STOP). Consent belongs to the address, not to the person. No group means: everything.
with chosen as (
    select
        consent_id, channel, {{ normal_address('channel', 'address') }} as address, group_name, state, occurred_at, loaded_at
    from {{ source('raw', 'consents') }}
),

reported as (
    select
        engagement_id as consent_id, channel, address, cast(null as {{ dbt.type_string() }}) as group_name,
        'unsubscribed' as state, occurred_at, loaded_at
    from {{ ref('stg_engagement') }}
    where kind = 'unsubscribed'
),

unioned as (
    select * from chosen
    union all
    select * from reported
),

ranked as (
    select
        *,
        row_number() over (partition by consent_id order by loaded_at) as copy
    from unioned
    where address is not null
)

select consent_id, channel, address, group_name, state, occurred_at, loaded_at
from ranked
where copy = 1
