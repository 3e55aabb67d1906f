"""What each index of schema.sql does, and one that it does not have: questions with none, each alone, and all.

    export PG_URL=postgresql://user:password@localhost:5432/case
    tide demo collapse --postgres $PG_URL
    python postgres/measure_indexes.py --runs 9

The indexes are dropped for the measurement and made again at its end. Milliseconds are medians of warm runs, with the
pages read in parentheses and `*` where the plan uses the index.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

HERE = Path(__file__).parent
SCHEMA, QUERIES = ((HERE / name).read_text(encoding="utf-8") for name in ("schema.sql", "sql_queries.sql"))
TAKEN = dict(re.findall(r"^CREATE INDEX IF NOT EXISTS (\w+) (ON .*);$", SCHEMA, re.MULTILINE))
# It finds one user's events at once, but the planner also reads all events by it, which takes longer than to sort them.
NOT_TAKEN = {"events_user_timestamp": 'ON collapse.events (user_id, "timestamp")'}
INDEXES = TAKEN | NOT_TAKEN
FIRST_STEP = re.search(r"^CREATE TEMP TABLE ordered AS\n(.*?);$", QUERIES, re.MULTILINE | re.DOTALL)
assert FIRST_STEP is not None
LAST = 'SELECT max("timestamp") FROM collapse.events'
QUESTIONS = {
    "events in order (first step)": FIRST_STEP[1],
    "plays by day": "SELECT (\"timestamp\" AT TIME ZONE 'UTC')::date AS day, count(*) FROM collapse.events "
    "WHERE event_type = 'video_play' GROUP BY 1",
    "last day by type": f'SELECT event_type, count(*) FROM collapse.events WHERE "timestamp" >= ({LAST}) '
    "- interval '1 day' GROUP BY 1",
    "last hour's plays": f"SELECT count(*) FROM collapse.events WHERE event_type = 'video_play' "
    f"AND \"timestamp\" >= ({LAST}) - interval '1 hour'",
    "one user's events": "SELECT * FROM collapse.events WHERE user_id = (SELECT max(user_id) FROM collapse.events) "
    'ORDER BY "timestamp"',
}
FILL = "INSERT INTO collapse.filled SELECT * FROM collapse.events"


def explained(connection: psycopg.Connection[Any], sql: str, runs: int) -> tuple[float, int, set[str]]:
    """Median milliseconds of warm runs, pages touched, and the indexes in the plan."""
    times = []
    for run in range(runs + 1):  # one to warm up
        plan = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}").fetchone()[0][0]
        times += [plan["Execution Time"]] if run else []
    pages = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    return median(times), pages, {node["Index Name"] for node in _nodes(plan["Plan"]) if "Index Name" in node}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def measured(connection: psycopg.Connection[Any], runs: int) -> list[list[str]]:
    """A row a set of indexes: its name, its size in MB, a cell a question, and the filling of an empty copy."""
    sets: dict[str, Sequence[str]] = {"none": (), **{name: (name,) for name in INDEXES}}
    sets["all of schema.sql"] = tuple(TAKEN)
    rows = []
    for label, names in sets.items():
        for name in INDEXES:
            connection.execute(f"DROP INDEX IF EXISTS collapse.{name}")
        for name in names:
            connection.execute(f"CREATE INDEX {name} {INDEXES[name]}")
        connection.execute("VACUUM (ANALYZE) collapse.events")  # index-only scans need the visibility map
        size = sum(connection.execute("SELECT pg_relation_size(%s::regclass)", (f"collapse.{name}",)).fetchone()[0]
                   for name in names)  # fmt: skip
        cells = []
        for sql in QUESTIONS.values():
            milliseconds, pages, used = explained(connection, sql, runs)
            cells.append(f"{milliseconds:,.1f} ({pages:,}){'*' if used & set(names) else ''}")
        rows.append([label, f"{size / 1e6:.0f}", *cells, f"{_filling(connection, names):,.0f}"])
    return rows


def _filling(connection: psycopg.Connection[Any], names: Sequence[str]) -> float:
    """Median milliseconds of three fillings of a copy with the primary key and these indexes."""
    times = []
    for _ in range(3):
        connection.execute("DROP TABLE IF EXISTS collapse.filled")
        connection.execute(
            "CREATE UNLOGGED TABLE collapse.filled (LIKE collapse.events INCLUDING CONSTRAINTS, PRIMARY KEY (event_id))"
        )
        for name in names:
            connection.execute(f"CREATE INDEX {INDEXES[name].replace('collapse.events', 'collapse.filled')}")
        plan = connection.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {FILL}").fetchone()[0][0]
        times.append(plan["Execution Time"])
    connection.execute("DROP TABLE collapse.filled")
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9, help="warm runs of each question; the median counts")
    runs = parser.parse_args().runs
    if "PG_URL" not in os.environ:
        parser.error("set PG_URL, the address of the database: export PG_URL=postgresql://...")
    with psycopg.connect(os.environ["PG_URL"], autocommit=True) as connection:
        rows = measured(connection, runs)
    head = ["indexes", "size, MB", *QUESTIONS, "filling a copy"]
    print("\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]))


if __name__ == "__main__":
    main()
