-- The events at those instants with their place among all, and among the watch events, of the same instant.
SELECT *,
       row_number() OVER (PARTITION BY actor_id, unit, event_time ORDER BY {order}) AS place,
       row_number() OVER (PARTITION BY actor_id, unit, event_time, is_watch ORDER BY {order}) AS watch_place
FROM temp.session_instants
