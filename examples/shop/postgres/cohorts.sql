-- Users by month of signup who were active in week 0 to 7 since their own signup.
-- `observed`: users whose week is over before the data end; `active` counts among them only, so that
-- retention = active / observed is a share, and null where nobody could be observed yet.
WITH data_end AS (
    SELECT max(timestamp)::date + 1 AS day FROM events
),
active AS (
    SELECT DISTINCT e.user_id, (e.timestamp::date - u.signup_date) / 7 AS week
    FROM events AS e
    JOIN users AS u ON u.user_id = e.user_id
    WHERE e.timestamp >= u.signup_date AND e.timestamp < u.signup_date + 56
)
SELECT
    date_trunc('month', u.signup_date)::date AS signup_month,
    w.week,
    count(*) AS users,
    count(*) FILTER (WHERE u.signup_date + 7 * (w.week + 1) <= d.day) AS observed,
    count(a.user_id) FILTER (WHERE u.signup_date + 7 * (w.week + 1) <= d.day) AS active,
    round(count(a.user_id) FILTER (WHERE u.signup_date + 7 * (w.week + 1) <= d.day)::numeric
          / nullif(count(*) FILTER (WHERE u.signup_date + 7 * (w.week + 1) <= d.day), 0), 4) AS retention
FROM users AS u
CROSS JOIN generate_series(0, 7) AS w (week)
CROSS JOIN data_end AS d
LEFT JOIN active AS a ON a.user_id = u.user_id AND a.week = w.week
GROUP BY 1, 2
ORDER BY 1, 2
