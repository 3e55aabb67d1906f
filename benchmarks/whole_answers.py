"""The questions of `by_hand.py` whose default answer by Tidelake says more, by hand with everything that it says.

Same tables, same rules. Besides the numbers of `by_hand.py`: of actives by region the total of each day; of retention
who came back within the week of the entry; of the funnel the median and the 90th percentile of seconds to each step of
the actor's best attempt, and entries whose window has not ended are counted and left out; of drop-off per version its
actors, sessions without anything watched, the interval of the share by the delta method over actors, the difference
from all other versions and its p-value over actors. Sessions of the last, open day are left out. What is the same for
both and takes no time (notes, verdicts, the test of all versions at once) is not repeated here.
"""

from __future__ import annotations

from math import erfc, sqrt

import duckdb
import numpy as np

from benchmarks.by_hand import (
    _IS_STEP,
    HUMAN,
    STEPS,
    WINDOW_US,
    Files,
    Rows,
    Variant,
    _coded,
    _monday,
    _steps,
    calendar,
    dau_stored,
    read,
)

TOTAL = "(total)"
Z_95 = 1.959963984540054
Connection = duckdb.DuckDBPyConnection


# DAU by region and the day's total: (day, region, actors)


def dau_two_tables(connection: Connection, files: Files) -> Rows:
    """One row per actor, day and value in one table, one per actor and day in the other: two counts."""
    totals = connection.execute(
        f"SELECT activity_date, '{TOTAL}', count(*) FROM {read(files, 'gold.user_day')} WHERE is_active GROUP BY ALL"
    ).fetchall()
    return sorted([*dau_stored(connection, files), *totals])


def dau_sets(connection: Connection, files: Files) -> Rows:
    """Both from the events at once."""
    return connection.execute(
        f"SELECT event_date, CASE WHEN grouping(region) = 1 THEN '{TOTAL}' ELSE coalesce(region, '(unknown)') END AS "
        f"value, count(DISTINCT actor_id) FROM {read(files, 'silver.app')} WHERE {HUMAN} AND actor_id IS NOT NULL "
        "GROUP BY GROUPING SETS ((event_date, region), (event_date)) ORDER BY event_date, value"
    ).fetchall()


# Weekly retention: (cohort's Monday, weeks since, members, came back); within week 0: once more after the entry


def retention_counters(connection: Connection, files: Files) -> Rows:
    """Active days of each week in three bits of one number per actor, and its first day with whether it had more."""
    monday, first = _monday(files), calendar(files, "gold.user_day")[0]
    weeks = (calendar(files, "gold.user_day")[1] - monday).days // 7 + 1
    if weeks > 20:
        raise ValueError(f"{weeks} weeks do not fit into a number of 63 bits")
    lowest = sum(1 << 3 * week for week in range(weeks))
    return connection.execute(
        f"WITH actors AS (SELECT sum(1::BIGINT << (3 * ((activity_date - DATE '{monday}') // 7))::BIGINT)::BIGINT "
        "AS days, "
        f"min(2 * (activity_date - DATE '{first}') + (active_event_count < 2)::INTEGER) AS begun "
        f"FROM {read(files, 'gold.user_day')} WHERE is_active GROUP BY actor_id), "
        f"known AS (SELECT (days | (days >> 1) | (days >> 2)) & {lowest} AS word, "
        f"((DATE '{first}' - DATE '{monday}') + begun // 2) // 7 AS cohort, "
        "begun % 2 = 0 OR (days >> (3 * cohort)) & 7 > 1 AS is_again FROM actors), "
        "words AS (SELECT word, cohort, is_again, count(*) AS actors FROM known GROUP BY ALL), "
        "sizes AS (SELECT cohort, sum(actors) AS size FROM words GROUP BY cohort) "
        f"SELECT DATE '{monday}' + 7 * cohort::INTEGER, week - cohort AS index, any_value(size)::BIGINT, "
        f"(sum(actors) FILTER (week > cohort OR is_again))::BIGINT FROM words JOIN sizes USING (cohort), "
        f"range({weeks}) AS numbers(week) WHERE (word >> (3 * week)) & 1 = 1 GROUP BY cohort, week ORDER BY ALL"
    ).fetchall()


def retention_weeks(connection: Connection, files: Files) -> Rows:
    """Active events of each actor and week, its first week by a window."""
    monday = _monday(files)
    return connection.execute(
        f"WITH weeks AS (SELECT actor_id, (activity_date - DATE '{monday}') // 7 AS week, sum(active_event_count) AS n "
        f"FROM {read(files, 'gold.user_day')} WHERE is_active GROUP BY ALL), "
        "cohorts AS (SELECT min(week) OVER (PARTITION BY actor_id) AS cohort, week, n FROM weeks), "
        "counted AS (SELECT cohort, week, count(*) AS members, count(*) FILTER (week > cohort OR n > 1) AS returned "
        f"FROM cohorts GROUP BY ALL) SELECT DATE '{monday}' + 7 * cohort::INTEGER, week - cohort AS index, "
        "max(members) FILTER (week = cohort) OVER (PARTITION BY cohort), returned FROM counted ORDER BY ALL"
    ).fetchall()


# The funnel: (step, event, actors, median seconds, 90th percentile, open entries)


def _best_attempts(entries: str, closed: str) -> str:
    """Of entries (actor, place, d2, d3, d4: microseconds to each step) the deepest of each actor, then the earliest."""
    score = f"(4 - depth)::HUGEINT * {2**62} + place"
    took = ", ".join(f"arg_min(coalesce(d{step}, 0), {score}) FILTER (NOT is_open) AS d{step}" for step in (2, 3, 4))
    shown = ", ".join(
        f"count(*) FILTER (depth >= {step}), quantile_cont(d{step} / 1e6, [0.5, 0.9]) FILTER (depth >= {step})"
        for step in (2, 3, 4)
    )
    return (
        f"{entries}, known AS (SELECT *, {closed} AS is_open, CASE WHEN d4 <= {WINDOW_US} THEN 4 "
        f"WHEN d3 <= {WINDOW_US} THEN 3 WHEN d2 <= {WINDOW_US} THEN 2 ELSE 1 END AS depth FROM entries), "
        f"best AS (SELECT actor, max(depth) FILTER (NOT is_open) AS depth, {took}, "
        "count(*) FILTER (is_open) AS waiting FROM known GROUP BY actor) "
        f"SELECT sum(waiting)::BIGINT, count(depth), {shown} FROM best"
    )


def _shown(row: tuple[object, ...]) -> Rows:
    waiting, entered, *rest = row
    found: Rows = [(1, STEPS[0], entered, None, None, waiting)]
    for at, name in enumerate(STEPS[1:]):
        seconds = rest[2 * at + 1] or (None, None)
        found.append((at + 2, name, rest[2 * at], *seconds, waiting))  # type: ignore[misc]
    return found


def _chain(rows: str, over: str) -> str:
    """Backwards in time, the last row of a step that went by is the next one; through it come those of later steps."""

    def after(step: int, value: str) -> str:
        return f"last_value(CASE WHEN step = {step} THEN {value} END IGNORE NULLS) {over}"

    return (
        f"WITH rows AS ({rows}), "
        f"one AS (SELECT *, {after(2, 'k')} AS n2, {after(3, 'k')} AS n3, {after(4, 'k')} AS n4 FROM rows), "
        f"two AS (SELECT *, {after(2, 'n3')} AS n23, {after(3, 'n4')} AS n34 FROM one WHERE step < 4), "
        f"three AS (SELECT *, {after(2, 'n34')} AS n234 FROM two WHERE step < 3)"
    )


def _latest_entry(connection: Connection, files: Files) -> int:
    """The last microsecond at which an entry's window has ended: the largest time of an event less the window."""
    last = calendar(files, "silver.app")[1]
    latest = f"SELECT max(epoch_us(event_time)) FROM {read(files, 'silver.app')} WHERE event_date = DATE '{last}'"
    return int(connection.execute(latest).fetchall()[0][0]) - WINDOW_US


def funnel_stream(connection: Connection, files: Files) -> Rows:
    """Actor and time in one number, sorted once; the windows stream."""
    latest, first = _latest_entry(connection, files), calendar(files, "silver.app")[0]
    actors = f"SELECT DISTINCT actor_id FROM {_steps(files)} WHERE step = 1 AND {_IS_STEP}"
    with _coded(connection, files, actors) as (number, stride):
        rows = (
            f"SELECT {number} AS k, step FROM {_steps(files)} JOIN coded USING (actor_id) WHERE {_IS_STEP} "
            "ORDER BY k DESC, step DESC"
        )
        entries = (
            f"{_chain(rows, 'OVER (ROWS UNBOUNDED PRECEDING)')}, entries AS (SELECT k // {stride} AS actor, "
            f"k % {stride} AS place, n2 - k AS d2, n23 - k AS d3, n234 - k AS d4 FROM three WHERE step = 1)"
        )
        is_open = f"place > {latest} - epoch_us(TIMESTAMP '{first}')"
        return _shown(connection.execute(_best_attempts(entries, is_open)).fetchall()[0])


def funnel_partitions(connection: Connection, files: Files) -> Rows:
    """The same with windows by actor: three sorts, no numbering."""
    rows = f"SELECT actor_id AS actor, epoch_us(event_time) AS k, step FROM {_steps(files)} WHERE {_IS_STEP}"
    over = "OVER (PARTITION BY actor ORDER BY k DESC, step DESC ROWS UNBOUNDED PRECEDING)"
    entries = (
        f"{_chain(rows, over)}, entries AS (SELECT actor, k AS place, n2 - k AS d2, n23 - k AS d3, n234 - k AS d4 "
        "FROM three WHERE step = 1)"
    )
    is_open = f"place > {_latest_entry(connection, files)}"
    return _shown(connection.execute(_best_attempts(entries, is_open)).fetchall()[0])


# Drop-off: (version, actors, sessions, below 10 s, nothing watched, interval, difference from the others, p)


def _cells(files: Files) -> str:
    """Sessions of each actor and version: all, below the threshold, without a watch event."""
    watched = ("content", "region", "app_version")
    nothing = " AND ".join(f"first_watch_{name} IS NULL" for name in watched)
    return (
        "SELECT actor_id, coalesce(first_app_version, '(unknown)') AS version, count(*) AS x, "
        "count(*) FILTER (round(coalesce(watch_seconds, 0), 6) < 10) AS y, "
        f"count(*) FILTER (coalesce(watch_seconds, 0) = 0 AND coalesce(play_count, 0) = 0 AND {nothing}) AS u "
        f"FROM {read(files, 'gold.sessions')} WHERE session_date < DATE '{calendar(files, 'silver.app')[1]}' "
        "GROUP BY ALL"
    )


def _compared(actors: int, versions: Rows, xx: np.ndarray, xy: np.ndarray, yy: np.ndarray) -> Rows:
    """The answer, from sums by version and sums over actors of products of two versions' counts."""
    x = np.array([row[2] for row in versions], dtype=float)
    y = np.array([row[3] for row in versions], dtype=float)

    def error(weights: np.ndarray, shares: np.ndarray, over: int) -> float:
        cross = weights @ xy @ (weights * shares)  # xy[a, b]: the first's x with the second's y, here turned round
        one, two = weights @ yy @ weights, (weights * shares) @ xx @ (weights * shares)
        return sqrt(max(0.0, over / (over - 1) * (one - 2 * cross + two)))

    found = []
    for at, (version, own, sessions, below, nothing) in enumerate(versions):
        only = np.eye(len(x))[at]
        share, rest = y[at] / x[at], (y.sum() - y[at]) / (x.sum() - x[at])
        spread = Z_95 * error(only / x[at], np.full(len(x), share), own)
        contrast = only / x[at] - (1 - only) / (x.sum() - x[at])
        common = error(contrast, np.full(len(x), y.sum() / x.sum()), actors)
        p = erfc(abs(share - rest) / common / sqrt(2))
        bounds = max(0.0, share - spread), min(1.0, share + spread)
        found.append((version, own, sessions, below, nothing / sessions, *bounds, share - rest, p))
    return sorted(found)


def _versions(connection: Connection) -> Rows:
    return connection.execute(
        "SELECT version, count(*), sum(x)::BIGINT, sum(y)::BIGINT, sum(u)::BIGINT FROM cells GROUP BY 1 ORDER BY 1"
    ).fetchall()


def drop_off_joined(connection: Connection, files: Files) -> Rows:
    """Products of an actor's cells by a join of them with themselves."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE cells AS {_cells(files)}")
    versions = _versions(connection)
    actors = connection.execute("SELECT count(DISTINCT actor_id) FROM cells").fetchall()[0][0]
    pairs = connection.execute(
        "SELECT a.version, b.version, sum(a.x * b.x), sum(a.y * b.x), sum(a.y * b.y) FROM cells AS a "
        "JOIN cells AS b USING (actor_id) GROUP BY ALL"
    ).fetchall()
    connection.execute("DROP TABLE cells")
    place = {row[0]: at for at, row in enumerate(versions)}
    sums = np.zeros((3, len(place), len(place)))
    for one, two, *products in pairs:
        sums[:, place[one], place[two]] = products
    return _compared(actors, versions, *sums)


def drop_off_sparse(connection: Connection, files: Files) -> Rows:
    """Cells as sparse matrices of actors by versions, whose products are what is needed."""
    from scipy.sparse import csr_array

    connection.execute(f"CREATE OR REPLACE TEMP TABLE cells AS {_cells(files)}")
    versions = _versions(connection)
    listed = ", ".join(f"'{row[0]}'" for row in versions)
    cells = connection.execute(
        f"SELECT code, x, y, list_position([{listed}], version) - 1 AS version FROM cells JOIN (SELECT actor_id, "
        "row_number() OVER () - 1 AS code FROM (SELECT DISTINCT actor_id FROM cells)) USING (actor_id)"
    ).fetchnumpy()
    connection.execute("DROP TABLE cells")
    actors = int(cells["code"].max()) + 1
    x, y = (
        csr_array((cells[name].astype(float), (cells["code"], cells["version"])), shape=(actors, len(versions)))
        for name in ("x", "y")
    )
    return _compared(actors, versions, *((one.T @ two).toarray() for one, two in ((x, x), (y, x), (y, y))))


WHOLE: dict[str, tuple[Variant, ...]] = {
    "dau_by_region": (dau_two_tables, dau_sets),
    "retention_weekly": (retention_counters, retention_weeks),
    "funnel": (funnel_stream, funnel_partitions),
    "drop_off": (drop_off_joined, drop_off_sparse),
}
