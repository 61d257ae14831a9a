{#- A top-level member of a JSON document (as text), as text; null if it is missing. -#}
{%- macro json_text(document, key) -%}
  {{ adapter.dispatch('json_text')(document, key) }}
{%- endmacro -%}

{%- macro default__json_text(document, key) -%}
  json_extract_path_text(cast({{ document }} as json), '{{ key }}')
{%- endmacro -%}

{%- macro duckdb__json_text(document, key) -%}
  json_extract_string({{ document }}, '$.{{ key }}')
{%- endmacro -%}

{%- macro snowflake__json_text(document, key) -%}
  json_extract_path_text({{ document }}, '{{ key }}')
{%- endmacro -%}

{%- macro bigquery__json_text(document, key) -%}
  json_value({{ document }}, '$.{{ key }}')
{%- endmacro -%}
