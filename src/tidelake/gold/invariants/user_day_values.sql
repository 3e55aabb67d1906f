-- values of a dimension add up
-- table: gold.user_day_value
-- needs: gold.user_day
-- Different actors are counted on one of the dates: an actor can have several values. A dimension of which a date has no
-- rows at all adds up to none.
SELECT whole.day, named.dimension || ': ' || whole.what AS what, coalesce(parts.found, 0) AS found,
       whole.found AS expected
FROM (
    SELECT activity_date AS day, 'events' AS what, sum(event_count) AS found
    FROM gold.user_day WHERE {activity_date} GROUP BY activity_date
    UNION ALL
    SELECT activity_date AS day, 'active events' AS what, sum(active_event_count) AS found
    FROM gold.user_day WHERE {activity_date} GROUP BY activity_date
    UNION ALL
    SELECT activity_date AS day, 'active actors' AS what, count(*) AS found
    FROM gold.user_day WHERE activity_date = {one_day} AND is_active GROUP BY activity_date
) AS whole
CROSS JOIN ({dimensions}) AS named
LEFT JOIN (
    SELECT activity_date AS day, dimension, 'events' AS what, sum(event_count) AS found
    FROM gold.user_day_value WHERE {activity_date} GROUP BY activity_date, dimension
    UNION ALL
    SELECT activity_date AS day, dimension, 'active events' AS what, sum(active_event_count) AS found
    FROM gold.user_day_value WHERE {activity_date} GROUP BY activity_date, dimension
    UNION ALL
    SELECT activity_date AS day, dimension, 'active actors' AS what, count(DISTINCT actor_id) AS found
    FROM gold.user_day_value WHERE activity_date = {one_day} AND is_active GROUP BY activity_date, dimension
) AS parts ON parts.day = whole.day AND parts.what = whole.what AND parts.dimension = named.dimension
WHERE coalesce(parts.found, 0) <> whole.found
