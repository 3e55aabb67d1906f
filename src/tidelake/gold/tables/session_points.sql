-- The first event and the earliest watch event of each session: of those at that instant, the first in order.
SELECT *
FROM (
    SELECT wanted.actor_id, wanted.unit, wanted.started_at, wanted.kind, events.event_id, events.source_session_id,
           {content} AS content{values},
           row_number() OVER (PARTITION BY wanted.actor_id, wanted.unit, wanted.started_at, wanted.kind
                              ORDER BY {order}) AS place
    FROM (
        SELECT actor_id, unit, started_at, started_at AS at_time, 'first' AS kind
        FROM temp.session_totals
        WHERE {starting}
        UNION ALL
        SELECT actor_id, unit, started_at, first_watch_time AS at_time, 'watch' AS kind
        FROM temp.session_totals
        WHERE {starting} AND first_watch_time IS NOT NULL
    ) AS wanted
    JOIN ({events}) AS events
      ON events.actor_id = wanted.actor_id AND events.unit = wanted.unit AND events.event_time = wanted.at_time
    WHERE wanted.kind = 'first' OR events.is_watch
) AS ranked
WHERE place = 1
