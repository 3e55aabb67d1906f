-- The known id of the earliest event that carries it together with the anonymous one; of several at one instant, the
-- least.
SELECT anonymous_id, {actor} AS actor_id, first_event_time AS identified_at, known_count
FROM (
    SELECT anonymous_id, known_id, first_event_time,
           row_number() OVER (PARTITION BY anonymous_id ORDER BY first_event_time, known_id) AS place,
           count(*) OVER (PARTITION BY anonymous_id) AS known_count
    FROM (
        SELECT anonymous_id, known_id, min(first_event_time) AS first_event_time
        FROM ({seen}) AS seen
        WHERE known_id IS NOT NULL
        GROUP BY anonymous_id, known_id
    ) AS pairs
) AS ranked
WHERE place = 1
