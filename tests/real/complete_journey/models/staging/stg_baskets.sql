-- One row per purchase.
select
    household_id,
    basket_id,
    min(transaction_timestamp) as occurred_at,
    {{ loaded_at('min(transaction_timestamp)', 'basket_id') }} as loaded_at,
    sum(cast(sales_value as decimal(12, 2))) as basket_value,
    count(*) as lines,
    sum(cast(coupon_disc as decimal(12, 2))) as coupon_discount
from {{ source('raw', 'transactions') }}
group by household_id, basket_id
