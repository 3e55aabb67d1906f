-- events of sessions are events of users
-- table: gold.sessions
-- needs: gold.user_day
-- Sessions that lie within the dates hold no more events than these, and where every event has a session those that
-- touch the dates hold no fewer; over all dates the two are one number.
SELECT day, 'events of actors, at most ' || CAST(touching AS VARCHAR) AS what, users AS found, inside AS expected
FROM (
    SELECT min(day) AS day, sum(users) AS users, sum(inside) AS inside, sum(touching) AS touching
    FROM (
        SELECT activity_date AS day, event_count AS users, 0 AS inside, 0 AS touching
        FROM gold.user_day WHERE {activity_date}
        UNION ALL
        SELECT session_date AS day, 0 AS users,
               CASE WHEN {session_date} AND {ended_date} AND ended_date - session_date <= 1 THEN event_count ELSE 0 END
               AS inside, event_count AS touching
        FROM gold.sessions WHERE {overlapping}
    ) AS counts
) AS sums
WHERE inside > users OR ({every_event} AND users > touching)
