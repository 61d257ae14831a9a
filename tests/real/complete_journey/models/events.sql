-- Everything a household did. The properties are JSON, so that rules can match on them.
{{ config(indexes=[{'columns': ['household_id', 'event_name', 'occurred_at']}, {'columns': ['event_name', 'loaded_at']}]) }}
select
    'b' || basket_id as event_id,
    household_id,
    'purchase' as event_name,
    occurred_at,
    loaded_at,
    basket_value as value,
    cast({{ json_object({'basket_id': 'basket_id'}) }} as text) as properties
from {{ ref('stg_baskets') }}
union all
select
    'b' || basket_id || ':' || category,
    household_id,
    'category_purchase',
    occurred_at,
    loaded_at,
    category_value,
    cast({{ json_object({'category': 'category'}) }} as text)
from {{ ref('stg_basket_categories') }}
union all
select
    event_id,
    household_id,
    'redemption',
    occurred_at,
    loaded_at,
    null,
    cast({{ json_object({'campaign_id': 'campaign_id'}) }} as text)
from {{ ref('stg_redemptions') }}
