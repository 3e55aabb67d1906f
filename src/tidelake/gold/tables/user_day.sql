-- One row per (actor, local date) with an event that counts: counts, measures, first and last values,
-- and the sessions that start on the date with their watch time.
WITH visits AS (
    SELECT actor_id, session_date, count(*) AS session_count,
           {sum_of_duration_seconds} AS session_seconds,
           {sum_of_engaged_seconds} AS engaged_seconds,
           {sum_of_watch_seconds} AS watch_seconds,
           {sum_of_watch_seconds_wall} AS watch_seconds_wall,
           CAST(sum(watch_open_ended_count) AS BIGINT) AS watch_open_ended_count
    FROM gold.sessions
    WHERE {session_days}
    GROUP BY actor_id, session_date
)
SELECT days.actor_id,
       days.event_date AS activity_date,
       days.event_count,
       days.active_event_count,
       days.active_event_count > 0 AS is_active,
       days.first_event_time,
       days.last_event_time{outputs},
       coalesce(visits.session_count, 0) AS session_count,
       coalesce(visits.session_seconds, 0) AS session_seconds,
       coalesce(visits.engaged_seconds, 0) AS engaged_seconds,
       {watch_seconds} AS watch_seconds,
       {watch_seconds_wall} AS watch_seconds_wall,
       {watch_open_ended_count} AS watch_open_ended_count
FROM temp.actor_days AS days
LEFT JOIN visits ON visits.actor_id = days.actor_id AND visits.session_date = days.event_date{joins}
