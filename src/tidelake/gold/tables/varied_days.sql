-- Actor days on which a dimension has several values.
SELECT actor_id, event_date, '{dimension}' AS dimension
FROM temp.event_groups
WHERE is_counted AND actor_id IS NOT NULL
GROUP BY actor_id, event_date
HAVING count(DISTINCT {value}) > 1
