-- One row per (actor, local date) with an event that counts.
SELECT actor_id, event_date,
       CAST(sum(row_count) AS BIGINT) AS event_count,
       CAST(sum(CASE WHEN is_active THEN row_count ELSE 0 END) AS BIGINT) AS active_event_count,
       min(first_time) AS first_event_time,
       max(last_time) AS last_event_time{measures}
FROM temp.event_groups
WHERE is_counted AND actor_id IS NOT NULL
GROUP BY actor_id, event_date
