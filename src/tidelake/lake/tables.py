"""What one Delta table says of itself: its state at a version, its files with their statistics, its note."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from tidelake.engine.base import DataFile, Layout, NewFile, Transaction
from tidelake.errors import UnsupportedError

_READABLE_FEATURES = {"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}


@dataclass
class State:
    """What is known of a table at one version; None = not looked up yet.

    Attributes:
        transactions: Last version by application, as far as it was asked for.
        note: What the newest commit with a note says, as JSON.
        edges: Least and greatest values by file, by (`min` or `max`, column).
    """

    id: str
    version: int
    schema: pa.Schema
    layout: Layout
    transactions: dict[str, int | None] = field(default_factory=dict)
    note: str | None = None
    files: list[DataFile] | None = None
    edges: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def after(self, files: list[DataFile] | None, transaction: Transaction | None, note: str | None) -> State:
        """The state that one more commit makes of this one."""
        done = dict(self.transactions) | ({} if transaction is None else {transaction.app_id: transaction.version})
        return State(
            self.id, self.version + 1, self.schema, self.layout, done, self.note if note is None else note, files
        )


def layout_of(opened: DeltaTable) -> Layout:
    """Partitions, order of rows and whether columns were added, as the table's metadata tells."""
    metadata = opened.metadata()
    told = json.loads(metadata.description) if (metadata.description or "").startswith("{") else {}
    is_grown = any(field.metadata.get("tidelake.added") for field in opened.schema().fields)
    return Layout(tuple(metadata.partition_columns), tuple(told.get("sort_by", ())), is_grown)


def note_of(opened: DeltaTable) -> str:
    """The JSON of the newest commit that carries a note of ours, of delta-rs or of Spark; `{}` where none does.

    For a table that is opened at its newest version: of an older one, delta-rs tells the newest commits all the same.
    """
    for limit in (1, 5, 50, None):
        for entry in opened.history(limit):
            if (note := note_in(entry)) is not None:
                return note
    return "{}"


def note_in(entry: Mapping[str, Any]) -> str | None:
    """The JSON of the note in what one commit says of itself; None where there is none."""
    if "tidelake" in entry:
        return str(entry["tidelake"])
    if str(entry.get("userMetadata", "")).startswith('{"tidelake"'):  # a commit that Spark made
        return json.dumps(json.loads(entry["userMetadata"])["tidelake"])
    return None


def added(rows: pa.Table) -> Iterator[tuple[str, Mapping[str, str | None], int, int]]:
    """Path, partition, bytes and rows of a table's files."""
    sizes, records = (rows.column(name).to_pylist() for name in ("size_bytes", "num_records"))
    parts = rows.column("partition").to_pylist() if "partition" in rows.column_names else [{}] * len(sizes)
    for path, size, count, partition in zip(paths(rows), sizes, records, parts, strict=True):
        yield path, {name: _text(value) for name, value in (partition or {}).items()}, size, count or 0


def paths(rows: pa.Table) -> list[str]:
    """Where files lie below their table; the log has their names as parts of a URI."""
    return [unquote(path) for path in rows.column("path").to_pylist()]


def data_file(
    root: str,
    relative: str,
    partition: Mapping[str, str | None],
    size: int,
    records: int,
    edges: tuple[Edges, Edges],
) -> DataFile:
    """A file of the table with its place, its counts and its least and greatest values."""
    return DataFile(f"{root}/{relative}", relative, dict(partition), size, records, *edges)


class Edges(Mapping[str, Any]):
    """Least or greatest values of one file by column; those of a column are read when one is asked for."""

    def __init__(self, known: Callable[[str], Any]) -> None:
        self._known = known

    def __getitem__(self, name: str) -> Any:
        value = self._known(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        raise TypeError("Statistics of a file are looked up by column.")

    def __len__(self) -> int:
        raise TypeError("Statistics of a file are looked up by column.")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def add_action(file: NewFile, is_change: bool) -> AddAction:
    """The log's entry for a file that was written; `is_change` is false where compaction moved rows only."""
    return AddAction(
        path=file.relative,
        size=file.size,
        partition_values=dict(file.partition),
        modification_time=time.time_ns() // 1_000_000,
        data_change=is_change,
        stats=file.stats,
    )


def plain(schema: pa.Schema) -> pa.Schema:
    """The schema with the types that Delta tables are declared with (no views, no large types)."""
    return pa.schema([pa.field(field.name, _plain_type(field.type)) for field in schema])


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        return pa.string()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or kind == pa.binary_view():
        return pa.binary()
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC")
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(item.name, _plain_type(item.type)) for item in kind])
    return kind


def refuse_unreadable(table: str, opened: DeltaTable) -> None:
    """Raise for tables whose protocol holds features that reading their files would ignore."""
    protocol = opened.protocol()
    unknown = set(protocol.reader_features or ()) - _READABLE_FEATURES
    if protocol.min_reader_version == 2:
        mapping = opened.metadata().configuration.get("delta.columnMapping.mode") or "none"
        unknown |= {"columnMapping"} if mapping != "none" else set()
    if unknown:
        raise UnsupportedError(
            f"Table {table} uses the Delta features {', '.join(sorted(unknown))}, which Tidelake cannot read "
            "without ignoring rows.",
            hint="Rewrite the table without them (deletion vectors: REORG TABLE ... APPLY (PURGE)).",
        )
