-- A redemption is known by its day in the stores (five hours behind UTC). It gets the time of the household's last
-- basket of that day, or noon in the stores where there is none.
with days as (
    select household_id, cast(occurred_at - interval '5 hours' as date) as day, max(occurred_at) as last_basket_at
    from {{ ref('stg_baskets') }}
    group by household_id, cast(occurred_at - interval '5 hours' as date)
),
timed as (
    select
        redemptions.household_id,
        redemptions.campaign_id,
        redemptions.coupon_upc,
        cast(redemptions.redemption_date as date) as redeemed_on,
        coalesce(days.last_basket_at, redemptions.redemption_date + interval '17 hours') as occurred_at
    from {{ source('raw', 'coupon_redemptions') }} as redemptions
    left join days
        on days.household_id = redemptions.household_id
        and days.day = cast(redemptions.redemption_date as date)
)
select
    'r' || household_id || ':' || campaign_id || ':' || coupon_upc || ':' || redeemed_on as event_id,
    timed.*,
    {{ loaded_at('occurred_at', 'coupon_upc') }} as loaded_at
from timed
