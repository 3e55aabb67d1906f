"""Bronze: lines as received, with the place they came from, appended once a batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from tidelake.bronze.registry import FileRecord
from tidelake.engine.base import Engine, Layout, Transaction
from tidelake.lake import Lake
from tidelake.lake.ledger import one_of
from tidelake.sources.base import Group

LINES = "temp.lines"
LAYOUT = Layout(partition_by=("batch_id",))
COLUMNS = "file_id, source_path, source_position, raw, record, problem, kind, batch_id, ingested_at"
BRONZE_SCHEMA = pa.schema(
    [
        ("file_id", pa.int64()),
        ("source_path", pa.string()),
        ("source_position", pa.int64()),
        ("raw", pa.string()),
        ("record", pa.string()),
        ("problem", pa.string()),
        ("kind", pa.string()),
        ("batch_id", pa.int64()),
        ("ingested_at", pa.timestamp("us", "UTC")),
    ]
)


def lines_of(group: Group, records: Sequence[FileRecord | None], *, batch_id: int, now: datetime) -> pa.Table:
    """A group's lines with file_id, batch and time; lines of files without a record are left out."""
    lines = group.lines
    index = lines.column("file_index").combine_chunks() if lines.num_rows else pa.array([], pa.int32())
    positions = np.asarray(index)
    keep = np.array([record is not None for record in records], dtype=bool)
    if not keep.all():
        mask = keep[positions] if len(positions) else np.zeros(0, dtype=bool)
        # Arrow cannot filter string views: they become plain texts first.
        plain = [pa.large_string() if pa.types.is_string_view(each.type) else each.type for each in lines.schema]
        names = lines.schema.names
        lines = lines.cast(pa.schema(list(zip(names, plain, strict=True)))).filter(pa.array(mask))
        positions = positions[mask]
    ids = np.array([record.file_id if record else 0 for record in records], dtype=np.int64)
    paths = pa.array([read.look.source_path for read in group.files], pa.string())
    count = lines.num_rows
    columns: dict[str, Any] = {
        "file_id": pa.array(ids[positions] if count else np.zeros(0, np.int64)),
        "source_path": pa.DictionaryArray.from_arrays(pa.array(positions, pa.int32()), paths)
        if len(paths)
        else pa.array([], pa.string()),
        **{name: lines.column(name) for name in ("source_position", "raw", "record", "problem", "kind")},
        "batch_id": pa.array(np.full(count, batch_id, np.int64)),
        "ingested_at": pa.array(np.full(count, int(now.timestamp() * 1_000_000), np.int64)).view(
            pa.timestamp("us", "UTC")
        ),
    }
    table = pa.table(columns)
    return pa.Table.from_batches(table.to_batches(max_chunksize=20_480), schema=table.schema)


def append(engine: Engine, source: str, *, batch_id: int, note: Mapping[str, Any]) -> None:
    """Append the lines in `temp.lines` to `bronze.<source>`; from here on they are taken."""
    engine.write(
        f"SELECT {COLUMNS} FROM {LINES}",
        f"bronze.{source}",
        transaction=Transaction(source, batch_id),
        layout=LAYOUT,
        note=note,
    )


def append_marker(engine: Engine, source: str, *, batch_id: int, note: Mapping[str, Any]) -> None:
    """Open a batch that reads no file: rows taken again after a contract was mended or a file replaced."""
    engine.write(
        BRONZE_SCHEMA.empty_table(),
        f"bronze.{source}",
        transaction=Transaction(source, batch_id),
        layout=LAYOUT,
        note=note,
    )


def lines_again(source: str, where: str) -> str:
    """SQL of lines that bronze holds already, as `temp.lines` has them."""
    return f"SELECT {COLUMNS} FROM bronze.{source} WHERE {where}"


def batches_condition(lake: Lake, source: str, batches: Collection[int], column: str = "batch_id") -> str:
    """SQL over bronze that is true for the lines of rows that carry these batches' numbers, and perhaps for others.

    A row that was judged again carries the number of a batch without lines of its own: its line is in an earlier one.
    """
    held = {file.partition.get("batch_id") for file in lake.files(f"bronze.{source}")}
    return one_of(column, batches) if held >= {str(batch) for batch in batches} else f"{column} < {max(batches)}"
