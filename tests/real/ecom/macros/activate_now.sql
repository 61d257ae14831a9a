{# The instant that the segments are asked about. `--vars '{activate_now: "2017-10-26 06:00:00"}'` builds them for that
   instant; without it they follow the one row of raw.as_of, so that a replay need not build them anew each day. #}
{% macro activate_now() -%}
  {%- if var('activate_now', none) -%}
    cast('{{ var("activate_now") }}' as timestamp)
  {%- else -%}
    (select max(as_of) from {{ source('raw', 'as_of') }})
  {%- endif -%}
{%- endmacro %}
