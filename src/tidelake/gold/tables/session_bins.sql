-- One row per (actor, unit, local date, time bin): all gaps inside a bin are shorter than the session timeout
-- and the engaged cap, so sessions are cut between bins and only bins have to be put in order.
SELECT {keys},
       min(event_time) AS first_time,
       max(event_time) AS last_time,
       count(*) AS event_count,
       count(*) FILTER (WHERE is_active) AS active_event_count,
       min(event_time) FILTER (WHERE is_watch) AS first_watch_time{measures}
FROM ({events}) AS events
GROUP BY {keys}
