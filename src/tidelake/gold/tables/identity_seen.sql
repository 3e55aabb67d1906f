-- Which anonymous and known ids the events of a date carry together; known_id is null for events that carry none.
SELECT event_date, anonymous_id, known_id, min(event_time) AS first_event_time, count(*) AS event_count
FROM ({events}) AS events
GROUP BY event_date, anonymous_id, known_id
