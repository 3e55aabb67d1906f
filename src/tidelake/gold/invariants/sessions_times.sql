-- sessions end after they start
-- table: gold.sessions
SELECT session_date AS day, actor_id || ', session ' || session_id AS what, duration_seconds AS found,
       CAST({ended_micros} - {started_micros} AS DOUBLE) / 1000000 AS expected
FROM gold.sessions
WHERE {session_date} AND (
    ended_at < started_at OR ended_date < session_date OR duration_seconds < 0
    OR abs(duration_seconds - CAST({ended_micros} - {started_micros} AS DOUBLE) / 1000000) > 0.000001
    OR engaged_seconds > duration_seconds + 0.000001 OR event_count < 1 OR active_event_count > event_count
    OR is_single_event <> (event_count = 1)
)
