-- Somebody clicked a link in one of Activate's messages. Built on Activate's own state and on what providers report.
select
    engagement_id as event_id,
    user_id,
    occurred_at,
    loaded_at,
    message_id,
    campaign,
    step,
    channel
from {{ ref('stg_engagement') }}
where kind = 'clicked' and campaign is not null and not is_machine
