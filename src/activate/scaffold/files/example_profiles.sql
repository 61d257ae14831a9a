-- A stand-in for your profiles: one row per person. Replace it by your own model in rules/activate.yml, then delete it.
select
    cast(null as {{ dbt.type_string() }}) as user_id,
    cast(null as {{ dbt.type_string() }}) as time_zone,
    cast(null as {{ dbt.type_string() }}) as email,
    cast(null as {{ dbt.type_boolean() }}) as email_consent
where 1 = 0
