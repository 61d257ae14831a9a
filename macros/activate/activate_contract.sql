{#- Generic tests of the contract between a dbt model and the rules. They read `config.meta.activate` of the model they stand
    on, so there is nothing to repeat: one row comes back for each thing that is wrong. -#}

{%- macro activate_contract_of(model, kind) -%}
  {%- set found = [] -%}
  {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
    {%- if (node.alias or node.name) == model.identifier and node.schema == model.schema -%}
      {%- do found.append(node) -%}
    {%- endif -%}
  {%- endfor -%}
  {%- set contract = (found[0].config.meta or {}).get('activate', {}) if found else {} -%}
  {%- if contract.get('kind') != kind -%}
    {%- do exceptions.raise_compiler_error(
      model ~ " has no contract: write `config: {meta: {activate: {kind: " ~ kind ~ ", key: user_id, ...}}}`"
    ) -%}
  {%- endif -%}
  {%- set needed = ['key', 'id', 'time'] if kind == 'trigger' else ['key'] -%}
  {%- for name in needed if not contract.get(name) -%}
    {%- do exceptions.raise_compiler_error(model ~ ": config.meta.activate has no `" ~ name ~ "`") -%}
  {%- endfor -%}
  {%- do return(contract) -%}
{%- endmacro -%}

{#- A segment: one row per member, and every member has a key. -#}
{%- test activate_segment_contract(model) -%}
  {%- if execute -%}
  {%- set key = adapter.quote(activate_contract_of(model, 'segment').key) -%}
  select 'key is null' as problem, cast(null as {{ dbt.type_string() }}) as evidence
  from {{ model }} where {{ key }} is null
  union all
  select 'key is not unique', cast({{ key }} as {{ dbt.type_string() }})
  from {{ model }} where {{ key }} is not null group by {{ key }} having count(*) > 1
  {%- else -%}
  select 1 from {{ model }}
  {%- endif -%}
{%- endtest -%}

{#- A trigger: one row per occurrence, with key, id and time; no time more than `future_hours` ahead, no row loaded more than
    `clock_skew_minutes` before it happened. -#}
{%- test activate_trigger_contract(model, future_hours=48, clock_skew_minutes=60) -%}
  {%- if execute -%}
  {%- set contract = activate_contract_of(model, 'trigger') -%}
  {%- set key, id, time = adapter.quote(contract.key), adapter.quote(contract.id), adapter.quote(contract.time) -%}
  {%- set text = dbt.type_string() -%}
  select problem, evidence from (
    select
      case
        when {{ id }} is null then 'id is null'
        when {{ key }} is null then 'key is null'
        when {{ time }} is null then 'time is null'
        when {{ time }} > {{ dbt.dateadd('hour', future_hours, activate_now()) }} then 'time is in the far future'
        {%- if contract.get('loaded') %}
        {%- set loaded = adapter.quote(contract.loaded) %}
        when {{ loaded }} is null then 'load time is null'
        when {{ loaded }} < {{ dbt.dateadd('minute', -clock_skew_minutes, time) }} then 'loaded before it happened'
        {%- endif %}
      end as problem,
      cast({{ id }} as {{ text }}) as evidence
    from {{ model }}
  ) as checked
  where problem is not null
  union all
  select 'id and key are not unique', cast({{ id }} as {{ text }})
  from {{ model }}
  where {{ id }} is not null and {{ key }} is not null
  group by {{ id }}, {{ key }} having count(*) > 1
  {%- else -%}
  select 1 from {{ model }}
  {%- endif -%}
{%- endtest -%}
