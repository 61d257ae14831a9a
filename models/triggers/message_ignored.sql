-- A message that went out, and that a day later nobody had opened or clicked. It happens at the end of that day, not at a
-- report: this view looks at the state as it is, and a tick sees the row when its time has come.
-- Text messages are left out: nobody reports their opening, so all of them would look ignored.
with sent as (
    select message_id, user_id, campaign, step, channel, queued_at
    from {{ source('activate', 'messages') }}
    where channel in ('email', 'push')
        and message_id in (select message_id from {{ source('activate', 'deliveries') }} where status = 'accepted')
),

heard_of as (
    select message_id, min(occurred_at) as first_at
    from {{ ref('stg_engagement') }}
    where kind in ('opened', 'clicked', 'bounced', 'unsubscribed') and not is_machine
    group by message_id
),

judged as (
    select
        sent.*,
        {{ dbt.dateadd('hour', var('ignored_after_hours'), 'sent.queued_at') }} as ignored_at,
        heard_of.first_at
    from sent
    left join heard_of on heard_of.message_id = sent.message_id
)

select
    message_id || ':ignored' as event_id,
    user_id,
    ignored_at as occurred_at,
    ignored_at as loaded_at,
    message_id,
    campaign,
    step,
    channel
from judged
where first_at is null or first_at > ignored_at
