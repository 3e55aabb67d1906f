-- active events are events
-- table: gold.user_day
SELECT activity_date AS day, actor_id AS what, active_event_count AS found, event_count AS expected
FROM gold.user_day
WHERE {activity_date} AND (
    active_event_count > event_count OR event_count < 1 OR is_active <> (active_event_count > 0)
    OR last_event_time < first_event_time OR session_count < 0
)
