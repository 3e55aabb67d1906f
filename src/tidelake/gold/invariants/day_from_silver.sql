-- a day counted again from silver
-- table: gold.user_day
-- One of the dates, with few rows: its actors, events, and the instants of its first and last.
SELECT day, 'actors, of ' || CAST(user_events AS VARCHAR) || ' and ' || CAST(events AS VARCHAR) || ' events' AS what,
       user_actors AS found, actors AS expected
FROM (
    SELECT {one_day} AS day, max(user_actors) AS user_actors, max(actors) AS actors, max(user_events) AS user_events,
           max(events) AS events, max(user_active) AS user_active, max(active) AS active,
           max(user_first) AS user_first, max(first) AS first, max(user_last) AS user_last, max(last) AS last
    FROM (
        SELECT count(*) AS user_actors, coalesce(sum(event_count), 0) AS user_events,
               count(*) FILTER (WHERE is_active) AS user_active, min(first_event_time) AS user_first,
               max(last_event_time) AS user_last, CAST(NULL AS BIGINT) AS actors, CAST(NULL AS BIGINT) AS events,
               CAST(NULL AS BIGINT) AS active, CAST(NULL AS TIMESTAMPTZ) AS first, CAST(NULL AS TIMESTAMPTZ) AS last
        FROM gold.user_day WHERE activity_date = {one_day}
        UNION ALL
        SELECT NULL, NULL, NULL, NULL, NULL, count(DISTINCT actor_id) AS actors, count(*) AS events,
               count(DISTINCT CASE WHEN is_active THEN actor_id END) AS active, min(event_time) AS first,
               max(event_time) AS last
        FROM ({events_of_one_day}) AS events
    ) AS counts
) AS sums
WHERE user_actors <> actors OR user_events <> events OR user_active <> active OR user_first <> first
    OR user_last <> last
