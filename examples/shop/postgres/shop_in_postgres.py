"""The document's questions inside PostgreSQL: load by COPY, ask in SQL, and measure what each index does.

    export PG_URL=postgresql://user:password@localhost:5432/shop
    python postgres/shop_in_postgres.py load data
    python postgres/shop_in_postgres.py ask
    python postgres/shop_in_postgres.py indexes --runs 15

`load` replaces the rows of users, products and events in one transaction: run again, the same rows are there.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import yaml

HERE = Path(__file__).parent
TABLES = ("users", "products", "events")
QUESTIONS = ("wau", "revenue", "cohorts")
# What indexes are measured on: whole-table questions, and one about a single week.
MEASURED = {
    "WAU": "SELECT date_trunc('week', timestamp) AS week, count(DISTINCT user_id) FROM events GROUP BY 1 ORDER BY 1",
    "WAU, rewritten": (HERE / "wau_rewritten.sql").read_text(encoding="utf-8"),
    "revenue": (HERE / "revenue.sql").read_text(encoding="utf-8"),
    "one week's users": "SELECT count(DISTINCT user_id) FROM events "
    "WHERE timestamp >= (SELECT max(timestamp) - interval '7 days' FROM events)",
    "one user's last events": "SELECT * FROM events WHERE user_id = (SELECT max(user_id) FROM events) "
    "ORDER BY timestamp DESC LIMIT 20",
}


def load(connection: psycopg.Connection[Any], folder: Path) -> dict[str, int]:
    """Make the tables where they are missing and fill them from CSV files; rows by table."""
    rows = {}
    with connection.transaction():
        connection.execute((HERE / "schema.sql").read_text(encoding="utf-8"))
        connection.execute("TRUNCATE users, products, events")
        for table in TABLES:
            path = folder / f"{table}.csv"
            with path.open(encoding="utf-8", newline="") as text:
                columns = next(csv.reader(text))
            names = ", ".join(f'"{name}"' for name in columns)
            with (
                path.open("rb") as stream,
                connection.cursor() as cursor,
                cursor.copy(f"COPY {table} ({names}) FROM STDIN (FORMAT csv, HEADER)") as copy,
            ):
                while block := stream.read(1 << 20):
                    copy.write(block)
            (rows[table],) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.execute("VACUUM (ANALYZE) users, products, events")
    return rows


def ask(connection: psycopg.Connection[Any], question: str) -> list[dict[str, Any]]:
    """The rows of one of QUESTIONS."""
    from psycopg.rows import dict_row

    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute((HERE / f"{question}.sql").read_text(encoding="utf-8")).fetchall()


def explained(connection: psycopg.Connection[Any], sql: str, runs: int) -> dict[str, Any]:
    """Median execution time of warm runs, buffers touched, and indexes that the plan uses."""
    times: list[float] = []
    for run in range(runs + 2):  # two to warm up
        plan = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}").fetchone()[0][0]
        if run >= 2:
            times.append(plan["Execution Time"])
    nodes = list(_nodes(plan["Plan"]))
    return {
        "milliseconds": median(times),
        "spread": (min(times), max(times)),
        "buffers": plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"],
        "in_plan": sorted({node["Index Name"] for node in nodes if "Index Name" in node}),
    }


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def measure_indexes(connection: psycopg.Connection[Any], *, runs: int = 15) -> list[dict[str, Any]]:
    """Each query with each set of indexes; sets are made for the measurement and dropped again."""
    known: dict[str, dict[str, str]] = yaml.safe_load((HERE / "indexes.yml").read_text(encoding="utf-8"))
    every = {name: sql for kind in known.values() for name, sql in kind.items()}
    sets: dict[str, Sequence[str]] = {"none": ()}
    sets |= {name: (name,) for name in every}
    sets |= {f"all of the {kind}": tuple(indexes) for kind, indexes in known.items()}
    connection.execute(f"DROP INDEX IF EXISTS {', '.join(every)}")
    found = []
    for label, names in sets.items():
        for name in names:
            connection.execute(every[name])
        connection.execute("VACUUM (ANALYZE) users, products, events")  # index-only scans need the visibility map
        size = sum(connection.execute("SELECT pg_relation_size(%s::regclass)", (n,)).fetchone()[0] for n in names)
        for query, sql in MEASURED.items():
            found.append({"indexes": label, "size": size, "query": query, **explained(connection, sql, runs)})
            found[-1]["used"] = sorted(set(names) & set(found[-1]["in_plan"]))
        if names:
            connection.execute(f"DROP INDEX {', '.join(names)}")
    return found


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """Measured indexes as Markdown: median / fastest in ms (buffers), `*` where the plan uses one of the indexes."""
    queries = list(MEASURED)
    lines = ["| indexes | size, kB | " + " | ".join(queries) + " |", "|---" * (len(queries) + 2) + "|"]
    for label in dict.fromkeys(row["indexes"] for row in rows):
        of_set = {row["query"]: row for row in rows if row["indexes"] == label}
        cells = [
            f"{row['milliseconds']:.2f} / {row['spread'][0]:.2f} ({row['buffers']}){'*' if row['used'] else ''}"
            for row in of_set.values()
        ]
        lines.append(f"| {label} | {next(iter(of_set.values()))['size'] // 1024} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("load", "ask", "indexes"))
    parser.add_argument("folder", nargs="?", type=Path, default=HERE.parent / "data", help="of the CSV files")
    parser.add_argument("--runs", type=int, default=15, help="warm runs of each query; the median counts")
    given = parser.parse_args()
    if "PG_URL" not in os.environ:
        parser.error("set PG_URL, the address of the database: export PG_URL=postgresql://...")
    with psycopg.connect(os.environ["PG_URL"], autocommit=True) as connection:
        if given.what == "load":
            print(", ".join(f"{table} {rows:,}" for table, rows in load(connection, given.folder).items()))
        elif given.what == "indexes":
            print(as_table(measure_indexes(connection, runs=given.runs)))
        else:
            for question in QUESTIONS:
                print(f"\n{question}")
                for row in ask(connection, question):
                    print("  ".join(f"{name}={value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
