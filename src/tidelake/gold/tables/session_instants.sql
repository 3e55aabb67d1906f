-- The events at the start of each session and at its earliest watch event.
WITH wanted AS (
    SELECT actor_id, unit, started_at AS at_time
    FROM temp.session_totals
    WHERE {starting}
    UNION ALL
    SELECT actor_id, unit, first_watch_time AS at_time
    FROM temp.session_totals
    WHERE {starting} AND first_watch_time <> started_at
)
SELECT {columns}
FROM (SELECT * FROM ({events}) AS every WHERE event_time IN (SELECT at_time FROM wanted)) AS events
JOIN wanted
  ON wanted.actor_id = events.actor_id AND wanted.unit = events.unit AND wanted.at_time = events.event_time
