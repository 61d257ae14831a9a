{#- Creates the tables of a declared source that do not exist yet, empty, with the columns that its yml declares: models on
    Activate's state build before the first tick. A table that exists is never touched, nor one
    whose `config.meta.create_missing` is false. Use it as an `on-run-start` hook. -#}
{%- macro activate_create_missing(source_name) -%}
  {%- if execute and flags.WHICH in ('build', 'run', 'test', 'snapshot', 'seed') -%}
    {%- set tables = graph.sources.values() | selectattr('source_name', 'equalto', source_name) | list -%}
    {%- if not tables -%}
      {%- do exceptions.raise_compiler_error("activate_create_missing: no source is called '" ~ source_name ~ "'") -%}
    {%- endif -%}
    {%- set missing = [] -%}
    {%- for table in tables if (table.config.meta or {}).get('create_missing', true) -%}
      {%- if adapter.get_relation(table.database, table.schema, table.identifier) is none -%}
        {%- do missing.append(table) -%}
      {%- endif -%}
    {%- endfor -%}
    {%- if missing -%}
      {%- if not adapter.check_schema_exists(missing[0].database, missing[0].schema) -%}
        {%- do adapter.create_schema(activate_relation(missing[0])) -%}
      {%- endif -%}
      {%- call statement(auto_begin=true) -%}
        {%- for table in missing %}
          create table if not exists {{ activate_relation(table) }} (
          {%- for column in table.columns.values() %}
            {{ adapter.quote(column.name) }} {{ activate_type(column.data_type) }}
            {%- if (column.config.meta or {}).get('required') %} not null{% endif %}{{ ',' if not loop.last }}
          {%- endfor %}
          );
        {%- endfor -%}
      {%- endcall -%}
      {%- do adapter.commit() -%}
      {%- do log(
        'activate: created empty tables of source ' ~ source_name ~ ': ' ~ missing | map(attribute='name') | join(', '),
        info=true
      ) -%}
    {%- endif -%}
  {%- endif -%}
{%- endmacro -%}

{%- macro activate_relation(table) -%}
  {%- do return(api.Relation.create(database=table.database, schema=table.schema, identifier=table.identifier)) -%}
{%- endmacro -%}

{#- A declared type in the warehouse's own words. -#}
{%- macro activate_type(name) -%}
  {%- set types = {
    'text': dbt.type_string(), 'bigint': dbt.type_bigint(), 'boolean': dbt.type_boolean(),
    'timestamp': dbt.type_timestamp(), 'double': dbt.type_float(),
  } -%}
  {{ types.get(name | lower, name) }}
{%- endmacro -%}
