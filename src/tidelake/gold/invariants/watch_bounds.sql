-- watch time is bounded by what was played
-- table: gold.sessions
-- Where every event has a session, a stretch of playing begins with an event of its session, and is no longer than the
-- session cap or than the end that an open one is given; declared seconds have no bound at all: a log can say -1.
SELECT session_date AS day, actor_id || ', session ' || session_id AS what, watch_seconds AS found,
       event_count * {longest_stretch} AS expected
FROM gold.sessions
WHERE {session_date} AND watch_seconds IS NOT NULL AND (
    ({is_from_states} AND (watch_seconds < 0 OR watch_seconds_wall < 0)) OR ({every_event} AND (
        coalesce(watch_open_ended_count, 0) > event_count OR coalesce(play_count, 0) > event_count
        OR ({is_from_states} AND watch_seconds > event_count * {longest_stretch} + 0.000001)
    ))
)
