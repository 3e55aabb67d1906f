-- Weekly active users, as the document asks; `days` says which weeks are partial (the first and the last).
SELECT
    date_trunc('week', timestamp)::date AS week,
    count(DISTINCT user_id) AS weekly_active_users,
    least(7, date_trunc('week', timestamp)::date + 7 - (SELECT min(timestamp)::date FROM events),
          (SELECT max(timestamp)::date FROM events) + 1 - date_trunc('week', timestamp)::date) AS days
FROM events
GROUP BY 1
ORDER BY 1
