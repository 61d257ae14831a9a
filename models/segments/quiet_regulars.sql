-- Made by `dbt-activate request` from rules/requests/quiet_regulars.yml; fingerprint cf9b1e33522dbf10. Change the request, not this file.
-- Bought at least 3 times in 40 days, has not opened the app for 3 days, and lives in
-- Germany or the Netherlands. Asked for by growth.
--
-- Everybody in profiles, where
--   all of:
--     1. did purchase at least 3 times within 40 days
--     2. did not do app_opened within 3 days
--     3. country is one of 'DE', 'NL' and is_employee is false
--     4. any of:
--       4.1. did purchase, revenue adding up to at least 500, within 30 days
--       4.2. is not in the segment newsletter_engaged
with happened as (
    select
        user_id,
        event_name,
        occurred_at,
        revenue
    from {{ ref('events') }} as events
    where
        event_name in ('app_opened', 'purchase')
        and occurred_at > {{ dbt.dateadd('day', -40, activate_now()) }}
        and occurred_at <= {{ activate_now() }}
        and loaded_at <= {{ activate_now() }}
),

counted as (
    select
        user_id,
        count(
            case
                when event_name = 'purchase' and occurred_at > {{ dbt.dateadd('day', -40, activate_now()) }}
                then 1
            end
        ) as purchase_times_in_40_days,
        count(
            case
                when event_name = 'app_opened' and occurred_at > {{ dbt.dateadd('day', -3, activate_now()) }}
                then 1
            end
        ) as app_opened_times_in_3_days,
        sum(
            case
                when event_name = 'purchase' and occurred_at > {{ dbt.dateadd('day', -30, activate_now()) }}
                then revenue
            end
        ) as purchase_revenue_in_30_days
    from happened
    group by
        user_id
),

in_newsletter_engaged as (
    select distinct
        user_id
    from {{ ref('newsletter_engaged') }} as segment
),

asked as (
    select
        profiles.user_id,
        coalesce(counted.purchase_times_in_40_days, 0) as purchase_times_in_40_days,
        counted.purchase_revenue_in_30_days,
        -- 1. did purchase at least 3 times within 40 days
        coalesce(counted.purchase_times_in_40_days, 0) >= 3 as line_1,
        -- 2. did not do app_opened within 3 days
        coalesce(counted.app_opened_times_in_3_days, 0) = 0 as line_2,
        -- 3. country is one of 'DE', 'NL' and is_employee is false
        profiles.country in ('DE', 'NL') and profiles.is_employee = false as line_3,
        -- 4.1. did purchase, revenue adding up to at least 500, within 30 days
        counted.purchase_revenue_in_30_days >= 500 as line_4_1,
        -- 4.2. is not in the segment newsletter_engaged
        in_newsletter_engaged.user_id is null as line_4_2
    from {{ ref('profiles') }} as profiles
    left join counted
        on counted.user_id = profiles.user_id
    left join in_newsletter_engaged
        on in_newsletter_engaged.user_id = profiles.user_id
)

select
    user_id,
    purchase_times_in_40_days,
    purchase_revenue_in_30_days
from asked
where
    line_1 and line_2 and line_3 and (
        line_4_1 or line_4_2
    )
