-- A purchase with its value. One in 31 is landed a second time, two hours after the first, as pipelines do.
select 'b' || basket_id as event_id, household_id, basket_id, basket_value, lines, occurred_at, loaded_at
from {{ ref('stg_baskets') }}
union all
select 'b' || basket_id, household_id, basket_id, basket_value, lines, occurred_at, loaded_at + interval '2 hours'
from {{ ref('stg_baskets') }}
where basket_id % 31 = 0
