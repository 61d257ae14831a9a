-- Entries with an exception event.
CREATE TEMPORARY TABLE tick_exits AS
SELECT
  h.entry_id,
  h.event_id
FROM (
  SELECT
    e.entry_id,
    v.event_id,
    ROW_NUMBER() OVER (PARTITION BY e.entry_id ORDER BY v.happened_at, v.event_id) AS place
  FROM tick_events AS v
  JOIN "activate".entries AS e
    ON e.user_id = v.user_id
  JOIN tick_exceptions AS x
    ON x.exception_id = v.exception_id
    AND x.campaign = e.campaign
    AND x.campaign_version = e.campaign_version
  WHERE
    e.recorded_at >= :live_from
    AND v.happened_at >= e.entered_at
    AND v.event_id <> e.occurrence_id
    AND (
      NOT x.needs_match
      OR v.match_value = CASE
        WHEN x.secondary = 'cart_value'
        THEN JSON_EXTRACT_PATH_TEXT(CAST(e.context AS JSON), 'cart_value')
        ELSE e.match_key
      END
    )
) AS h
WHERE
  h.place = 1
