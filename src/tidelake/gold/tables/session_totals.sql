-- One row per session: its parts added up.
SELECT actor_id, unit, {started_at} AS started_at,
       {ended_at} AS ended_at,
       min(event_date) AS session_date,
       {ended_date} AS ended_date,
       CAST(sum(event_count) AS BIGINT) AS event_count,
       CAST(sum(active_event_count) AS BIGINT) AS active_event_count,
       CAST(sum({last_micros} - {first_micros}
                + least({first_micros} - coalesce({before_micros}, {first_micros}), {engaged_cap})) AS BIGINT)
           AS engaged_micros,
       min(first_watch_time) AS first_watch_time,
       {is_resplit} AS is_resplit{combined}
FROM (
    SELECT *, lag(last_time) OVER (PARTITION BY {keys} ORDER BY first_time) AS part_before
    FROM {parts}
) AS parts
GROUP BY {keys}
