-- An actor's events in order, with their place and the number of starts so far. At equal times starts come
-- first and ends last.
SELECT *,
       row_number() OVER (PARTITION BY actor_id ORDER BY {order}) AS place,
       count(*) FILTER (WHERE rank = 0) OVER (PARTITION BY actor_id
           ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS start_number,
       count(*) FILTER (WHERE rank = 2) OVER (PARTITION BY actor_id
           ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS end_number
FROM (
    SELECT *, {rank} FROM ({events}) AS events
) AS ranked
