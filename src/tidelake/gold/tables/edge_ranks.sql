-- The events of tied actor days in order, from the front and from the back.
SELECT events.actor_id, events.event_date{values},
       row_number() OVER (PARTITION BY events.actor_id, events.event_date
                          ORDER BY event_time, seq NULLS LAST, event_id, tie_break) AS place,
       row_number() OVER (PARTITION BY events.actor_id, events.event_date
                          ORDER BY event_time DESC, seq DESC NULLS FIRST, event_id DESC, tie_break DESC) AS back_place
FROM temp.edge_ties AS ties
JOIN ({events}) AS events ON events.actor_id = ties.actor_id AND events.event_date = ties.event_date
