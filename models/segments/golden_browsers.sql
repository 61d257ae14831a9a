-- Made by `dbt-activate request` from rules/requests/golden_browsers.yml; fingerprint d069fe01bc909978. Change the request, not this file.
-- Reached the gold tier, look at sofas or lamps again and again, but bought nothing for a
-- week. Asked for by growth.
--
-- Everybody in profiles, where
--   all of:
--     1. did loyalty_tier_reached, where tier is 'gold'
--     2. did product_viewed at least twice within 14 days, where product_category is one of
--        'sofas', 'lamps' and price is more than 50
--     3. did not do purchase within 7 days
--     4. not so: email_consent is 'unsubscribed'
with happened as (
    select
        user_id,
        event_name,
        occurred_at,
        {{ json_text('properties', 'tier') }} as tier,
        product_category,
        price
    from {{ ref('events') }} as events
    where
        event_name in ('loyalty_tier_reached', 'product_viewed', 'purchase')
        and occurred_at <= {{ activate_now() }}
        and loaded_at <= {{ activate_now() }}
),

counted as (
    select
        user_id,
        count(case when event_name = 'loyalty_tier_reached' and tier = 'gold' then 1 end) as loyalty_tier_reached_times,
        count(
            case
                when event_name = 'product_viewed'
                and occurred_at > {{ dbt.dateadd('day', -14, activate_now()) }}
                and product_category in ('sofas', 'lamps')
                and price > 50
                then 1
            end
        ) as product_viewed_times_in_14_days,
        count(
            case
                when event_name = 'purchase' and occurred_at > {{ dbt.dateadd('day', -7, activate_now()) }}
                then 1
            end
        ) as purchase_times_in_7_days
    from happened
    group by
        user_id
),

asked as (
    select
        profiles.user_id,
        coalesce(counted.loyalty_tier_reached_times, 0) as loyalty_tier_reached_times,
        coalesce(counted.product_viewed_times_in_14_days, 0) as product_viewed_times_in_14_days,
        -- 1. did loyalty_tier_reached, where tier is 'gold'
        coalesce(counted.loyalty_tier_reached_times, 0) >= 1 as line_1,
        -- 2. did product_viewed at least twice within 14 days, where product_category is one of
        --    'sofas', 'lamps' and price is more than 50
        coalesce(counted.product_viewed_times_in_14_days, 0) >= 2 as line_2,
        -- 3. did not do purchase within 7 days
        coalesce(counted.purchase_times_in_7_days, 0) = 0 as line_3,
        -- 4. not so: email_consent is 'unsubscribed'
        not coalesce(profiles.email_consent = 'unsubscribed', false) as line_4
    from {{ ref('profiles') }} as profiles
    left join counted
        on counted.user_id = profiles.user_id
)

select
    user_id,
    loyalty_tier_reached_times,
    product_viewed_times_in_14_days
from asked
where
    line_1 and line_2 and line_3 and line_4
