-- Every number of the case study, inside PostgreSQL. `psql -f sql_queries.sql` runs the file as it is; statements under
-- `-- step:` make temporary tables, those under `-- name:` answer. The day of the change is the middle of the log unless
-- it is set before: SET collapse.change_day = '2025-11-17'. All days are UTC days. Definitions: docs/metrics.md.

-- step: events in order; at equal times an app_open comes first and an app_close last
DROP TABLE IF EXISTS ordered;
CREATE TEMP TABLE ordered AS
WITH ranked AS (
    SELECT event_id, user_id, event_type, content_id, device, app_version, region, model_version, "timestamp" AS at,
           ("timestamp" AT TIME ZONE 'UTC')::date AS day,
           CASE event_type WHEN 'app_open' THEN 0 WHEN 'app_close' THEN 2 ELSE 1 END AS rank
    FROM collapse.events
)
SELECT *,
       row_number() OVER so_far AS place,
       count(*) FILTER (WHERE rank = 0) OVER so_far AS opens,
       count(*) FILTER (WHERE rank = 2) OVER so_far AS closes
FROM ranked
WINDOW so_far AS (PARTITION BY user_id ORDER BY at, rank, event_id ROWS UNBOUNDED PRECEDING);
CREATE INDEX ON ordered (user_id, place);
ANALYZE ordered;

-- step: sessions from an app_open to an app_close, although one user's sessions overlap and some never close
-- First opened, first closed: the i-th open takes the close after the one that the open before it took, or the first
-- close after itself, whichever is later. Closes are counted, so that the number of the close is
-- i + max over k <= i of (closes before open k + 1 - k). Without a close a session ends before the user's next open.
DROP TABLE IF EXISTS brackets;
CREATE TEMP TABLE brackets AS
WITH starts AS (
    SELECT user_id, opens AS number, place AS start_place, at AS started_at, day, event_id AS session_id,
           device, app_version, region, model_version,
           opens + max(closes + 1 - opens) OVER (PARTITION BY user_id ORDER BY place) AS close_number,
           lead(place) OVER (PARTITION BY user_id ORDER BY place) AS next_place
    FROM ordered
    WHERE rank = 0
),
ends AS (
    SELECT user_id, closes AS close_number, place AS close_place FROM ordered WHERE rank = 2
),
lasts AS (
    SELECT user_id, max(place) AS last_place FROM ordered GROUP BY user_id
),
held AS (
    SELECT s.*, e.close_place IS NOT NULL AS is_closed,
           coalesce(e.close_place, s.next_place - 1, l.last_place) AS end_place
    FROM starts AS s
    JOIN lasts AS l ON l.user_id = s.user_id
    LEFT JOIN ends AS e ON e.user_id = s.user_id AND e.close_number = s.close_number
),
marked AS (
    SELECT *, coalesce(max(end_place) OVER (PARTITION BY user_id ORDER BY number
                                            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) < start_place AS is_alone
    FROM held
),
chained AS (
    SELECT *, count(*) FILTER (WHERE is_alone) OVER (PARTITION BY user_id ORDER BY number) AS chain
    FROM marked
)
SELECT *, count(*) OVER (PARTITION BY user_id, chain) AS chain_size
FROM chained;
CREATE UNIQUE INDEX ON brackets (user_id, number);
ANALYZE brackets;

-- step: events inside of several open sessions, with the sessions that are open, in the order of their turn
DROP TABLE IF EXISTS candidates;
CREATE TEMP TABLE candidates AS
SELECT o.user_id, latest.chain, o.event_type, o.place, array_agg(b.number ORDER BY b.number) AS open_numbers,
       row_number() OVER (PARTITION BY o.user_id, latest.chain, o.event_type ORDER BY o.place) AS turn
FROM ordered AS o
JOIN brackets AS latest ON latest.user_id = o.user_id AND latest.number = o.opens AND latest.chain_size > 1
JOIN brackets AS b ON b.user_id = o.user_id AND b.chain = latest.chain AND o.place BETWEEN b.start_place AND b.end_place
WHERE o.rank = 1
GROUP BY o.user_id, latest.chain, o.event_type, o.place;
CREATE UNIQUE INDEX ON candidates (user_id, chain, event_type, turn);
ANALYZE candidates;

-- step: every event with the session that holds it, null outside of sessions
-- An event inside of several goes to the oldest that has no event of its type yet, else to the latest opened. Sessions
-- are served in the order in which they opened: one that was passed over had ended. So the last one served is enough
-- to know.
DROP TABLE IF EXISTS placed;
CREATE TEMP TABLE placed AS
WITH RECURSIVE given AS (
    SELECT user_id, chain, event_type, turn, place, open_numbers[1] AS number, open_numbers[1] AS served
    FROM candidates
    WHERE turn = 1
    UNION ALL
    SELECT c.user_id, c.chain, c.event_type, c.turn, c.place,
           coalesce(free.number, c.open_numbers[cardinality(c.open_numbers)]),
           coalesce(free.number, g.served)
    FROM given AS g
    JOIN candidates AS c
      ON c.user_id = g.user_id AND c.chain = g.chain AND c.event_type = g.event_type AND c.turn = g.turn + 1
    CROSS JOIN LATERAL (SELECT min(n) AS number FROM unnest(c.open_numbers) AS n WHERE n > g.served) AS free
)
SELECT o.*,
       CASE o.rank WHEN 0 THEN o.opens
                   WHEN 2 THEN closed.number
                   ELSE coalesce(g.number, CASE WHEN latest.chain_size = 1 AND o.place <= latest.end_place
                                                THEN latest.number END)
       END AS number
FROM ordered AS o
LEFT JOIN brackets AS closed
  ON closed.user_id = o.user_id AND closed.end_place = o.place AND closed.is_closed AND o.rank = 2
LEFT JOIN given AS g ON g.user_id = o.user_id AND g.place = o.place
LEFT JOIN brackets AS latest ON latest.user_id = o.user_id AND latest.number = o.opens;

-- step: watch time by session, net and by the wall clock, from what each title's events say
-- Net: playing, without pauses and buffers, between play, resume, buffer_end and pause, buffer_start, stop, complete. A
-- pause inside of a buffer, or the reverse, ends when both have ended. Wall: from play to stop or complete. Where the
-- end is missing (the title is played anew, or nothing comes within 24 hours) five minutes count after the last event,
-- or less where the next one comes before. A stretch belongs to the session of the event that begins it.
DROP TABLE IF EXISTS watched;
CREATE TEMP TABLE watched AS
WITH titles AS (
    SELECT user_id, content_id, number, event_type, at,
           row_number() OVER in_order AS turn,
           lead(at) OVER in_order AS next_at,
           lead(event_type) OVER in_order AS next_type
    FROM placed
    WHERE content_id IS NOT NULL
    WINDOW in_order AS (PARTITION BY user_id, content_id ORDER BY at, rank, event_id)
),
marks AS (  -- the last event that set a flag or took it away, and the last that set it
    SELECT *,
        max(turn) FILTER (WHERE event_type IN ('video_play', 'video_resume', 'buffer_end')) OVER so_far AS started_turn,
        max(at) FILTER (WHERE event_type IN ('video_play', 'video_resume', 'buffer_end')) OVER so_far AS started_at,
        max(turn) FILTER (WHERE event_type = 'video_play') OVER so_far AS play_turn,
        max(at) FILTER (WHERE event_type = 'video_play') OVER so_far AS play_at,
        max(turn) FILTER (WHERE event_type IN ('video_complete', 'video_stop')) OVER so_far AS end_turn,
        max(turn) FILTER (WHERE event_type = 'video_pause') OVER so_far AS pause_turn,
        max(at) FILTER (WHERE event_type = 'video_pause') OVER so_far AS pause_at,
        max(turn) FILTER (WHERE event_type IN ('video_play', 'video_resume', 'video_complete', 'video_stop'))
            OVER so_far AS unpause_turn,
        max(turn) FILTER (WHERE event_type = 'buffer_start') OVER so_far AS buffer_turn,
        max(at) FILTER (WHERE event_type = 'buffer_start') OVER so_far AS buffer_at,
        max(turn) FILTER (WHERE event_type IN ('video_play', 'buffer_end', 'video_complete', 'video_stop'))
            OVER so_far AS unbuffer_turn,
        max(turn) FILTER (WHERE number IS NOT NULL) OVER so_far AS holder_turn
    FROM titles
    WINDOW so_far AS (PARTITION BY user_id, content_id ORDER BY turn ROWS UNBOUNDED PRECEDING)
),
states AS (
    SELECT user_id, number, at, next_at, event_type, started_at, play_at,
        max(number) OVER holder AS holder,
        at - min(at) OVER holder <= interval '24 hours' AS is_held,
        coalesce(next_type <> 'video_play', false) AS is_closed_by_next,
        least(coalesce(next_at - at, interval '5 minutes'), interval '5 minutes') AS closing,
        coalesce(started_turn, 0) > coalesce(end_turn, 0) AND at - started_at <= interval '24 hours'
            AND NOT (coalesce(pause_turn, 0) > coalesce(unpause_turn, 0) AND at - pause_at <= interval '24 hours')
            AND NOT (coalesce(buffer_turn, 0) > coalesce(unbuffer_turn, 0) AND at - buffer_at <= interval '24 hours')
            AS is_playing,
        coalesce(play_turn, 0) > coalesce(end_turn, 0) AND at - play_at <= interval '24 hours' AS is_open
    FROM marks
    WINDOW holder AS (PARTITION BY user_id, content_id, holder_turn)
)
SELECT user_id, holder AS number,
       sum(CASE WHEN NOT is_playing THEN interval '0'
                WHEN is_closed_by_next AND next_at - started_at <= interval '24 hours' THEN next_at - at
                ELSE closing END) AS net,
       sum(CASE WHEN NOT is_open THEN interval '0'
                WHEN is_closed_by_next AND next_at - play_at <= interval '24 hours' THEN next_at - at
                ELSE closing END) AS wall,
       count(*) FILTER (WHERE is_playing AND NOT (is_closed_by_next AND next_at - started_at <= interval '24 hours'))
           AS open_ended
FROM states
WHERE is_held AND holder IS NOT NULL
GROUP BY user_id, holder;

-- step: one row a session
DROP TABLE IF EXISTS sessions;
CREATE TEMP TABLE sessions AS
WITH plays AS (
    SELECT user_id, number, count(*) AS plays
    FROM placed
    WHERE event_type = 'video_play' AND number IS NOT NULL
    GROUP BY user_id, number
)
SELECT b.session_id, b.user_id, b.day, b.started_at, b.is_closed, b.device, b.app_version, b.region, b.model_version,
       coalesce(p.plays, 0) AS plays,
       coalesce(w.net, interval '0') AS watch_net,
       coalesce(w.wall, interval '0') AS watch_wall,
       coalesce(w.open_ended, 0) AS open_ended
FROM brackets AS b
LEFT JOIN plays AS p ON p.user_id = b.user_id AND p.number = b.number
LEFT JOIN watched AS w ON w.user_id = b.user_id AND w.number = b.number;

-- step: the days: received where its file is there, whole where it can be compared with others
-- The last day is a part of one where its log is silent until midnight for longer than between any two events of the
-- same or of successive days; the first day likewise.
DROP TABLE IF EXISTS calendar;
CREATE TEMP TABLE calendar AS
WITH gaps AS (
    SELECT day - lag(day) OVER in_time AS days, at - lag(at) OVER in_time AS gap FROM ordered WINDOW in_time AS (ORDER BY at)
),
seen AS (
    SELECT day, min(at) AS first_at, max(at) AS last_at FROM ordered GROUP BY day
),
files AS (  -- by the date in their names; null where a name has none
    SELECT collapse.read_instant(regexp_replace(substring(source_file FROM '\d{4}-?\d{2}-?\d{2}'),
                                                '^(\d{4})-?(\d\d)-?(\d\d)$', '\1-\2-\3'))::date AS day,
           sum(lines) AS lines, sum(rejected) AS rejected
    FROM collapse.loads
    GROUP BY 1
),
known AS (
    SELECT min(day) AS first_day, max(day) AS last_day, (SELECT max(gap) FROM gaps WHERE days <= 1) AS longest,
           (SELECT count(day) > 0 FROM files) AS is_dated
    FROM seen
),
days AS (
    SELECT generate_series(first_day, last_day, interval '1 day')::date AS day FROM known
),
judged AS (
    SELECT d.day,
           CASE WHEN k.is_dated THEN f.day IS NOT NULL ELSE s.day IS NOT NULL END AS is_received,
           s.day IS NOT NULL
               AND (k.is_dated OR d.day < k.last_day)
               AND coalesce(f.rejected <= 0.01 * f.lines, NOT k.is_dated)
               AND coalesce(d.day < k.last_day
                            OR (d.day + 1)::timestamp AT TIME ZONE 'UTC' - s.last_at <= k.longest, true)
               AND coalesce(d.day > k.first_day
                            OR s.first_at - d.day::timestamp AT TIME ZONE 'UTC' <= k.longest, true) AS is_whole
    FROM days AS d
    CROSS JOIN known AS k
    LEFT JOIN seen AS s ON s.day = d.day
    LEFT JOIN files AS f ON f.day = d.day
),
sides AS (
    SELECT *, day >= coalesce(nullif(current_setting('collapse.change_day', true), '')::date,
                              (SELECT min(day) + count(*)::integer / 2 FROM days)) AS is_after
    FROM judged
)
SELECT *, is_whole AND bool_or(is_whole AND is_after) OVER weekday AND bool_or(is_whole AND NOT is_after) OVER weekday
          AS is_comparable  -- its weekday is there on both sides of the change
FROM sides
WINDOW weekday AS (PARTITION BY extract(isodow FROM day));

-- step: what each user did on each day under each value of each dimension; model_version where a log carries it
DROP TABLE IF EXISTS user_days;
CREATE TEMP TABLE user_days AS
SELECT o.day, s.dimension, coalesce(s.segment, '(unknown)') AS segment, o.user_id,
       count(*) FILTER (WHERE o.event_type = 'app_open') AS opens,
       count(*) FILTER (WHERE o.event_type = 'video_play') AS plays
FROM ordered AS o
CROSS JOIN LATERAL (VALUES ('(all)', '(all)'), ('region', o.region), ('device', o.device),
                           ('app_version', o.app_version), ('content_id', o.content_id),
                           ('model_version', o.model_version)) AS s (dimension, segment)
WHERE s.dimension <> 'model_version' OR EXISTS (SELECT FROM collapse.events WHERE model_version IS NOT NULL)
GROUP BY o.day, s.dimension, coalesce(s.segment, '(unknown)'), o.user_id;

-- step: the parts of every number, by day and segment: sums only, so that days and segments can be added up
DROP TABLE IF EXISTS parts;
CREATE TEMP TABLE parts AS
WITH of_users AS (
    SELECT day, dimension, segment, sum(plays) AS plays, count(*) AS active_users,
           count(*) FILTER (WHERE plays > 0) AS players,
           count(*) FILTER (WHERE opens > 0) AS openers,
           count(*) FILTER (WHERE opens > 0 AND plays = 0) AS openers_without_play
    FROM user_days
    GROUP BY day, dimension, segment
),
of_sessions AS (  -- a title is not what a session has: one session holds several
    SELECT x.day, s.dimension, coalesce(s.segment, '(unknown)') AS segment, count(*) AS sessions,
           count(*) FILTER (WHERE x.plays = 0) AS sessions_without_play,
           extract(epoch FROM sum(x.watch_net))::double precision AS watch_seconds,
           extract(epoch FROM sum(x.watch_wall))::double precision AS watch_seconds_wall
    FROM sessions AS x
    CROSS JOIN LATERAL (VALUES ('(all)', '(all)'), ('region', x.region), ('device', x.device),
                               ('app_version', x.app_version), ('model_version', x.model_version))
               AS s (dimension, segment)
    GROUP BY x.day, s.dimension, coalesce(s.segment, '(unknown)')
),
segments AS (
    SELECT DISTINCT dimension, segment FROM of_users
)
SELECT c.day, c.is_after, c.is_comparable, g.dimension, g.segment,
       coalesce(u.plays, 0)::double precision AS plays,
       coalesce(u.active_users, 0) AS active_users,
       coalesce(u.players, 0) AS players,
       coalesce(u.openers, 0) AS openers,
       coalesce(u.openers_without_play, 0) AS openers_without_play,
       CASE WHEN g.dimension <> 'content_id' THEN coalesce(s.sessions, 0) END AS sessions,
       CASE WHEN g.dimension <> 'content_id' THEN coalesce(s.sessions_without_play, 0) END AS sessions_without_play,
       CASE WHEN g.dimension <> 'content_id' THEN coalesce(s.watch_seconds, 0) END AS watch_seconds,
       CASE WHEN g.dimension <> 'content_id' THEN coalesce(s.watch_seconds_wall, 0) END AS watch_seconds_wall
FROM calendar AS c
CROSS JOIN segments AS g
LEFT JOIN of_users AS u ON u.day = c.day AND u.dimension = g.dimension AND u.segment = g.segment
LEFT JOIN of_sessions AS s ON s.day = c.day AND s.dimension = g.dimension AND s.segment = g.segment
WHERE c.is_received;

-- name: ledger
SELECT coalesce(l.source_file, '(all)') AS source_file, sum(l.lines)::bigint AS lines, sum(l.loaded)::bigint AS loaded,
       sum(l.duplicates)::bigint AS duplicates, sum(l.rejected)::bigint AS rejected
FROM collapse.loads AS l
GROUP BY ROLLUP (l.source_file)
ORDER BY grouping(l.source_file), l.source_file;

-- name: rejected
SELECT reason, count(*) AS lines
FROM collapse.rejected_lines, unnest(reasons) AS reason
GROUP BY reason
ORDER BY lines DESC, reason;

-- name: days
SELECT day, is_received, is_whole, is_after, is_comparable FROM calendar ORDER BY day;

-- name: numbers
-- Two denominators: plays_per_user keeps those who did not play, plays_per_player is the document's, which drops them.
-- Two bounces: of sessions, and of users who opened the app on a day.
SELECT day, dimension, segment, plays, active_users,
       plays / nullif(active_users, 0) AS plays_per_user,
       plays / nullif(players, 0) AS plays_per_player,
       sessions,
       sessions_without_play::double precision / nullif(sessions, 0) AS bounce_session,
       openers_without_play::double precision / nullif(openers, 0) AS opened_not_play,
       watch_seconds, watch_seconds_wall
FROM parts
ORDER BY dimension, segment, day;

-- name: averages
-- Before and after the change over comparable days: means of a day, and of ratios the ratio of the sums.
WITH sums AS (
    SELECT dimension, segment, is_after, count(*) AS days, sum(plays) AS plays, sum(active_users) AS active_users,
           sum(players) AS players, sum(sessions) AS sessions, sum(sessions_without_play) AS sessions_without_play,
           sum(openers) AS openers, sum(openers_without_play) AS openers_without_play,
           sum(watch_seconds) AS watch_seconds, sum(watch_seconds_wall) AS watch_seconds_wall
    FROM parts
    WHERE is_comparable
    GROUP BY dimension, segment, is_after
),
listed AS (
    SELECT dimension, segment, is_after, v.number, v.value
    FROM sums
    CROSS JOIN LATERAL (VALUES
        ('plays', plays / days),
        ('active_users', active_users::double precision / days),
        ('plays_per_user', plays / nullif(active_users, 0)),
        ('plays_per_player', plays / nullif(players, 0)),
        ('sessions', sessions::double precision / days),
        ('bounce_session', sessions_without_play::double precision / nullif(sessions, 0)),
        ('opened_not_play', openers_without_play::double precision / nullif(openers, 0)),
        ('watch_seconds', watch_seconds / days),
        ('watch_seconds_wall', watch_seconds_wall / days)) AS v (number, value)
),
both_sides AS (
    SELECT dimension, segment, number,
           max(value) FILTER (WHERE NOT is_after) AS baseline,
           max(value) FILTER (WHERE is_after) AS post
    FROM listed
    GROUP BY dimension, segment, number
)
SELECT dimension, segment, number, baseline, post, 100 * (1 - post / nullif(baseline, 0)) AS fall_percent
FROM both_sides
ORDER BY dimension, segment, number;

-- name: losses
-- What was lost from the change on: each day against the mean of the same weekday before. No interval is claimed here;
-- `loss_share` is the part of the whole loss, `place` the order by it.
WITH expected AS (
    SELECT dimension, segment, extract(isodow FROM day) AS weekday, avg(plays) AS plays, avg(watch_seconds) AS watch_seconds
    FROM parts
    WHERE is_comparable AND NOT is_after
    GROUP BY dimension, segment, extract(isodow FROM day)
),
lost AS (
    SELECT p.dimension, p.segment, count(*) AS days, sum(e.plays) AS plays_expected, sum(p.plays) AS plays_seen,
           sum(e.plays - p.plays) AS plays_lost, sum(e.watch_seconds - p.watch_seconds) / 3600 AS hours_lost
    FROM parts AS p
    JOIN expected AS e
      ON e.dimension = p.dimension AND e.segment = p.segment AND e.weekday = extract(isodow FROM p.day)
    WHERE p.is_comparable AND p.is_after
    GROUP BY p.dimension, p.segment
)
SELECT *, plays_lost / nullif(sum(plays_lost) OVER (PARTITION BY dimension), 0) AS loss_share,
       rank() OVER (PARTITION BY dimension ORDER BY plays_lost DESC) AS place
FROM lost
ORDER BY dimension, place, segment;

-- name: summary
-- The blanks of the document's summary, overall and by region. What the cause is, these numbers alone do not say.
WITH sums AS (
    SELECT segment, is_after, count(*) AS days, sum(plays) AS plays, sum(active_users) AS active_users,
           sum(watch_seconds) / 3600 AS hours, sum(sessions) AS sessions,
           sum(sessions_without_play) AS sessions_without_play, sum(openers) AS openers,
           sum(openers_without_play) AS openers_without_play
    FROM parts
    WHERE is_comparable AND dimension IN ('(all)', 'region')
    GROUP BY segment, is_after
)
SELECT b.segment AS region,
       round((100 * (1 - (a.hours / a.days) / nullif(b.hours / b.days, 0)))::numeric, 1) AS watch_time_fall_percent,
       round((b.plays / nullif(b.active_users, 0))::numeric, 3) AS baseline_plays_per_user,
       round((a.plays / nullif(a.active_users, 0))::numeric, 3) AS post_plays_per_user,
       round(100.0 * b.sessions_without_play / nullif(b.sessions, 0), 1) AS baseline_bounce_session_percent,
       round(100.0 * a.sessions_without_play / nullif(a.sessions, 0), 1) AS post_bounce_session_percent,
       round(100.0 * b.openers_without_play / nullif(b.openers, 0), 1) AS baseline_opened_not_play_percent,
       round(100.0 * a.openers_without_play / nullif(a.openers, 0), 1) AS post_opened_not_play_percent
FROM sums AS b
JOIN sums AS a ON a.segment = b.segment AND a.is_after
WHERE NOT b.is_after
ORDER BY b.segment;
