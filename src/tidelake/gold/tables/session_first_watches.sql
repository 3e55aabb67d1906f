-- The values at a session's earliest watch event.
first_watches AS (
    SELECT *
    FROM (
        SELECT sessions.actor_id, sessions.unit, sessions.started_at, {content} AS first_watch_content{values},
               row_number() OVER (PARTITION BY sessions.actor_id, sessions.unit, sessions.started_at
                                  ORDER BY events.rank, events.seq NULLS LAST, events.event_id, events.tie_break) AS place
        FROM sessions
        JOIN ({events}) AS events
          ON events.actor_id = sessions.actor_id AND events.unit = sessions.unit
         AND events.event_time = sessions.first_watch_time AND events.is_watch
    ) AS ranked
    WHERE place = 1
)
