-- The dimension values at each actor's first and last event of a day.
SELECT actor_id, event_date{plain}
FROM temp.edge_values
GROUP BY actor_id, event_date
HAVING sum(is_first) = 1 AND sum(is_last) = 1
UNION ALL
SELECT actor_id, event_date{ranked}
FROM temp.edge_ranks
GROUP BY actor_id, event_date
