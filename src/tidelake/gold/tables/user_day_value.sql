-- One row per (actor, local date, value of one dimension): counts of the events with that value.
SELECT actor_id, event_date AS activity_date, '{dimension}' AS dimension,
       coalesce(CAST({column} AS VARCHAR), '(unknown)') AS value,
       count(*) AS event_count,
       count(*) FILTER (WHERE is_active) AS active_event_count,
       count(*) FILTER (WHERE is_active) > 0 AS is_active{measures}
FROM events
GROUP BY actor_id, event_date, coalesce(CAST({column} AS VARCHAR), '(unknown)')
