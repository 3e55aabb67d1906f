-- One row per session: totals, and the values at its first event and at its earliest watch event.
SELECT {session_id} AS session_id,
       sessions.actor_id,
       sessions.session_date,
       sessions.started_at,
       sessions.ended_at,
       sessions.ended_date,
       CAST({ended_micros} - {started_micros} AS DOUBLE) / 1000000 AS duration_seconds,
       CAST({engaged_micros} AS DOUBLE) / 1000000 AS engaged_seconds,
       sessions.event_count,
       sessions.active_event_count,
       sessions.event_count = 1 AS is_single_event,
       firsts.event_id AS first_event_id,
       {source_session_id} AS source_session_id,
       sessions.is_resplit = 1 AS is_resplit{outputs},
       sessions.unit
FROM temp.session_totals AS sessions
JOIN {points} AS firsts
  ON firsts.actor_id = sessions.actor_id AND firsts.unit = sessions.unit
 AND firsts.event_time = sessions.started_at{is_first}{joins}
WHERE {starting}
