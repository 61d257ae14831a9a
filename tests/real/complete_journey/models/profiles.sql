-- One row per household, but for one in 97 that has none and one in 101 that has two. Zones, addresses and consents are
-- not in the data set: the household's number decides, so that every kind of person is there.
with households as (
    select distinct household_id from {{ ref('stg_baskets') }} where household_id % 97 <> 0
),
twice as (
    select household_id from households
    union all
    select household_id from households where household_id % 101 = 0
)
select
    twice.household_id,
    case twice.household_id % 25
        when 0 then 'America/New_York' when 1 then 'America/Chicago' when 2 then 'America/Denver'
        when 3 then 'America/Los_Angeles' when 4 then 'America/Phoenix' when 5 then 'Pacific/Honolulu'
        when 6 then 'America/Sao_Paulo' when 7 then 'America/St_Johns' when 8 then 'Europe/London'
        when 9 then 'Europe/Berlin' when 10 then 'Europe/Athens' when 11 then 'Africa/Lagos'
        when 12 then 'Asia/Gaza' when 13 then 'Asia/Tehran' when 14 then 'Asia/Kolkata'
        when 15 then 'Asia/Kathmandu' when 16 then 'Asia/Tokyo' when 17 then 'Australia/Lord_Howe'
        when 18 then 'Pacific/Auckland' when 19 then 'Pacific/Apia' when 20 then 'Pacific/Chatham'
        when 21 then 'UTC' when 22 then 'Mars/Olympus_Mons' when 23 then '(GMT-05:00) Eastern Time'
    end as time_zone,
    case when twice.household_id % 13 = 0 then null when twice.household_id % 13 = 1 then ''
        else 'household' || twice.household_id || '@example.com' end as email,
    case twice.household_id % 10 when 0 then 'unsubscribed' when 1 then null when 2 then 'opted_in'
        else 'subscribed' end as email_consent,
    case when twice.household_id % 3 = 0 then null else 'token-' || twice.household_id end as push_token,
    twice.household_id % 4 <> 0 as push_consent,
    case when twice.household_id % 5 = 0 then null else '+1555' || (1000000 + twice.household_id) end as phone,
    case when twice.household_id % 7 = 0 then true when twice.household_id % 7 = 1 then false end as sms_consent,
    demographics.household_size,
    demographics.income
from twice
left join {{ source('raw', 'demographics') }} as demographics on demographics.household_id = twice.household_id
