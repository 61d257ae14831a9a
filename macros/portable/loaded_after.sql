{#- For incremental models: what was loaded after this instant may be new. `activate_lookback_hours` before the newest row
    that is already here, because loads commit out of order; the beginning of time while the table is empty. -#}
{%- macro loaded_after(column='loaded_at') -%}
  (
    select coalesce(
      {{ dbt.dateadd('hour', -var('activate_lookback_hours'), 'max(' ~ column ~ ')') }},
      cast('1970-01-01' as {{ dbt.type_timestamp() }})
    )
    from {{ this }}
  )
{%- endmacro -%}
