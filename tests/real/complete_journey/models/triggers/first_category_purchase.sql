-- The first time that a household bought anything of a product category. The id is that of the event.
select event_id, household_id, category, category_value, occurred_at, loaded_at
from (
    select
        'b' || basket_id || ':' || category as event_id,
        household_id,
        category,
        category_value,
        occurred_at,
        loaded_at,
        row_number() over (partition by household_id, category order by occurred_at, basket_id) as place
    from {{ ref('stg_basket_categories') }}
) as ranked
where place = 1
