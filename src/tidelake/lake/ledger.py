"""The row ledger: for every file, read = accepted + quarantined + duplicate + filtered + superseded.

It is counted from the tables themselves, so a crash cannot make it lie. `read` is the number of rows that
bronze holds of the file, and is held against the number of lines that reading it counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date

import pyarrow as pa

from tidelake.engine.base import Engine

LEDGER = "ops.ledger"
JUDGED = "read - filtered - superseded"  # rows of a file that the contract has judged
LEDGER_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("source_path", pa.string()),
        ("file_id", pa.int64()),
        ("state", pa.string()),
        ("lines", pa.int64()),
        ("read", pa.int64()),
        ("accepted", pa.int64()),
        ("quarantined", pa.int64()),
        ("duplicate", pa.int64()),
        ("filtered", pa.int64()),
        ("superseded", pa.int64()),
        ("is_balanced", pa.bool_()),
    ]
)


def one_of(column: str, values: Collection[int | date] | None) -> str:
    """SQL that is true for the values given, and for all where none are given (None).

    Numbers and dates are written out: only constants let an engine skip partitions.
    """
    if values is None:
        return "true"
    if not values:
        return "false"
    return f"{column} IN ({', '.join(_constant(value) for value in sorted(values))})"


def _constant(value: int | date) -> str:
    return f"DATE '{value.isoformat()}'" if isinstance(value, date) else str(int(value))


def count_files(
    engine: Engine,
    source: str,
    *,
    file_ids: Collection[int] | None = None,
    batches: Collection[int] | None = None,
    dates: Collection[date] | None = None,
    superseded: Collection[int] = (),
) -> pa.Table:
    """The ledger of some files, counted from bronze, silver, quarantine and duplicates.

    Args:
        file_ids: The files; None = all of the source.
        batches: Batches that hold all rows of these files; None = look in all.
        dates: Dates that hold all of their silver rows; None = look in all.
        superseded: file_ids of earlier generations of files that were replaced.

    Returns:
        One row a file_id in bronze; LEDGER_SCHEMA without `source_path`, `state` and `lines`.
    """
    of_files = one_of("file_id", file_ids)
    of_batches = one_of("batch_id", batches)
    is_gone = one_of("file_id", superseded) if superseded else "false"
    parts = [
        (
            "SELECT file_id, count(*) AS read, "
            f"count(*) FILTER (WHERE kind <> 'record' AND NOT ({is_gone})) AS filtered, "
            f"count(*) FILTER (WHERE {is_gone}) AS superseded, 0 AS accepted, 0 AS quarantined, 0 AS duplicate "
            f"FROM bronze.{source} WHERE {of_files} AND {of_batches} GROUP BY file_id"
        )
    ]
    zeros = "SELECT file_id, 0, 0, 0, "
    schema = engine.schema(f"silver.{source}")
    if schema is not None:
        in_dates = one_of("event_date", dates) if "event_date" in schema.names else "true"
        parts.append(f"{zeros}count(*), 0, 0 FROM silver.{source} WHERE {of_files} AND {in_dates} GROUP BY file_id")
    if engine.schema("silver.quarantine") is not None:
        parts.append(
            f"{zeros}0, count(*), 0 FROM silver.quarantine WHERE source = $source AND {of_batches} AND {of_files} "
            "AND state = 'open' GROUP BY file_id"
        )
    if engine.schema("silver.duplicates") is not None:
        parts.append(
            f"{zeros}0, 0, count(*) FROM silver.duplicates WHERE source = $source AND {of_batches} AND {of_files} "
            f"AND NOT ({is_gone}) GROUP BY file_id"
        )
    return engine.query(
        f"""
        SELECT file_id, CAST(sum(read) AS BIGINT) AS read, CAST(sum(accepted) AS BIGINT) AS accepted,
            CAST(sum(quarantined) AS BIGINT) AS quarantined, CAST(sum(duplicate) AS BIGINT) AS duplicate,
            CAST(sum(filtered) AS BIGINT) AS filtered, CAST(sum(superseded) AS BIGINT) AS superseded
        FROM ({" UNION ALL ".join(parts)}) GROUP BY file_id ORDER BY file_id""",
        {"source": source} if any("$source" in part for part in parts) else None,
    )


def balanced(row: dict[str, int]) -> bool:
    """Whether a file's rows are all accounted for, once each."""
    parts = ("accepted", "quarantined", "duplicate", "filtered", "superseded")
    return row["read"] == row["lines"] and row["read"] == sum(row[name] for name in parts)


def merge_ledger(
    engine: Engine, source: str, rows: Sequence[dict[str, object]], *, whole: bool, versions: Mapping[str, int | None]
) -> None:
    """Put new ledger rows in the place of old ones of the same files.

    Args:
        whole: The rows are all that the source has.
        versions: Silver's version by source, of which the ledger now speaks; kept as the commit's note.
    """
    kept: list[dict[str, object]] = []
    if engine.schema(LEDGER) is not None:
        fresh = {row["file_id"] for row in rows}
        kept = [
            row
            for row in engine.query(f"SELECT * FROM {LEDGER}").to_pylist()
            if row["source"] != source or not (whole or row["file_id"] in fresh)
        ]
    every = sorted([*kept, *rows], key=lambda row: (str(row["source"]), str(row["source_path"]), str(row["file_id"])))
    rows_table = pa.Table.from_pylist(every, schema=LEDGER_SCHEMA)
    engine.write(rows_table, LEDGER, "overwrite", note={"silver": dict(versions)})
