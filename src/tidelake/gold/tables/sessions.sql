-- One row per session: its parts added up, with the values at its first event and at its first watch event.
WITH parts AS (
    SELECT *, lag(last_time) OVER (PARTITION BY actor_id, unit, started_at ORDER BY first_time) AS part_before
    FROM temp.session_parts
),
sessions AS (
    SELECT actor_id, unit, started_at,
           {ended_at} AS ended_at,
           min(event_date) AS session_date,
           {ended_date} AS ended_date,
           CAST(sum(event_count) AS BIGINT) AS event_count,
           CAST(sum(active_event_count) AS BIGINT) AS active_event_count,
           CAST(sum({last_micros} - {first_micros}
                    + least({first_micros} - coalesce({before_micros}, {first_micros}), {engaged_cap})) AS BIGINT) AS engaged_micros,
           min(first_watch_time) AS first_watch_time,
           max(CASE WHEN is_resplit THEN 1 ELSE 0 END) AS is_resplit{combined}
    FROM parts
    GROUP BY actor_id, unit, started_at
),
first_events AS (
    SELECT *
    FROM (
        SELECT sessions.actor_id, sessions.unit, sessions.started_at, events.event_id, events.source_session_id{at_first},
               row_number() OVER (PARTITION BY sessions.actor_id, sessions.unit, sessions.started_at
                                  ORDER BY events.rank, events.seq NULLS LAST, events.event_id, events.tie_break) AS place
        FROM sessions
        JOIN ({events}) AS events
          ON events.actor_id = sessions.actor_id AND events.unit = sessions.unit
         AND events.event_time = sessions.started_at
    ) AS ranked
    WHERE place = 1
){watches}
SELECT {session_id} AS session_id,
       sessions.actor_id,
       sessions.session_date,
       sessions.started_at,
       sessions.ended_at,
       sessions.ended_date,
       CAST({ended_micros} - {started_micros} AS DOUBLE) / 1000000 AS duration_seconds,
       CAST(sessions.engaged_micros AS DOUBLE) / 1000000 AS engaged_seconds,
       sessions.event_count,
       sessions.active_event_count,
       sessions.event_count = 1 AS is_single_event,
       first_events.event_id AS first_event_id,
       first_events.source_session_id,
       sessions.is_resplit = 1 AS is_resplit{outputs},
       sessions.unit
FROM sessions
JOIN first_events
  ON first_events.actor_id = sessions.actor_id AND first_events.unit = sessions.unit
 AND first_events.started_at = sessions.started_at{joins}
WHERE {starting}
