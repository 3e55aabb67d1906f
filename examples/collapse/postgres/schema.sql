-- The tables of the case study in a schema of their own. Run again, nothing changes.
CREATE SCHEMA IF NOT EXISTS collapse;

-- One row an event, with the document's columns. Texts are compared byte by byte ("C"), so that the order of events
-- with equal times does not depend on the server's language.
CREATE TABLE IF NOT EXISTS collapse.events (
    event_id      text COLLATE "C" PRIMARY KEY,
    user_id       text COLLATE "C" NOT NULL,
    event_type    text COLLATE "C" NOT NULL CHECK (event_type IN (
        'app_open', 'home_impression', 'app_close', 'video_play', 'video_pause', 'video_resume', 'video_seek',
        'buffer_start', 'buffer_end', 'video_complete', 'video_stop')),
    content_id    text COLLATE "C",
    device        text COLLATE "C" NOT NULL,
    app_version   text COLLATE "C" NOT NULL,         -- text: the number 1.1 has lost the zero of version 1.10
    region        text COLLATE "C" NOT NULL,
    "timestamp"   timestamptz NOT NULL,
    seek_seconds  double precision,
    model_version text COLLATE "C",                  -- not in the document's logs: null where a log lacks it
    source_file   text COLLATE "C" NOT NULL,         -- which line this is, so that a second load knows it again
    source_line   bigint NOT NULL
);

-- One row a line that was not taken, with every reason.
CREATE TABLE IF NOT EXISTS collapse.rejected_lines (
    source_file text COLLATE "C" NOT NULL,
    source_line bigint NOT NULL,
    reasons     text[] NOT NULL,
    line        text,                                -- null where PostgreSQL cannot hold its bytes as text
    PRIMARY KEY (source_file, source_line)
);

-- One row a file: lines = loaded + duplicates + rejected.
CREATE TABLE IF NOT EXISTS collapse.loads (
    source_file text COLLATE "C" PRIMARY KEY,
    lines       bigint NOT NULL,
    loaded      bigint NOT NULL,
    duplicates  bigint NOT NULL,
    rejected    bigint NOT NULL,
    CHECK (lines = loaded + duplicates + rejected)
);

-- For questions about some days and about one kind of event. sql_queries.sql reads every event once and needs neither:
-- README.md says what was measured.
CREATE INDEX IF NOT EXISTS events_timestamp ON collapse.events ("timestamp");
CREATE INDEX IF NOT EXISTS events_type_timestamp ON collapse.events (event_type, "timestamp");

-- A line as JSON, null where it is none. (From version 16 on IS JSON and pg_input_is_valid could do without.)
CREATE OR REPLACE FUNCTION collapse.read_json(line text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN line::jsonb;
EXCEPTION WHEN data_exception OR statement_too_complex THEN
    RETURN NULL;
END $$;

-- A text as an instant, null where it is none: ISO 8601, in UTC where no zone is named, or a number of seconds,
-- milliseconds or microseconds since 1970, whichever its size says.
CREATE OR REPLACE FUNCTION collapse.read_instant(given text) RETURNS timestamptz LANGUAGE plpgsql STABLE STRICT AS $$
BEGIN
    IF given ~ '^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?$' THEN
        RETURN given::timestamp AT TIME ZONE 'UTC';
    ELSIF given ~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)$' THEN
        RETURN given::timestamptz;
    ELSIF given ~ '^\d+(\.\d+)?$' THEN
        RETURN to_timestamp(0) + make_interval(secs => (given::numeric / CASE
            WHEN given::numeric < 1e11 THEN 1 WHEN given::numeric < 1e14 THEN 1000 ELSE 1000000 END)::double precision);
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

-- A JSON value as a number, null where it is none; a text counts where it is written in plain digits.
CREATE OR REPLACE FUNCTION collapse.read_number(given jsonb) RETURNS double precision LANGUAGE plpgsql IMMUTABLE STRICT
AS $$
BEGIN
    IF jsonb_typeof(given) = 'number' OR (given #>> '{}') ~ '^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$' THEN
        RETURN (given #>> '{}')::double precision;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;
