{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key='event_id',
) }}
-- Somebody looked at a product of a category; views_today counts the person's views of that category on that day (UTC), so
-- that a rule can ask for the third: `where: views_today = 3`.
with views as (
    select
        event_id, user_id, occurred_at, loaded_at, product_category, product_id, product_name,
        cast(occurred_at as date) as browsed_on
    from {{ ref('events') }}
    where event_name = 'product_viewed' and product_category is not null
)

select
    views.*,
    row_number() over (
        partition by views.user_id, views.product_category, views.browsed_on order by views.occurred_at, views.event_id
    ) as views_today
from views
{% if is_incremental() %}
-- A late view changes the count of those after it: the whole day of that person and category is counted again.
where exists (
    select 1
    from views as recent
    where recent.loaded_at > {{ loaded_after() }}
        and recent.user_id = views.user_id
        and recent.product_category = views.product_category
        and recent.browsed_on = views.browsed_on
)
{% endif %}
