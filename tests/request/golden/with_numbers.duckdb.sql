with happened as (
    select
        user_id,
        event_name,
        occurred_at,
        {{ json_text('properties', 'coupon') }} as coupon,
        json_extract_string(properties, '$."odd key"') as odd_key,
        quantity
    from {{ ref('events') }} as events
    where
        event_name in ('app_opened', 'purchase')
        and occurred_at > {{ dbt.dateadd('day', -90, activate_now()) }}
        and occurred_at <= {{ activate_now() }}
        and loaded_at <= {{ activate_now() }}
),

counted as (
    select
        user_id,
        count(
            case
                when event_name = 'purchase'
                and occurred_at > {{ dbt.dateadd('day', -90, activate_now()) }}
                and case
                    when regexp_matches(coupon, '^[-+]?[0-9]{1,200}([.][0-9]{1,200})?([eE][-+]?[0-9]{1,2})?$')
                    then cast(coupon as double)
                end >= 2
                and odd_key = 'it''s {{ "{" }}{ x }}'
                then 1
            end
        ) as purchase_times_in_90_days,
        count(
            case
                when event_name = 'app_opened' and occurred_at > {{ dbt.dateadd('day', -14, activate_now()) }}
                then 1
            end
        ) as app_opened_times_in_14_days,
        sum(
            case
                when event_name = 'purchase' and occurred_at > {{ dbt.dateadd('day', -30, activate_now()) }}
                then quantity
            end
        ) as purchase_quantity_in_30_days
    from happened
    group by
        user_id
),

in_loyal as (
    select distinct
        user_id
    from {{ ref('loyal') }} as segment
),

asked as (
    select
        profiles.user_id,
        coalesce(counted.purchase_times_in_90_days, 0) as purchase_times_in_90_days,
        counted.purchase_quantity_in_30_days,
        -- 1. did purchase at least 3 times within 90 days, where coupon is at least 2 and odd key is
        --    'it's { { x }}'
        coalesce(counted.purchase_times_in_90_days, 0) >= 3 as line_1,
        -- 2. did not do app_opened within 14 days
        coalesce(counted.app_opened_times_in_14_days, 0) = 0 as line_2,
        -- 3. city is 'Berlin'
        profiles.city = 'Berlin' as line_3,
        -- 4.1. did purchase, quantity adding up to at least 200, within 30 days
        counted.purchase_quantity_in_30_days >= 200 as line_4_1,
        -- 4.2. not so: country is one of 'DE', 'AT'
        not coalesce(profiles.country in ('DE', 'AT'), false) as line_4_2,
        -- 4.3. is in the segment loyal
        not in_loyal.user_id is null as line_4_3
    from {{ ref('profiles') }} as profiles
    left join counted
        on counted.user_id = profiles.user_id
    left join in_loyal
        on in_loyal.user_id = profiles.user_id
)

select
    user_id,
    purchase_times_in_90_days,
    purchase_quantity_in_30_days
from asked
where
    line_1 and line_2 and line_3 and (
        line_4_1 or line_4_2 or line_4_3
    )
