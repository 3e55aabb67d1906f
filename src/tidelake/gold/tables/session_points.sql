-- The events at those instants with their place among all, and among the watch events, of the same instant. Only
-- where instants are tied is read again what orders events.
SELECT {columns}, 1 AS place, 1 AS watch_place
FROM temp.session_instants AS events
LEFT JOIN temp.session_ties AS ties
  ON ties.actor_id = events.actor_id AND ties.unit = events.unit AND ties.at_time = events.event_time
WHERE ties.at_time IS NULL
UNION ALL
SELECT {tied_columns},
       row_number() OVER (PARTITION BY events.actor_id, events.unit, events.event_time ORDER BY {order}) AS place,
       row_number() OVER (PARTITION BY events.actor_id, events.unit, events.event_time, events.is_watch
                          ORDER BY {order}) AS watch_place
FROM ({events}) AS events
JOIN temp.session_ties AS ties
  ON ties.actor_id = events.actor_id AND ties.unit = events.unit AND ties.at_time = events.event_time
