-- The dimension values at each actor's first and last event of a day, where no events share these instants.
SELECT actor_id, event_date{plain}
FROM temp.edge_values
GROUP BY actor_id, event_date
