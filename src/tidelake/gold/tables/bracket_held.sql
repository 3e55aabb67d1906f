-- Every event with the unit of the session that holds it; null outside of sessions.
SELECT {columns},
       sessions.unit, choices.is_ambiguous,
       sessions.session_ended_at, sessions.session_ended_date,
       CASE WHEN sessions.is_closed THEN 1 ELSE 0 END AS closed_flag, sessions.chain_started_at,
       sessions.chain_date,
       whole_divide({micros} + {shift}, {width}) AS bin,
       coalesce({is_watch}, FALSE) AS is_watch
FROM temp.bracket_events AS events
LEFT JOIN ({choices}) AS choices ON choices.actor_id = events.actor_id AND choices.place = events.place
LEFT JOIN temp.bracket_sessions AS sessions
  ON sessions.actor_id = choices.actor_id AND sessions.start_number = choices.start_number
