-- A sample segment: one row per member. Write the condition that makes it yours.
select $profile_key as user_id
from {{ ref('$profiles') }}
where 1 = 0
