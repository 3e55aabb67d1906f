-- Rows of silver by source, date, actor and all dimension values: what the tables by day add up from.
SELECT source, event_date, actor_id, is_counted, is_active{dimensions},
       count(*) AS row_count,
       min(event_time) AS first_time,
       max(event_time) AS last_time{measures}
FROM ({events}) AS events
GROUP BY source, event_date, actor_id, is_counted, is_active{dimensions}
