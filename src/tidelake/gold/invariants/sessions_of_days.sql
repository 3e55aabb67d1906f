-- sessions of a day are sessions
-- table: gold.user_day
-- needs: gold.sessions
SELECT day, 'sessions, of ' || CAST(sum(user_seconds) AS VARCHAR) || ' and ' || CAST(sum(seconds) AS VARCHAR)
       || ' seconds, watched ' || coalesce(CAST(sum(user_watched) AS VARCHAR), 'none') || ' and '
       || coalesce(CAST(sum(watched) AS VARCHAR), 'none') AS what,
       sum(user_sessions) AS found, sum(sessions) AS expected
FROM (
    SELECT activity_date AS day, session_count AS user_sessions, session_seconds AS user_seconds,
           watch_seconds AS user_watched, 0 AS sessions, 0e0 AS seconds, CAST(NULL AS DOUBLE) AS watched
    FROM gold.user_day WHERE {activity_date}
    UNION ALL
    SELECT session_date AS day, 0 AS user_sessions, 0e0 AS user_seconds, CAST(NULL AS DOUBLE) AS user_watched,
           1 AS sessions, duration_seconds AS seconds, watch_seconds AS watched
    FROM gold.sessions WHERE {session_date}
) AS counts
GROUP BY day
HAVING sum(user_sessions) <> sum(sessions)
    OR abs(sum(user_seconds) - sum(seconds)) > 0.000001 * (1 + abs(sum(seconds)))
    OR (coalesce(sum(user_watched), 0) <> coalesce(sum(watched), 0)
        AND abs(coalesce(sum(user_watched), 0) - coalesce(sum(watched), 0))
            > 0.000001 * (1 + coalesce(sum(abs(watched)), 0)))
