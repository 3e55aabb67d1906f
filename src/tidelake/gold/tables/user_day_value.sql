-- One row per (actor, local date, value of one dimension): counts of the events with that value.
SELECT parts.actor_id, parts.event_date AS activity_date, '{dimension}' AS dimension, parts.value,
       parts.event_count, parts.active_event_count, parts.active_event_count > 0 AS is_active{outputs}
FROM (
    SELECT actor_id, event_date, {value} AS value,
           CAST(sum(row_count) AS BIGINT) AS event_count,
           CAST(sum(CASE WHEN is_active THEN row_count ELSE 0 END) AS BIGINT) AS active_event_count{measures}
    FROM temp.event_groups
    WHERE is_counted AND actor_id IS NOT NULL
    GROUP BY actor_id, event_date, {value}
) AS parts{joins}
