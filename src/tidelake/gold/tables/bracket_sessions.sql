-- One row per start event: a session with the earliest end that no earlier start has taken. The i-th start can
-- take the end after those before it, and not one that an earlier start took: end number i + max(ends before
-- the k-th start + 1 - k) over k up to i. Without one it ends at the last event before the next start.
-- A chain is a run of sessions that begins when none is open and every start has its end.
WITH starts AS (
    SELECT actor_id, start_number, place AS start_place, event_time AS started_at, event_date, event_id,
           start_number + max(end_number + 1 - start_number) OVER (PARTITION BY actor_id
               ORDER BY start_number ROWS UNBOUNDED PRECEDING) AS end_number,
           lead(place) OVER (PARTITION BY actor_id ORDER BY start_number) AS next_place,
           row_number() OVER (PARTITION BY actor_id, event_time, event_id ORDER BY start_number) AS copy_number
    FROM temp.bracket_events
    WHERE rank = 0
),
ends AS (
    SELECT actor_id, end_number, place AS end_place
    FROM temp.bracket_events
    WHERE rank = 2
),
lasts AS (
    SELECT actor_id, max(place) AS last_place FROM temp.bracket_events GROUP BY actor_id
),
intervals AS (
    SELECT starts.actor_id, starts.start_number, starts.start_place, starts.started_at, starts.event_date,
           starts.event_id, starts.copy_number,
           ends.end_place IS NOT NULL AS is_closed,
           coalesce(ends.end_place, starts.next_place - 1, lasts.last_place) AS end_place,
           CASE WHEN ends.end_place IS NULL THEN {never} ELSE ends.end_place END AS busy_until
    FROM starts
    JOIN lasts ON lasts.actor_id = starts.actor_id
    LEFT JOIN ends ON ends.actor_id = starts.actor_id AND ends.end_number = starts.end_number
),
marked AS (
    SELECT *,
           CASE WHEN coalesce(max(busy_until) OVER (PARTITION BY actor_id ORDER BY start_number
                                                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) < start_place
                THEN 1 ELSE 0 END AS is_first
    FROM intervals
),
chained AS (
    SELECT *, sum(is_first) OVER (PARTITION BY actor_id ORDER BY start_number ROWS UNBOUNDED PRECEDING) AS chain
    FROM marked
)
SELECT chained.actor_id, chained.start_number, chained.start_place, chained.end_place, chained.is_closed, chained.chain,
       CASE WHEN chained.copy_number = 1 THEN {start_id}
            ELSE concat({start_id}, '#', CAST(chained.copy_number AS VARCHAR)) END AS unit,
       chained.started_at,
       count(*) OVER (PARTITION BY chained.actor_id, chained.chain) AS chain_size,
       min(chained.started_at) OVER (PARTITION BY chained.actor_id, chained.chain) AS chain_started_at,
       min(chained.event_date) OVER (PARTITION BY chained.actor_id, chained.chain) AS chain_date,
       last_events.event_time AS session_ended_at,
       last_events.event_date AS session_ended_date
FROM chained
JOIN temp.bracket_events AS last_events
  ON last_events.actor_id = chained.actor_id AND last_events.place = chained.end_place
