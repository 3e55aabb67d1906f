"""What a person who knows DuckDB well writes by hand over a lake of `engagement.py`: exact, and as fast as it goes.

    python -m benchmarks.by_hand LAKE [--repeat 3]      prints one JSON line {question: {variant: best seconds}}

Every question has several variants of independent design; all must give the same rows. They read the lake's Parquet
files with bare DuckDB. Days and weeks are those of UTC, weeks begin on Monday, an event is active where its traffic is
human. For the funnel an event at the very time of an earlier step counts as after it. Sessions that are cut again from
events end after 30 idle minutes (the engine's cap of 24 hours is left out: no session of this data is near it).
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable

Rows = list[tuple[Any, ...]]
Files = Mapping[str, Sequence[str]]
Variant = Callable[[duckdb.DuckDBPyConnection, Files], Rows]

TABLES = {
    "silver.app": "event_date",
    "gold.user_day": "activity_date",
    "gold.user_day_value": "activity_date",
    "gold.event_day": "activity_month",
    "gold.sessions": "session_date",
}
STEPS = ("app_open", "browse", "video_play", "video_complete")
_DAY_US = 86_400_000_000
WINDOW_US = _DAY_US
TIMEOUT_US = 1_800_000_000
HUMAN = "coalesce(traffic_class, 'human') = 'human'"
_ROLLING = 30
_WORD = 64


def lake_files(lake: Path) -> dict[str, list[str]]:
    """The current Parquet files of each table."""
    return {name: sorted(DeltaTable(lake / name.replace(".", "/")).file_uris()) for name in TABLES}


def read(files: Files, table: str) -> str:
    """A FROM item: the table's files, with the partition's folder as a date."""
    listed = ", ".join(f"'{path}'" for path in files[table])
    return f"read_parquet([{listed}], hive_partitioning = true, hive_types = {{'{TABLES[table]}': DATE}})"


def calendar(files: Files, table: str) -> tuple[date, date]:
    """First and last day that have a partition; their names are enough."""
    days = [date.fromisoformat(re.findall(rf"{TABLES[table]}=([\d-]+)", path)[-1]) for path in files[table]]
    return min(days), max(days)


# DAU by region: (day, region, actors)


def dau_stored(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """The table has one row per actor, day and value, so nothing is left to be made distinct."""
    return connection.execute(
        f"SELECT activity_date, value, count(*) FROM {read(files, 'gold.user_day_value')} "
        "WHERE dimension = 'region' AND is_active GROUP BY ALL ORDER BY ALL"
    ).fetchall()


def dau_distinct(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """The textbook's, over events."""
    return connection.execute(
        f"SELECT event_date, coalesce(region, '(unknown)') AS region, count(DISTINCT actor_id) "
        f"FROM {read(files, 'silver.app')} WHERE {HUMAN} AND actor_id IS NOT NULL GROUP BY ALL ORDER BY ALL"
    ).fetchall()


def dau_two_steps(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """One hash table for all days and regions instead of one a group."""
    return connection.execute(
        "SELECT event_date, region, count(*) "
        "FROM (SELECT DISTINCT event_date, coalesce(region, '(unknown)') AS region, actor_id "
        f"FROM {read(files, 'silver.app')} WHERE {HUMAN} AND actor_id IS NOT NULL) GROUP BY ALL ORDER BY ALL"
    ).fetchall()


# Rolling 30-day MAU: (day, actors), every day of the calendar


def _running(connection: duckdb.DuckDBPyConnection, files: Files, changes: str) -> Rows:
    """Actors of each day out of changes `(day number, plus)`: a prefix sum over the calendar."""
    first, last = calendar(files, "gold.user_day")
    return connection.execute(
        f"WITH changes AS ({changes}), by_day AS (SELECT day, sum(plus) AS plus FROM changes GROUP BY day) "
        f"SELECT DATE '{first}' + day::INTEGER, sum(coalesce(plus, 0)) OVER (ORDER BY day)::BIGINT "
        f"FROM range({(last - first).days + 1}) AS calendar(day) LEFT JOIN by_day USING (day) ORDER BY day"
    ).fetchall()


def mau_changes(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """An active day counts from itself until its actor's next one, 30 days at most: +1 there, −1 at its end."""
    first, _ = calendar(files, "gold.user_day")
    return _running(
        connection,
        files,
        f"WITH pairs AS (SELECT activity_date - DATE '{first}' AS day, lead(day) OVER (PARTITION BY actor_id "
        f"ORDER BY day) AS following FROM {read(files, 'gold.user_day')} WHERE is_active), "
        "counted AS (SELECT day, following, count(*) AS actors FROM pairs GROUP BY ALL) "
        "SELECT day, actors AS plus FROM counted UNION ALL "
        f"SELECT least(following, day + {_ROLLING}), -actors FROM counted",
    )


def mau_lists(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """The same changes, of a sorted list of days per actor: a hash table instead of a sort of everything."""
    first, _ = calendar(files, "gold.user_day")
    return _running(
        connection,
        files,
        f"WITH lists AS (SELECT list_sort(list((activity_date - DATE '{first}')::SMALLINT)) AS days "
        f"FROM {read(files, 'gold.user_day')} WHERE is_active GROUP BY actor_id), "
        "pairs AS (SELECT unnest(days) AS day, unnest(list_append(days[2:], 32767)) AS following FROM lists), "
        "counted AS (SELECT day, following, count(*) AS actors FROM pairs GROUP BY ALL) "
        "SELECT day, actors AS plus FROM counted UNION ALL "
        f"SELECT least(following, day + {_ROLLING}), -actors FROM counted",
    )


def mau_blocks(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """Blocks of 30 days: a window is the end of one block and the beginning of the next.

    An actor is in it whose last day in the one or first day in the other is. So the first and last day per actor and
    block are enough, and of two neighbouring blocks only how many actors have which pair of them.
    """
    first, last = calendar(files, "gold.user_day")
    size = (last - first).days + 1
    blocks = range(-(-size // _ROLLING))
    ends = [f"min(day) FILTER (block = {b}) AS f{b}, max(day) FILTER (block = {b}) AS l{b}" for b in blocks]
    pairs = [
        f"SELECT {b} AS block, coalesce({f'l{b - 1}' if b else -1}, -1) AS before, coalesce(f{b}, {_ROLLING}) "
        "AS after, count(*) AS actors FROM actors GROUP BY ALL"
        for b in blocks
    ]
    return connection.execute(
        f"WITH actors AS MATERIALIZED (SELECT {', '.join(ends)} FROM (SELECT actor_id, "
        f"((activity_date - DATE '{first}') % {_ROLLING})::TINYINT AS day, "
        f"((activity_date - DATE '{first}') // {_ROLLING})::SMALLINT AS block "
        f"FROM {read(files, 'gold.user_day')} WHERE is_active) GROUP BY actor_id), "
        f"pairs AS ({' UNION ALL '.join(pairs)}) "
        f"SELECT DATE '{first}' + day::INTEGER, coalesce(sum(actors), 0)::BIGINT FROM range({size}) AS calendar(day) "
        f"LEFT JOIN pairs ON block = day // {_ROLLING} AND (before > day % {_ROLLING} OR after <= day % {_ROLLING}) "
        "GROUP BY day ORDER BY day"
    ).fetchall()


def mau_bitmaps(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """Days as bits of 64-bit words that overlap, so that each window lies in one word; a mask and a count per day."""
    first, last = calendar(files, "gold.user_day")
    size = (last - first).days + 1
    step = _WORD - _ROLLING + 1  # windows that end in a word and not in the one before
    words = 1 + max(0, -(-(size - _WORD) // step))
    bits = [
        f"bit_or(CASE WHEN day BETWEEN {word * step} AND {word * step + _WORD - 1} "
        f"THEN 1::UBIGINT << (day - {word * step})::UBIGINT ELSE 0::UBIGINT END) AS w{word}"
        for word in range(words)
    ]
    counts = []
    for end in range(size):
        word = 0 if end < _WORD else -(-(end - _WORD + 1) // step)
        low, high = max(0, end - _ROLLING + 1) - word * step, end - word * step
        mask = sum(1 << bit for bit in range(low, high + 1))
        counts.append(f"count(nullif(w{word} & {mask}::UBIGINT, 0))")
    found = connection.execute(
        f"WITH actors AS (SELECT {', '.join(bits)} FROM (SELECT actor_id, activity_date - DATE '{first}' AS day "
        f"FROM {read(files, 'gold.user_day')} WHERE is_active) GROUP BY actor_id) "
        f"SELECT {', '.join(counts)} FROM actors"
    ).fetchall()[0]
    return [(first + timedelta(days=day), actors) for day, actors in enumerate(found)]


# Weekly retention: (cohort's Monday, weeks since, actors); index 0 is the cohort's size


def _monday(files: Files) -> date:
    first, _ = calendar(files, "gold.user_day")
    return first - timedelta(days=first.weekday())


def retention_pairs(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """Distinct weeks of each actor, the first of them by a window."""
    return connection.execute(
        "WITH weeks AS (SELECT DISTINCT actor_id, date_trunc('week', activity_date)::DATE AS week "
        f"FROM {read(files, 'gold.user_day')} WHERE is_active), "
        "cohorts AS (SELECT min(week) OVER (PARTITION BY actor_id) AS cohort, week FROM weeks) "
        "SELECT cohort, (week - cohort) // 7 AS index, count(*) FROM cohorts GROUP BY ALL ORDER BY ALL"
    ).fetchall()


def retention_join(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """Weeks as small numbers, each actor's first by a join with its own minimum."""
    monday = _monday(files)
    return connection.execute(
        f"WITH weeks AS MATERIALIZED ("
        f"SELECT DISTINCT actor_id, ((activity_date - DATE '{monday}') // 7)::SMALLINT AS week "
        f"FROM {read(files, 'gold.user_day')} WHERE is_active), "
        "firsts AS (SELECT actor_id, min(week) AS cohort FROM weeks GROUP BY actor_id) "
        f"SELECT DATE '{monday}' + 7 * cohort::INTEGER, week - cohort AS index, count(*) "
        "FROM weeks JOIN firsts USING (actor_id) GROUP BY ALL ORDER BY ALL"
    ).fetchall()


def retention_bitmaps(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """A word of weeks per actor; equal words are counted before any is taken apart."""
    monday, last = _monday(files), calendar(files, "gold.user_day")[1]
    weeks = (last - monday).days // 7 + 1
    if weeks > _WORD:
        raise ValueError(f"{weeks} weeks do not fit into a word of {_WORD} bits")
    return connection.execute(
        f"WITH actors AS (SELECT bit_or(1::UBIGINT << ((activity_date - DATE '{monday}') // 7)::UBIGINT) AS word "
        f"FROM {read(files, 'gold.user_day')} WHERE is_active GROUP BY actor_id), "
        "words AS (SELECT word, count(*) AS actors FROM actors GROUP BY word), "
        f"apart AS (SELECT week, actors, min(week) OVER (PARTITION BY word) AS cohort "
        f"FROM words, range({weeks}) AS numbers(week) WHERE (word >> week::UBIGINT) & 1 = 1) "
        f"SELECT DATE '{monday}' + 7 * cohort::INTEGER, week - cohort AS index, sum(actors)::BIGINT "
        "FROM apart GROUP BY ALL ORDER BY ALL"
    ).fetchall()


# The funnel's rows: step, event, actors who got at least so far

_STEP = "CASE event_name " + " ".join(f"WHEN '{name}' THEN {1 + at}" for at, name in enumerate(STEPS)) + " END"
_IS_STEP = f"step IS NOT NULL AND actor_id IS NOT NULL AND {HUMAN}"


def _steps(files: Files) -> str:
    """The rows of silver with `step`: a list of names in WHERE would go to the reader, which is slower here."""
    return f"(SELECT *, ({_STEP})::UTINYINT AS step FROM {read(files, 'silver.app')})"


def _cumulated(counts: Rows) -> Rows:
    """Actors who got at least so far, out of (depth, actors)."""
    return [(at, name, sum(actors for depth, actors in counts if depth >= at)) for at, name in enumerate(STEPS, 1)]


def _chain(window: str, actor: str) -> str:
    """Running maxima over `steps`: the latest entry from which each step can be reached by now.

    The latest entry leaves the most time, so an actor gets as far as the best attempt. `window` orders the rows.
    """
    within = f"us - {{}} <= {WINDOW_US}"
    return (
        f"one AS (SELECT *, max(us) FILTER (step = 1) {window} AS e1 FROM steps), "
        f"two AS (SELECT *, max(e1) FILTER (step = 2 AND {within.format('e1')}) {window} AS e2 FROM one), "
        f"three AS (SELECT *, max(e2) FILTER (step = 3 AND {within.format('e2')}) {window} AS e3 FROM two), "
        f"depths AS (SELECT {actor} AS actor, max(CASE WHEN step = 4 AND {within.format('e3')} THEN 4 "
        f"WHEN step = 3 AND {within.format('e2')} THEN 3 WHEN step = 2 AND {within.format('e1')} THEN 2 "
        "WHEN step = 1 THEN 1 END) AS depth FROM three GROUP BY ALL)"
    )


def funnel_windows(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """Chained running maxima per actor."""
    counts = connection.execute(
        f"WITH steps AS (SELECT actor_id AS actor, epoch_us(event_time) AS us, step FROM {_steps(files)} "
        f"WHERE {_IS_STEP}), {_chain('OVER (PARTITION BY actor ORDER BY us, step ROWS UNBOUNDED PRECEDING)', 'actor')} "
        "SELECT depth, count(*) FROM depths WHERE depth IS NOT NULL GROUP BY depth"
    ).fetchall()
    return _cumulated(counts)


@contextmanager
def _coded(connection: duckdb.DuckDBPyConnection, files: Files, actors: str) -> Iterator[tuple[str, int]]:
    """A table `coded (actor_id, code)`; a number that orders by actor, then time, and how far two actors are apart."""
    first, last = calendar(files, "silver.app")
    stride = ((last - first).days + 1) * _DAY_US + WINDOW_US + 1
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE coded AS SELECT actor_id, row_number() OVER () AS code FROM ({actors})"
    )
    size = connection.execute("SELECT count(*) FROM coded").fetchall()[0][0]
    kind = "BIGINT" if (size + 1) * stride < 2**63 else "HUGEINT"
    try:
        yield f"code::{kind} * {stride} + (epoch_us(event_time) - epoch_us(TIMESTAMP '{first}'))", stride
    finally:
        connection.execute("DROP TABLE coded")


def _one_sort(connection: duckdb.DuckDBPyConnection, files: Files, actors: str) -> Rows:
    """Depth and number of actors: running maxima that stream over all actors after one sort.

    The numbers of two actors lie further apart than the window, so no entry of one can serve another.
    """
    with _coded(connection, files, actors) as (number, stride):
        return connection.execute(
            f"WITH steps AS (SELECT {number} AS us, step FROM {_steps(files)} JOIN coded USING (actor_id) "
            f"WHERE {_IS_STEP} ORDER BY us, step), {_chain('OVER (ROWS UNBOUNDED PRECEDING)', f'us // {stride}')} "
            "SELECT depth, count(*) FROM depths WHERE depth IS NOT NULL GROUP BY depth"
        ).fetchall()


def funnel_one_sort(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """Actor and time in one number, sorted once."""
    actors = f"SELECT DISTINCT actor_id FROM {read(files, 'silver.app')} WHERE actor_id IS NOT NULL"
    return _cumulated(_one_sort(connection, files, actors))


def funnel_settled(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """Times of a day's first and last events of each step settle most actors; one sort only for the others.

    Reached for sure: within one day of UTC the window always holds, so an open, a browse, a play and a complete in
    order, each a first or last of that day, are a full attempt. Cannot be reached: a step whose last time of all is
    before the first of an earlier step. An actor is settled where the two bounds meet.
    """
    ends = ", ".join(
        f"min(event_time) FILTER (step = {step}) AS f{step}, max(event_time) FILTER (step = {step}) AS l{step}"
        for step in (1, 2, 3, 4)
    )
    full = " OR ".join(f"(f1 <= {b} AND {b} <= {p} AND {p} <= l4)" for b in ("f2", "l2") for p in ("f3", "l3"))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE bounds AS WITH days AS (SELECT actor_id, {ends} FROM {_steps(files)} "
        f"WHERE {_IS_STEP} GROUP BY actor_id, event_date), actors AS (SELECT actor_id, "
        f"max(CASE WHEN {full} THEN 4 WHEN (f1 <= f2 AND f2 <= l3) OR (f1 <= l2 AND l2 <= l3) THEN 3 "
        "WHEN f1 <= l2 THEN 2 WHEN f1 IS NOT NULL THEN 1 ELSE 0 END) AS reached, "
        "min(f1) AS f1, min(f2) AS f2, min(f3) AS f3, max(l2) AS l2, max(l3) AS l3, max(l4) AS l4 "
        "FROM days GROUP BY actor_id) SELECT actor_id, reached, CASE WHEN f1 IS NULL THEN 0 "
        "WHEN (f1 <= l2) IS NOT TRUE THEN 1 WHEN (greatest(f1, f2) <= l3) IS NOT TRUE THEN 2 "
        "WHEN (greatest(f1, f2, f3) <= l4) IS NOT TRUE THEN 3 ELSE 4 END AS reachable FROM actors"
    )
    settled = connection.execute("SELECT reached, count(*) FROM bounds WHERE reached = reachable GROUP BY 1").fetchall()
    others = _one_sort(connection, files, "SELECT actor_id FROM bounds WHERE reached < reachable")
    connection.execute("DROP TABLE bounds")
    return _cumulated(settled + others)


# Sessions below 10 s of watching: (app version, sessions, drop-offs, share)

_BELOW = "round(coalesce({}, 0), 6) < 10"  # sums of tenths of a second: 9.999999999999998 is 10


def drop_off_stored(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """The sessions are there already."""
    return connection.execute(
        "SELECT coalesce(first_app_version, '(unknown)') AS version, count(*), "
        f"count(*) FILTER ({_BELOW.format('watch_seconds')}) AS below, below / count(*) "
        f"FROM {read(files, 'gold.sessions')} GROUP BY version ORDER BY version"
    ).fetchall()


def drop_off_two_keys(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """One count by version and side of the threshold, then a small sum."""
    return connection.execute(
        "SELECT version, sum(sessions)::BIGINT AS sessions, "
        "coalesce(sum(sessions) FILTER (is_below), 0)::BIGINT AS below, below / sum(sessions) "
        "FROM (SELECT coalesce(first_app_version, '(unknown)') AS version, "
        f"{_BELOW.format('watch_seconds')} AS is_below, count(*) AS sessions FROM {read(files, 'gold.sessions')} "
        "GROUP BY ALL) GROUP BY version ORDER BY version"
    ).fetchall()


def drop_off_cut_again(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """Sessions cut from the events once more: actor and time in one number, sorted once, gaps and sessions streamed."""
    actors = f"SELECT DISTINCT actor_id FROM {read(files, 'silver.app')} WHERE actor_id IS NOT NULL"
    with _coded(connection, files, actors) as (number, _):
        return connection.execute(
            f"WITH events AS (SELECT {number} AS us, app_version, "
            "CASE WHEN event_name = 'video_play' THEN seconds END AS seconds "
            f"FROM {read(files, 'silver.app')} JOIN coded USING (actor_id) WHERE {HUMAN} ORDER BY us), "
            f"gaps AS (SELECT *, us - lag(us) OVER () > {TIMEOUT_US} AS is_start FROM events), "
            "numbered AS (SELECT *, count(*) FILTER (is_start) OVER (ROWS UNBOUNDED PRECEDING) AS session FROM gaps), "
            "sessions AS (SELECT coalesce(arg_min(app_version, us), '(unknown)') AS version, sum(seconds) AS seconds "
            "FROM numbered GROUP BY session) "
            f"SELECT version, count(*), count(*) FILTER ({_BELOW.format('seconds')}) AS below, below / count(*) "
            "FROM sessions GROUP BY version ORDER BY version"
        ).fetchall()


# Events and plays: (day, events, plays)


def events_stored(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """Daily totals are stored."""
    return connection.execute(
        f"SELECT activity_date, event_count, plays FROM {read(files, 'gold.event_day')} "
        "WHERE source = 'app' AND dimension = '(all)' ORDER BY activity_date"
    ).fetchall()


def events_counted(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """Two counts over the events."""
    return connection.execute(
        "SELECT event_date, count(*), count(*) FILTER (event_name = 'video_play') "
        f"FROM {read(files, 'silver.app')} WHERE {HUMAN} GROUP BY event_date ORDER BY event_date"
    ).fetchall()


def events_summed(connection: duckdb.DuckDBPyConnection, files: Files) -> Rows:
    """The rows of one dimension add up to the day."""
    return connection.execute(
        f"SELECT activity_date, sum(event_count)::BIGINT, sum(plays)::BIGINT FROM {read(files, 'gold.event_day')} "
        "WHERE source = 'app' AND dimension = 'region' GROUP BY activity_date ORDER BY activity_date"
    ).fetchall()


QUESTIONS: dict[str, tuple[Variant, ...]] = {
    "dau_by_region": (dau_stored, dau_distinct, dau_two_steps),
    "mau_30": (mau_blocks, mau_bitmaps, mau_changes, mau_lists),
    "retention_weekly": (retention_bitmaps, retention_pairs, retention_join),
    "funnel": (funnel_settled, funnel_one_sort, funnel_windows),
    "drop_off": (drop_off_stored, drop_off_two_keys, drop_off_cut_again),
    "events_and_plays": (events_stored, events_counted, events_summed),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lake", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=QUESTIONS, default=list(QUESTIONS))
    given = parser.parse_args()
    files = lake_files(given.lake)
    connection = duckdb.connect()
    found: dict[str, dict[str, float]] = {}
    for question in given.only:
        found[question] = {}
        expected = None
        for variant in QUESTIONS[question]:
            seconds = []
            for _ in range(given.repeat):
                started = time.perf_counter()
                rows = variant(connection, files)
                seconds.append(time.perf_counter() - started)
            expected = expected or rows
            if rows != expected:
                raise SystemExit(f"{question}: {variant.__name__} gives other rows")
            found[question][variant.__name__] = round(min(seconds), 4)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
