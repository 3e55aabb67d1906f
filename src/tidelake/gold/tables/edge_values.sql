-- The dimension values with which an actor's day begins or ends; several where events share that instant.
SELECT parts.actor_id, parts.event_date{values},
       max(CASE WHEN parts.first_time = days.first_event_time THEN 1 ELSE 0 END) AS is_first,
       max(CASE WHEN parts.last_time = days.last_event_time THEN 1 ELSE 0 END) AS is_last
FROM temp.event_groups AS parts
JOIN temp.actor_days AS days ON days.actor_id = parts.actor_id AND days.event_date = parts.event_date
WHERE parts.is_counted AND (parts.first_time = days.first_event_time OR parts.last_time = days.last_event_time)
GROUP BY parts.actor_id, parts.event_date{values}
