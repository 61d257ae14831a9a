{# A JSON object, in the function that each warehouse has for it. `pairs` maps member names to SQL expressions. #}
{% macro json_object(pairs) -%}
  {{ 'json_object' if target.type == 'duckdb' else 'json_build_object' }}(
  {%- for name, expression in pairs.items() -%}
    '{{ name }}', {{ expression }}{{ ', ' if not loop.last }}
  {%- endfor -%}
  )
{%- endmacro %}
