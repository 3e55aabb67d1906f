-- Watch time by session from play states by actor and content, whatever the sessions (METRICS section 12). The flags
-- after an event are those of the last event that sets them: its place times two, plus the flag. The stretch to the
-- content's next event belongs to the session of the event that begins it. It has no end where the content is played
-- anew, or where the next event comes too late after the one by which the state holds.
SELECT {keys},
       CAST(sum(CASE WHEN playing_since IS NULL THEN 0 WHEN is_open_ended THEN closing_micros ELSE next_micros - at_micros
                END) AS BIGINT) AS watch_micros,
       CAST(sum(CASE WHEN opened_since IS NULL THEN 0
                     WHEN is_closed_by_next AND next_micros - opened_since <= {longest} THEN next_micros - at_micros
                     ELSE closing_micros END) AS BIGINT) AS wall_micros,
       count(*) FILTER (WHERE is_open_ended) AS watch_open_ended_count,
       count(*) FILTER (WHERE is_play AND is_own) AS play_count
FROM (
    SELECT actor_id, {holder}, at_micros, next_micros, is_play, is_own, is_closed_by_next, closing_micros, playing_since,
           opened_since,
           playing_since IS NOT NULL AND NOT (is_closed_by_next AND next_micros - playing_since <= {longest})
               AS is_open_ended
    FROM (
        SELECT actor_id, watched, unit{started_at}, unit IS NOT NULL AS is_own, place, at_micros, next_micros, is_play,
               coalesce(NOT next_is_play, FALSE) AS is_closed_by_next,
               least(coalesce(next_micros - at_micros, {cap}), {cap}) AS closing_micros,
               CASE WHEN {paused} IS NULL AND {buffering} IS NULL THEN {started} END AS playing_since,
               {opened} AS opened_since,
               {holder_place} AS holder_place
        FROM (
            SELECT actor_id, watched, unit{started_at}, event_name, {is_play} AS is_play,
                   {event_micros} AS at_micros,
                   row_number() OVER in_order AS place,
                   lead({event_micros}) OVER in_order AS next_micros,
                   lead({is_play}) OVER in_order AS next_is_play
            FROM ({events}) AS events
            WINDOW in_order AS (PARTITION BY actor_id, watched ORDER BY {order})
        ) AS placed
        WINDOW so_far AS (PARTITION BY actor_id, watched ORDER BY place ROWS UNBOUNDED PRECEDING)
    ) AS states
) AS held
WHERE is_held AND unit IS NOT NULL{of_made}
GROUP BY {keys}
