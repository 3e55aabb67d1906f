"""Keeping a lake in shape: fewer and sorted files, no files that nothing refers to, a known format."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from tidelake.engine.base import DataFile, Engine, Layout
from tidelake.engine.progress import Progress
from tidelake.engine.result import Result
from tidelake.errors import LakeError
from tidelake.lake.builds import BUILDS, lost_tables, readable_note
from tidelake.lake.lake import FORMAT_FILE, FORMAT_VERSION, Lake

Upgrade = Callable[[Lake], None]
UPGRADES: dict[int, Upgrade] = {}  # format version -> what brings a lake from it to the next one


def compact(
    engine: Engine, lake: Lake, tables: Mapping[str, Sequence[str]], progress: Progress, *, is_sorted_only: bool = False
) -> Result:
    """Write each partition that lies in several files as one file, sorted.

    The rows stay the same, and the commit says so: what was built from the table is not built again.

    Args:
        tables: `layer.table` to the columns by which its rows are sorted (none = as they are).
        is_sorted_only: Write single files again too, where a sort order is declared.

    Returns:
        One row a table: `files_before`, `files_after`, and the share of a table's files that a query for
        one value of the first sort column can skip by the files' statistics, before and after
        (`skipped_before`, `skipped_after`; null without a sort order).
    """
    rows = []
    for table, sort in tables.items():
        layout = lake.layout(table)
        before = lake.files(table)
        groups: dict[tuple[str | None, ...], list[DataFile]] = defaultdict(list)
        for file in before:
            groups[tuple(file.partition.get(name) for name in layout.partition_by)].append(file)
        crowded = {key: files for key, files in groups.items() if len(files) > 1 or (sort and is_sorted_only)}
        if crowded:
            _rewrite(engine, table, layout, list(crowded), sort)
        after = lake.files(table)
        column = sort[0] if sort else None
        rows.append(
            {
                "table": table,
                "partitions": len(groups),
                "files_before": len(before),
                "files_after": len(after),
                "bytes_before": sum(file.size for file in before),
                "bytes_after": sum(file.size for file in after),
                "skipped_before": skipped_share(before, column) if column else None,
                "skipped_after": skipped_share(after, column) if column else None,
            }
        )
        progress("compacting", len(rows), len(tables), "tables")
    return Result(pa.Table.from_pylist(rows, schema=_COMPACTED), title="Compaction")


_COMPACTED = pa.schema(
    [
        ("table", pa.string()),
        ("partitions", pa.int64()),
        ("files_before", pa.int64()),
        ("files_after", pa.int64()),
        ("bytes_before", pa.int64()),
        ("bytes_after", pa.int64()),
        pa.field("skipped_before", pa.float64(), metadata={"unit": "share"}),
        pa.field("skipped_after", pa.float64(), metadata={"unit": "share"}),
    ]
)


def _rewrite(
    engine: Engine, table: str, layout: Layout, keys: Sequence[tuple[str | None, ...]], sort: Sequence[str]
) -> None:
    order = f" ORDER BY {', '.join(_quoted(name) for name in sort)}" if sort else ""
    if not layout.partition_by:
        engine.write(f"SELECT * FROM {table}{order}", table, "overwrite", is_change=False)
        return
    (column, *others) = layout.partition_by
    values = sorted({key[0] for key in keys if key[0] is not None})
    if others or not values:
        return
    listed = ", ".join(f"DATE '{value}'" if _is_date(value) else f"'{value}'" for value in values)
    engine.write(
        f"SELECT * FROM {table} WHERE {_quoted(column)} IN ({listed}){order}",
        table,
        "replace",
        replace={column: values},
        layout=Layout(layout.partition_by, tuple(sort)),
        is_change=False,
    )


def skipped_share(files: Sequence[DataFile], column: str) -> float | None:
    """Share of the files that a query for one value of a column need not open, by their statistics.

    The mean over the files' own smallest values; null where no file has statistics of the column.
    """
    ranges = [(file.minimum[column], file.maximum[column]) for file in files if file.minimum.get(column) is not None]
    if not ranges:
        return None
    hits = sum(low <= value <= high for value, _ in ranges for low, high in ranges)
    return 1.0 - float(hits) / (len(ranges) * len(files))


def vacuum(engine: Engine, lake: Lake, *, keep_hours: int, dry_run: bool) -> Result:
    """Delete files that no version of the last hours refers to, and those that no commit ever named.

    What the last finished build left stays, also where a later one was cut off: that is what metrics and SQL read.

    Args:
        keep_hours: Older states than this can no longer be read with `--as-of`.
        dry_run: Only count them.

    Returns:
        One row a table, `files`; the note says which builds can no longer be read.
    """
    left = lake.note(BUILDS).get("versions", {}) if lake.version(BUILDS) is not None else {}
    going: dict[str, list[str]] = {}
    for table in lake.tables():
        opened = lake.delta(table)
        if opened is None:
            continue
        kept = left.get(table)
        going[table] = opened.vacuum(
            retention_hours=keep_hours,
            dry_run=dry_run,
            enforce_retention_duration=False,
            full=True,
            keep_versions=[kept] if kept is not None and kept < opened.version() else None,
        )
    lake.refresh()
    note = readable_note(lost_tables(engine, lake, going), is_planned=dry_run)
    rows = [{"table": table, "files": len(files)} for table, files in going.items()]
    return Result(
        pa.Table.from_pylist(rows, schema=pa.schema([("table", pa.string()), ("files", pa.int64())])),
        title="Files that would be deleted" if dry_run else "Files deleted",
        notes=() if note is None else (note,),
    )


def migrate(lake: Lake) -> Result:
    """Bring a lake of an older format to this program's, one version after the other.

    Raises:
        LakeError: The lake is newer, or of a format that this program cannot bring forward.
    """
    lake.location.check_writable()
    found = lake.check_format()
    version = FORMAT_VERSION if found is None else found
    steps: list[dict[str, Any]] = []
    while version < FORMAT_VERSION:
        if version not in UPGRADES:
            raise LakeError(
                f"A lake of format {version} cannot be brought forward by this Tidelake.",
                hint="Install the version before this one, run `tide migrate`, then upgrade.",
            )
        UPGRADES[version](lake)
        version += 1
        lake.location.write_text(json.dumps({"format": version}) + "\n", FORMAT_FILE)
        steps.append({"format": version, "state": "migrated"})
    steps = steps or [{"format": version, "state": "newest"}]
    return Result(
        pa.Table.from_pylist(steps, schema=pa.schema([("format", pa.int64()), ("state", pa.string())])),
        title=f"Lake format at {lake.location.address}",
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True
