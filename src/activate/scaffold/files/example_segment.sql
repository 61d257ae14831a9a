-- A sample segment without members: one row per member is all that a segment is. Yours may begin like this:
--     select user_id from ref('profiles') where signed_up_at >= {{ activate_now() }} - interval '14 days'
select cast(null as {{ dbt.type_string() }}) as user_id
where 1 = 0
