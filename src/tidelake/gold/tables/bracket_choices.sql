-- Every event that a session holds, with the session's start: the start itself, its end, events in chains of one
-- session, and those that were given to one of several.
SELECT actor_id, start_place AS place, start_number, FALSE AS is_ambiguous
FROM temp.bracket_sessions
UNION ALL
SELECT actor_id, end_place AS place, start_number, FALSE AS is_ambiguous
FROM temp.bracket_sessions
WHERE is_closed
UNION ALL
SELECT events.actor_id, events.place, sessions.start_number, FALSE AS is_ambiguous
FROM temp.bracket_events AS events
JOIN temp.bracket_sessions AS sessions
  ON sessions.actor_id = events.actor_id AND sessions.start_number = events.start_number
WHERE events.rank = 1 AND sessions.chain_size = 1 AND events.place <= sessions.end_place
UNION ALL
SELECT actor_id, place, start_number, is_ambiguous
FROM temp.bracket_given
