-- sessions of an actor do not overlap
-- table: gold.sessions
SELECT session_date AS day, actor_id || ', session ' || session_id AS what, started_micros AS found,
       ended_before AS expected
FROM (
    SELECT session_date, actor_id, session_id, {started_micros} AS started_micros,
           max({ended_micros}) OVER (
               PARTITION BY actor_id, unit ORDER BY started_at, ended_at
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) AS ended_before
    FROM gold.sessions WHERE {session_date}
) AS neighbours
WHERE started_micros < ended_before
