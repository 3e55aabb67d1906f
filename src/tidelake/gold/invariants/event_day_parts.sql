-- parts of a day add up
-- table: gold.event_day
SELECT activity_date AS day, source || ', ' || dimension || ' ' || value AS what, row_count AS found,
       event_count + filtered_count AS expected
FROM gold.event_day
WHERE {activity_date} AND (
    row_count <> event_count + filtered_count OR events_without_actor > event_count
    OR active_event_count > event_count
)
