-- Watch time of a session from play states (METRICS section 12): one row per session that has content events.
-- The flags after an event are those of the last event that sets them: its place times two, plus the flag.
SELECT actor_id, unit, started_at,
       CAST(sum(CASE WHEN is_started = 1 AND is_paused = 0 AND is_buffering = 0 THEN lasts ELSE 0 END) AS BIGINT)
           AS watch_micros,
       CAST(sum(CASE WHEN is_open = 1 THEN lasts ELSE 0 END) AS BIGINT) AS wall_micros,
       count(*) FILTER (WHERE is_last AND is_started = 1 AND is_paused = 0 AND is_buffering = 0)
           AS watch_open_ended_count,
       count(*) FILTER (WHERE {is_play}) AS play_count
FROM (
    SELECT actor_id, unit, started_at, event_name,
           coalesce(max({started_mark}) OVER ordered, 0) % 2 AS is_started,
           coalesce(max({paused_mark}) OVER ordered, 0) % 2 AS is_paused,
           coalesce(max({buffering_mark}) OVER ordered, 0) % 2 AS is_buffering,
           coalesce(max({open_mark}) OVER ordered, 0) % 2 AS is_open,
           next_time IS NULL AS is_last,
           CASE WHEN next_time IS NULL THEN {cap} ELSE {next_micros} - {event_micros} END AS lasts
    FROM (
        SELECT parts.actor_id, parts.unit, parts.started_at, events.event_name, events.content, events.event_time,
               row_number() OVER (PARTITION BY parts.actor_id, parts.unit, parts.started_at, events.content
                                  ORDER BY {order}) AS place,
               lead(events.event_time) OVER (PARTITION BY parts.actor_id, parts.unit, parts.started_at, events.content
                                             ORDER BY {order}) AS next_time
        FROM temp.session_parts AS parts
        JOIN ({events}) AS events
          ON events.actor_id = parts.actor_id AND events.unit = parts.unit AND events.event_date = parts.event_date
         AND events.bin = parts.bin AND events.event_time BETWEEN parts.first_time AND parts.last_time
    ) AS placed
    WINDOW ordered AS (PARTITION BY actor_id, unit, started_at, content ORDER BY place ROWS UNBOUNDED PRECEDING)
) AS states
GROUP BY actor_id, unit, started_at
