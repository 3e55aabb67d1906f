-- one row a session
-- table: gold.sessions
SELECT min(session_date) AS day, min(actor_id) || ', session ' || session_id AS what, count(*) AS found, 1 AS expected
FROM gold.sessions WHERE {session_date} GROUP BY session_id HAVING count(*) > 1
