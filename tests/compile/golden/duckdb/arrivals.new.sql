-- Occurrences not seen before.
CREATE TEMPORARY TABLE tick_new AS
SELECT
  r.campaign,
  r.user_id,
  r.occurrence_id,
  r.entered_at,
  r.is_late,
  r.match_key,
  r.context,
  r.entry_id
FROM (
  SELECT
    o.*,
    ROW_NUMBER() OVER (PARTITION BY o.entry_id ORDER BY o.entered_at, o.visible_at, o.context) AS place
  FROM (
    SELECT
      a.*,
      MD5(a.campaign || '|' || a.user_id || '|' || a.occurrence_id) AS entry_id
    FROM tick_raw AS a
  ) AS o
) AS r
LEFT JOIN "activate".entries AS e
  ON e.entry_id = r.entry_id
LEFT JOIN (
  SELECT
    d.entry_id
  FROM "activate".decisions AS d
  WHERE
    d.decided_at >= :seen_from AND d.step = 0
  GROUP BY
    d.entry_id
) AS s
  ON s.entry_id = r.entry_id
WHERE
  r.place = 1 AND e.entry_id IS NULL AND s.entry_id IS NULL
