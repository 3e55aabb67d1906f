-- Events that lie in chains of several sessions, with each session that is open at them, in the order in which
-- they are given to sessions.
SELECT events.actor_id, sessions.chain, events.event_name, events.place, sessions.start_number
FROM temp.bracket_events AS events
JOIN temp.bracket_sessions AS latest
  ON latest.actor_id = events.actor_id AND latest.start_number = events.start_number
JOIN temp.bracket_sessions AS sessions
  ON sessions.actor_id = latest.actor_id AND sessions.chain = latest.chain
 AND events.place BETWEEN sessions.start_place AND sessions.end_place
WHERE events.rank = 1 AND latest.chain_size > 1
ORDER BY events.actor_id, sessions.chain, events.event_name, events.place, sessions.start_number
