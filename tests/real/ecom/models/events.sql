-- The stream has no ids: an event is told from another by all that it says, so a row that was sent twice stays one event
-- twice. Nor does it say when a row arrived: some minutes later, and three hours later for one session in 23.
select
    user_id || '|' || session_id || '|' || event || '|' || "timestamp" as event_id,
    user_id,
    session_id,
    event as event_name,
    "timestamp" as occurred_at,
    "timestamp" + interval '1 minute' * case when cast(substr(session_id, 6) as integer) % 23 = 0 then 180
        else 1 + line % 9 end as loaded_at,
    platform,
    cast(json_object('session_id', session_id) as text) as properties
from {{ source('raw', 'events') }}
