-- Whose turn it is.
INSERT INTO tick_turns (
  entry_id,
  turn
)
SELECT
  q.entry_id,
  CAST(:round AS BIGINT)
FROM (
  SELECT
    r.entry_id,
    r.place,
    MIN(r.place) OVER (PARTITION BY r.user_id) AS first_of_person,
    MIN(r.place) OVER (PARTITION BY r.channel, COALESCE(r.share, r.user_id)) AS first_of_address
  FROM tick_ranked AS r
  LEFT JOIN tick_turns AS t
    ON t.entry_id = r.entry_id
  WHERE
    t.entry_id IS NULL
) AS q
WHERE
  q.place = q.first_of_person AND q.place = q.first_of_address
