-- One row per (source, local date, value of one dimension), over every row of silver.
SELECT source, event_date AS activity_date, '{dimension}' AS dimension, {value} AS value,
       count(*) AS row_count,
       count(*) FILTER (WHERE is_counted) AS event_count,
       count(*) FILTER (WHERE is_counted AND is_active) AS active_event_count,
       count(*) FILTER (WHERE is_counted AND actor_id IS NULL) AS events_without_actor,
       count(*) FILTER (WHERE NOT is_counted) AS filtered_count{measures}
FROM events
GROUP BY source, event_date, {value}
