-- Whether they may enter again.
CREATE TEMPORARY TABLE tick_door AS
SELECT
  e.*,
  CASE
    WHEN e.eligibility IS NOT NULL
    THEN e.eligibility
    WHEN e.once_per_tick
    AND ROW_NUMBER() OVER (
      PARTITION BY e.campaign, e.user_id, e.eligibility IS NULL
      ORDER BY e.entered_at, e.entry_id
    ) > 1
    THEN 'not_re_eligible'
  END AS refusal
FROM (
  SELECT
    c.*,
    CASE
      WHEN c.verdict IS NOT NULL
      THEN c.verdict
      WHEN l.last_at IS NOT NULL
      AND (
        c.re_enter = 'never' OR l.last_at > c.eligible_before
      )
      THEN 'not_re_eligible'
    END AS eligibility
  FROM tick_competed AS c
  LEFT JOIN tick_last_time AS l
    ON l.entry_id = c.entry_id
) AS e
