-- events of a day are events of its actors
-- table: gold.user_day
-- needs: gold.event_day
SELECT day, 'events of actors' AS what, sum(users) AS found, sum(events) AS expected
FROM (
    SELECT activity_date AS day, event_count AS users, 0 AS events, active_event_count AS active_users, 0 AS active
    FROM gold.user_day WHERE {activity_date}
    UNION ALL
    SELECT activity_date AS day, 0 AS users, event_count - events_without_actor AS events, 0 AS active_users,
           active_event_count AS active
    FROM gold.event_day WHERE dimension = '(all)' AND {activity_date}
) AS counts
GROUP BY day HAVING sum(users) <> sum(events) OR sum(active_users) > sum(active)
