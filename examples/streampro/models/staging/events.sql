SELECT event_date, event_time, actor_id AS user_id, account_id, session_id, video_id, event_name, value,
       device, device_os, app_version, network_type, country
FROM silver.events
