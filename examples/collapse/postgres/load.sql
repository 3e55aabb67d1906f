-- From lines to events. The lines stand in the temporary table new_lines (source_file, source_line, problem, line),
-- filled by COPY; those of one load may have been loaded before, and then nothing changes.

-- step: read every line and say what is wrong with it
DROP TABLE IF EXISTS read_lines;
CREATE TEMP TABLE read_lines AS
WITH parsed AS MATERIALIZED (
    SELECT source_file, source_line, problem, line, collapse.read_json(line) AS record
    FROM new_lines
),
objects AS (
    SELECT source_file, source_line, problem, line, record,
           CASE WHEN jsonb_typeof(record) = 'object' THEN record END AS event
    FROM parsed
),
fields AS MATERIALIZED (
    SELECT source_file, source_line, problem, line, record, event,
           event ->> 'event_id' AS event_id,
           event ->> 'user_id' AS user_id,
           event ->> 'event_type' AS event_type,
           event ->> 'content_id' AS content_id,
           event ->> 'device' AS device,
           event ->> 'app_version' AS app_version,
           event ->> 'region' AS region,
           event ->> 'timestamp' AS given_time,
           collapse.read_instant(event ->> 'timestamp') AS "timestamp",
           nullif(event -> 'seek_seconds', 'null') AS given_seek,
           collapse.read_number(event -> 'seek_seconds') AS seek_seconds,
           event ->> 'model_version' AS model_version
    FROM objects
)
SELECT source_file, source_line, line, event_id, user_id, event_type, content_id, device, app_version, region,
       "timestamp", seek_seconds, model_version,
       array_remove(ARRAY[
           CASE WHEN problem IS NOT NULL THEN problem
                WHEN record IS NULL THEN 'invalid_json'
                WHEN event IS NULL THEN 'not_an_object'
                WHEN (SELECT count(*) FROM json_object_keys(line::json)) <> (SELECT count(*) FROM jsonb_object_keys(event))
                THEN 'duplicate_key' END,
           CASE WHEN event IS NOT NULL AND event_id IS NULL THEN 'missing_required:event_id' END,
           CASE WHEN jsonb_typeof(event -> 'event_id') IN ('object', 'array') THEN 'wrong_type:event_id' END,
           CASE WHEN event IS NOT NULL AND user_id IS NULL THEN 'missing_required:user_id' END,
           CASE WHEN jsonb_typeof(event -> 'user_id') IN ('object', 'array') THEN 'wrong_type:user_id' END,
           CASE WHEN event IS NOT NULL AND event_type IS NULL THEN 'missing_required:event_type' END,
           CASE WHEN jsonb_typeof(event -> 'event_type') IN ('object', 'array') THEN 'wrong_type:event_type' END,
           CASE WHEN event_type NOT IN (
                    'app_open', 'home_impression', 'app_close', 'video_play', 'video_pause', 'video_resume',
                    'video_seek', 'buffer_start', 'buffer_end', 'video_complete', 'video_stop')
                THEN 'not_allowed:event_type' END,
           CASE WHEN jsonb_typeof(event -> 'content_id') IN ('object', 'array') THEN 'wrong_type:content_id' END,
           CASE WHEN event IS NOT NULL AND device IS NULL THEN 'missing_required:device' END,
           CASE WHEN jsonb_typeof(event -> 'device') IN ('object', 'array') THEN 'wrong_type:device' END,
           CASE WHEN event IS NOT NULL AND app_version IS NULL THEN 'missing_required:app_version' END,
           CASE WHEN jsonb_typeof(event -> 'app_version') NOT IN ('string', 'null') THEN 'wrong_type:app_version' END,
           CASE WHEN event IS NOT NULL AND region IS NULL THEN 'missing_required:region' END,
           CASE WHEN jsonb_typeof(event -> 'region') IN ('object', 'array') THEN 'wrong_type:region' END,
           CASE WHEN event IS NOT NULL AND given_time IS NULL THEN 'missing_required:timestamp' END,
           CASE WHEN given_time IS NOT NULL AND "timestamp" IS NULL THEN
                CASE WHEN given_time ~ '^[0-9]{1,2}[/.-][0-9]{1,2}[/.-][0-9]{2,4}( .*)?$' THEN 'ambiguous_time:timestamp'
                     ELSE 'wrong_time:timestamp' END END,
           CASE WHEN given_seek IS NOT NULL AND seek_seconds IS NULL THEN 'wrong_type:seek_seconds' END,
           CASE WHEN "timestamp" < '2000-01-01Z' OR "timestamp" > now() + interval '1 day'
                THEN 'clock_skew:event_time' END
       ], NULL) AS reasons
FROM fields;

-- step: take the first line of every event that is not there yet
WITH firsts AS (
    SELECT DISTINCT ON (event_id) *
    FROM read_lines
    WHERE reasons = '{}'
    ORDER BY event_id, source_file, source_line
)
INSERT INTO collapse.events (event_id, user_id, event_type, content_id, device, app_version, region, "timestamp",
                             seek_seconds, model_version, source_file, source_line)
SELECT event_id, user_id, event_type, content_id, device, app_version, region, "timestamp",
       seek_seconds, model_version, source_file, source_line
FROM firsts
ON CONFLICT (event_id) DO NOTHING;

-- step: what became of every line; an id that comes again with other contents is no duplicate but a conflict
DROP TABLE IF EXISTS outcomes;
CREATE TEMP TABLE outcomes AS
SELECT r.source_file, r.source_line, r.line,
       CASE WHEN r.reasons <> '{}' THEN r.reasons
            WHEN (e.source_file, e.source_line) <> (r.source_file, r.source_line)
                 AND (e.user_id, e.event_type, e.content_id, e.device, e.app_version, e.region, e."timestamp",
                      e.seek_seconds, e.model_version)
                     IS DISTINCT FROM (r.user_id, r.event_type, r.content_id, r.device, r.app_version, r.region,
                                       r."timestamp", r.seek_seconds, r.model_version)
            THEN ARRAY['conflict'] END AS reasons,
       r.reasons = '{}' AND (e.source_file, e.source_line) = (r.source_file, r.source_line) AS is_loaded
FROM read_lines AS r
LEFT JOIN collapse.events AS e ON e.event_id = r.event_id AND r.reasons = '{}';

-- step: keep the lines that were rejected
INSERT INTO collapse.rejected_lines (source_file, source_line, reasons, line)
SELECT source_file, source_line, reasons, line
FROM outcomes
WHERE reasons IS NOT NULL
ON CONFLICT (source_file, source_line) DO NOTHING;

-- step: account for every line of every file
INSERT INTO collapse.loads (source_file, lines, loaded, duplicates, rejected)
SELECT source_file, count(*), count(*) FILTER (WHERE is_loaded),
       count(*) FILTER (WHERE NOT is_loaded AND reasons IS NULL), count(*) FILTER (WHERE reasons IS NOT NULL)
FROM outcomes
GROUP BY source_file
ON CONFLICT (source_file) DO UPDATE
SET lines = excluded.lines, loaded = excluded.loaded, duplicates = excluded.duplicates, rejected = excluded.rejected
WHERE (loads.lines, loads.loaded, loads.duplicates, loads.rejected)
      <> (excluded.lines, excluded.loaded, excluded.duplicates, excluded.rejected);

-- step: the planner needs to know what is there
ANALYZE collapse.events;
