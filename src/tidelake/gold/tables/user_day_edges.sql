-- The values at an actor's first and last event of a day.
edges AS (
    SELECT actor_id, event_date, {columns},
           row_number() OVER (PARTITION BY actor_id, event_date
                              ORDER BY event_time, seq NULLS LAST, event_id, tie_break) AS place,
           row_number() OVER (PARTITION BY actor_id, event_date
                              ORDER BY event_time DESC, seq DESC NULLS FIRST, event_id DESC, tie_break DESC) AS back_place
    FROM (
        SELECT events.*
        FROM events
        JOIN days ON days.actor_id = events.actor_id AND days.event_date = events.event_date
        WHERE events.event_time = days.first_event_time OR events.event_time = days.last_event_time
    ) AS candidates
)
