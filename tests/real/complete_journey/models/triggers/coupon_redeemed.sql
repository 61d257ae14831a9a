-- A coupon of a real campaign was really redeemed.
select
    event_id,
    household_id,
    campaign_id,
    coupon_upc,
    occurred_at,
    loaded_at
from {{ ref('stg_redemptions') }}
