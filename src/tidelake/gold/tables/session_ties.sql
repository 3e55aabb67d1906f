-- Those instants that several events share: their order decides.
SELECT actor_id, unit, event_time AS at_time
FROM temp.session_instants
GROUP BY actor_id, unit, event_time
HAVING count(*) > 1
