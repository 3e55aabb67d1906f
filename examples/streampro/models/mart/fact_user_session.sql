-- The next session counts where it starts within 72 hours (259,200,000,000 microseconds), whatever the date boundaries.
WITH ordered AS (
    SELECT *,
           lead(session_start) OVER (PARTITION BY user_id ORDER BY session_number) AS next_session_start,
           lead(session_id) OVER (PARTITION BY user_id ORDER BY session_number) AS next_session_id,
           count(*) OVER (PARTITION BY user_id) AS session_count,
           max(session_end) OVER () AS observed_until
    FROM intermediate.user_sessions
)
SELECT ordered.user_id,
       ordered.session_id,
       ordered.session_date,
       ordered.session_number,
       ordered.session_count,
       ordered.session_start,
       ordered.session_end,
       ordered.duration_seconds,
       ordered.total_watch_time_s,
       ordered.watch_events,
       ordered.has_like,
       ordered.has_heart,
       ordered.event_count,
       ordered.first_video_id,
       videos.genre AS first_genre,
       videos.duration_seconds AS first_video_duration_s,
       CASE WHEN watched.seconds > videos.duration_seconds THEN 1.0e0
            ELSE safe_divide(watched.seconds, videos.duration_seconds) END AS first_video_share_watched,
       ordered.device,
       ordered.device_os,
       ordered.app_version,
       ordered.network_type,
       ordered.country,
       ordered.signup_date,
       ordered.subscription_tier,
       ordered.age_group,
       ordered.gender,
       ordered.total_watch_time_s >= 30 AS reached_30s,
       ordered.total_watch_time_s < 10 AS dropoff_under_10s,
       ordered.next_session_id,
       ordered.next_session_start,
       CASE WHEN add_micros(ordered.session_start, 259200000000) <= ordered.observed_until
            THEN coalesce(ordered.next_session_start <= add_micros(ordered.session_start, 259200000000), FALSE)
       END AS next_session_within_3d
FROM ordered
LEFT JOIN staging.videos AS videos ON videos.video_id = ordered.first_video_id
LEFT JOIN (
    SELECT user_id, session_id, video_id, sum(value) AS seconds
    FROM staging.events
    WHERE event_name = 'watch_time'
    GROUP BY user_id, session_id, video_id
) AS watched
  ON watched.user_id = ordered.user_id AND watched.session_id = ordered.session_id
 AND watched.video_id = ordered.first_video_id
