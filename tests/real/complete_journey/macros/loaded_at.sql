{# When an event reached the warehouse. The data set does not say, so a fixed rule does: most rows take some minutes,
   one in 29 takes up to 36 hours (more than a day, so that some are too late), by the digits of a number of the row. #}
{% macro loaded_at(occurred_at, number) -%}
  {{ occurred_at }} + interval '1 second' * (
    case when {{ number }} % 29 = 0 then 3600 * (1 + {{ number }} % 36) else 60 * (1 + {{ number }} % 17) end
  )
{%- endmacro %}
