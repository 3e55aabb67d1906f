-- Bins with the start of the session they belong to: the source's own session of the actor, as it is.
SELECT *,
       min(first_time) OVER (PARTITION BY actor_id, unit) AS started_at,
       max(last_time) OVER (PARTITION BY actor_id, unit) AS chain_ended_at,
       FALSE AS is_resplit
FROM temp.session_bins
