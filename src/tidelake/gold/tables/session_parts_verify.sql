-- Bins with the start of the session they belong to: the source's session where it is not longer than the cap,
-- else its events cut by the timeout again.
SELECT *,
       CASE WHEN is_resplit THEN min(first_time) OVER (PARTITION BY actor_id, unit, chain) ELSE unit_started_at END
           AS started_at,
       CASE WHEN is_resplit THEN max(last_time) OVER (PARTITION BY actor_id, unit, chain) ELSE unit_ended_at END
           AS chain_ended_at
FROM (
    SELECT *,
           unit_ended_at > {capped} AS is_resplit,
           sum(is_break) OVER (PARTITION BY actor_id, unit ORDER BY first_time ROWS UNBOUNDED PRECEDING) AS chain
    FROM (
        SELECT *,
               min(first_time) OVER (PARTITION BY actor_id, unit) AS unit_started_at,
               max(last_time) OVER (PARTITION BY actor_id, unit) AS unit_ended_at,
               CASE WHEN {is_break} THEN 1 ELSE 0 END AS is_break
        FROM (
            SELECT *,
                   lag(last_time) OVER (PARTITION BY actor_id, unit ORDER BY first_time) AS previous_time,
                   lag(event_date) OVER (PARTITION BY actor_id, unit ORDER BY first_time) AS previous_date
            FROM temp.session_bins
        ) AS ordered
    ) AS marked
) AS numbered
