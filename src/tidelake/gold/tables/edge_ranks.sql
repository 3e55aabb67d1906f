-- The events of tied actor days in order, from the front and from the back.
SELECT events.actor_id, events.event_date{values},
       row_number() OVER (PARTITION BY events.actor_id, events.event_date
                          ORDER BY {order}) AS place,
       row_number() OVER (PARTITION BY events.actor_id, events.event_date
                          ORDER BY {backwards}) AS back_place
FROM temp.edge_ties AS ties
JOIN ({events}) AS events ON events.actor_id = ties.actor_id AND events.event_date = ties.event_date
