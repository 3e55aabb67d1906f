-- Bins with the start of the session they belong to: a new one after more than the timeout without an event.
SELECT *,
       min(first_time) OVER (PARTITION BY actor_id, unit, chain) AS started_at,
       max(last_time) OVER (PARTITION BY actor_id, unit, chain) AS chain_ended_at,
       FALSE AS is_resplit
FROM (
    SELECT *, sum(is_break) OVER (PARTITION BY actor_id, unit ORDER BY first_time ROWS UNBOUNDED PRECEDING) AS chain
    FROM (
        SELECT *,
               CASE WHEN {is_break} THEN 1 ELSE 0 END AS is_break
        FROM (
            SELECT *,
                   lag(last_time) OVER (PARTITION BY actor_id, unit ORDER BY first_time) AS previous_time,
                   lag(event_date) OVER (PARTITION BY actor_id, unit ORDER BY first_time) AS previous_date
            FROM temp.session_bins
        ) AS ordered
    ) AS marked
) AS numbered
