-- Actor days whose first or last instant has events of several dimension values: their order decides.
SELECT actor_id, event_date
FROM temp.edge_values
GROUP BY actor_id, event_date
HAVING sum(is_first) > 1 OR sum(is_last) > 1
