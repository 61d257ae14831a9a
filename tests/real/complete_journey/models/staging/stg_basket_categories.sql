-- One row per purchase and product category.
select
    baskets.household_id,
    baskets.basket_id,
    baskets.occurred_at,
    baskets.loaded_at,
    products.product_category as category,
    sum(cast(lines.sales_value as decimal(12, 2))) as category_value
from {{ source('raw', 'transactions') }} as lines
join {{ source('raw', 'products') }} as products on products.product_id = lines.product_id
join {{ ref('stg_baskets') }} as baskets on baskets.basket_id = lines.basket_id
where products.product_category is not null
group by baskets.household_id, baskets.basket_id, baskets.occurred_at, baskets.loaded_at, products.product_category
