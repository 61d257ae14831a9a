-- What providers report back about messages, once each. Reports name the message; the person comes from Activate's own
-- record of it, or from the report where the message was not Activate's.
with ranked as (
    select
        *,
        row_number() over (partition by engagement_id order by loaded_at) as copy
    from {{ source('raw', 'engagement') }}
)

select
    reports.engagement_id,
    reports.message_id,
    coalesce(messages.user_id, reports.user_id) as user_id,
    messages.campaign,
    messages.step,
    reports.channel,
    {{ normal_address('reports.channel', 'reports.address') }} as address,
    reports.kind,
    reports.bounce_type,
    coalesce(reports.is_machine, false) as is_machine,
    reports.occurred_at,
    reports.loaded_at
from ranked as reports
left join {{ source('activate', 'messages') }} as messages on messages.message_id = reports.message_id
where reports.copy = 1
