-- One row per person. Zones, addresses and consents are not in the stream: the number in the person's id decides.
select
    user_id,
    case number % 12
        when 0 then 'Europe/London' when 1 then 'Europe/Berlin' when 2 then 'Europe/Istanbul' when 3 then 'Africa/Cairo'
        when 4 then 'Africa/Casablanca' when 5 then 'Asia/Dubai' when 6 then 'Asia/Kolkata' when 7 then 'Asia/Singapore'
        when 8 then 'America/New_York' when 9 then 'America/Santiago' when 10 then 'europe/paris (old)'
    end as time_zone,
    case when number % 9 > 0 then user_id || '@example.com' end as email,
    case when number % 8 = 0 then 'unsubscribed' else 'opted_in' end as email_consent,
    case when number % 2 = 0 then 'token-' || user_id end as push_token,
    number % 6 <> 0 as push_consent,
    platform
from (
    select user_id, cast(substr(user_id, 6) as integer) as number, min(platform) as platform
    from {{ source('raw', 'events') }}
    group by user_id
) as people
