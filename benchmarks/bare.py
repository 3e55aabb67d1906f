"""B, the unit of the benchmark: bare DuckDB reads every field of every line, and nothing else.

    python benchmarks/bare.py 'DIR/events/*.jsonl'

Lines that DuckDB cannot read are skipped (`ignore_errors`); nothing is kept, checked or written.
"""

import sys

import duckdb

COLUMNS = {
    "timestamp": "TIMESTAMP",
    "account_id": "VARCHAR",
    "user_id": "VARCHAR",
    "video_id": "VARCHAR",
    "session_id": "VARCHAR",
    "event_name": "VARCHAR",
    "value": "DOUBLE",
    "device": "VARCHAR",
    "device_os": "VARCHAR",
    "app_version": "VARCHAR",
    "network_type": "VARCHAR",
    "ip": "VARCHAR",
    "country": "VARCHAR",
}


def main() -> None:
    sums = ", ".join(f'sum(hash("{name}"))' for name in COLUMNS)
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS.items())
    row = duckdb.execute(
        f"SELECT count(*), {sums} FROM read_json(?, format = 'newline_delimited', ignore_errors = true, "
        f"columns = {{{columns}}})",
        [sys.argv[1]],
    ).fetchall()[0]
    print(row[0])


main()
