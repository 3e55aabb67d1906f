-- One row per session: its parts added up.
SELECT actor_id, unit, started_at,
       {ended_at} AS ended_at,
       min(event_date) AS session_date,
       {ended_date} AS ended_date,
       CAST(sum(event_count) AS BIGINT) AS event_count,
       CAST(sum(active_event_count) AS BIGINT) AS active_event_count,
       CAST(sum({last_micros} - {first_micros}
                + least({first_micros} - coalesce({before_micros}, {first_micros}), {engaged_cap})) AS BIGINT)
           AS engaged_micros,
       min(first_watch_time) AS first_watch_time,
       max(CASE WHEN is_resplit THEN 1 ELSE 0 END) AS is_resplit{combined}
FROM (
    SELECT *, lag(last_time) OVER (PARTITION BY actor_id, unit, started_at ORDER BY first_time) AS part_before
    FROM temp.session_parts
) AS parts
GROUP BY actor_id, unit, started_at
