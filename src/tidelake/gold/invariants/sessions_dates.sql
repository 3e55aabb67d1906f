-- dates of sessions are those of their instants
-- table: gold.sessions
-- The first and the last instant of each date tell: one under a wrong date lies before or after all others of it.
SELECT day, what, {first_micros} AS found, {last_micros} AS expected
FROM (
    SELECT session_date AS day, 'first and last start in microseconds' AS what, min(started_at) AS first,
           max(started_at) AS last
    FROM gold.sessions WHERE {session_date} GROUP BY session_date
    UNION ALL
    SELECT ended_date AS day, 'first and last end in microseconds' AS what, min(ended_at) AS first,
           max(ended_at) AS last
    FROM gold.sessions WHERE {session_date} GROUP BY ended_date
) AS dates
WHERE local_date(first) <> day OR local_date(last) <> day
