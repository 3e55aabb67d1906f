-- one row an actor and date
-- table: gold.user_day
SELECT activity_date AS day, actor_id AS what, count(*) AS found, 1 AS expected
FROM gold.user_day WHERE {activity_date} GROUP BY activity_date, actor_id HAVING count(*) > 1
