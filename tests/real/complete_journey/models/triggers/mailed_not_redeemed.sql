-- Six days after a household was really mailed a campaign, none of that campaign's coupons had been redeemed.
select
    'm' || mailings.campaign_id || ':' || mailings.household_id as event_id,
    mailings.household_id,
    mailings.campaign_id,
    mailings.campaign_type,
    mailings.sent_at + interval '6 days' as occurred_at,
    mailings.sent_at + interval '6 days' as loaded_at
from {{ ref('stg_mailings') }} as mailings
where not exists (
    select 1
    from {{ ref('stg_redemptions') }} as redemptions
    where redemptions.household_id = mailings.household_id
        and redemptions.campaign_id = mailings.campaign_id
        and redemptions.occurred_at >= mailings.sent_at
        and redemptions.occurred_at < mailings.sent_at + interval '6 days'
)
