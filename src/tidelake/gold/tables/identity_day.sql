-- What was seen on some dates, with the actor to whom the events without a known id belong.
SELECT seen.event_date, seen.anonymous_id, seen.known_id, seen.first_event_time, seen.event_count,
       CASE WHEN seen.known_id IS NULL THEN owners.actor_id END AS actor_id
FROM ({seen}) AS seen
LEFT JOIN temp.identity_owners AS owners ON owners.anonymous_id = seen.anonymous_id
