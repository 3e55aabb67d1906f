SELECT sessions.actor_id AS user_id,
       sessions.source_session_id AS session_id,
       sessions.session_date,
       row_number() OVER (
           PARTITION BY sessions.actor_id ORDER BY sessions.started_at, sessions.session_id
       ) AS session_number,
       sessions.started_at AS session_start,
       sessions.ended_at AS session_end,
       sessions.duration_seconds,
       sessions.watch_seconds AS total_watch_time_s,
       sessions.watch_events,
       sessions.likes > 0 AS has_like,
       sessions.hearts > 0 AS has_heart,
       sessions.event_count,
       sessions.first_watch_content AS first_video_id,
       sessions.first_device AS device,
       sessions.first_device_os AS device_os,
       sessions.first_app_version AS app_version,
       sessions.first_network_type AS network_type,
       sessions.first_country AS country,
       users.signup_date,
       users.subscription_tier,
       users.age_group,
       users.gender
FROM gold.sessions AS sessions
LEFT JOIN staging.users AS users ON users.user_id = sessions.actor_id
