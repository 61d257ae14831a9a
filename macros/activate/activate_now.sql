{#- The instant a segment is computed for: `--vars '{activate_now: 2026-10-31T06:00:00}'` while history is replayed, the
    clock otherwise. A time with an offset is converted; UTC is meant where there is none. -#}
{%- macro activate_now() -%}
  {%- set given = var('activate_now', none) -%}
  {%- if given -%}
    {%- set instant = modules.datetime.datetime.fromisoformat(given | string) -%}
    {%- if instant.tzinfo -%}
      {%- set instant = instant.astimezone(modules.pytz.utc).replace(tzinfo=none) -%}
    {%- endif -%}
    cast('{{ instant.isoformat(sep=" ") }}' as {{ dbt.type_timestamp() }})
  {%- else -%}
    {{ adapter.dispatch('activate_utc_clock')() }}
  {%- endif -%}
{%- endmacro -%}

{%- macro default__activate_utc_clock() -%}
  cast(current_timestamp at time zone 'UTC' as {{ dbt.type_timestamp() }})
{%- endmacro -%}

{%- macro snowflake__activate_utc_clock() -%}
  sysdate()
{%- endmacro -%}

{%- macro bigquery__activate_utc_clock() -%}
  current_timestamp()
{%- endmacro -%}
