-- One row per (source, local date, value of one dimension), over every row of silver.
SELECT source, event_date AS activity_date, month_start(event_date) AS activity_month,
       '{dimension}' AS dimension, {value} AS value,
       CAST(sum(row_count) AS BIGINT) AS row_count,
       CAST(sum(CASE WHEN is_counted THEN row_count ELSE 0 END) AS BIGINT) AS event_count,
       CAST(sum(CASE WHEN is_counted AND is_active THEN row_count ELSE 0 END) AS BIGINT) AS active_event_count,
       CAST(sum(CASE WHEN is_counted AND actor_id IS NULL THEN row_count ELSE 0 END) AS BIGINT) AS events_without_actor,
       CAST(sum(CASE WHEN NOT is_counted THEN row_count ELSE 0 END) AS BIGINT) AS filtered_count{measures}
FROM temp.event_groups
GROUP BY source, event_date, {value}
