-- Our own people: campaigns leave them out with `audience: {not_in: [employees]}`.
select user_id
from {{ ref('profiles') }}
where is_employee
