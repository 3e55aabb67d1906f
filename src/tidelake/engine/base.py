"""The seam between Tidelake and what runs its SQL: four methods and a record of capabilities.

Table names are `layer.name` (`bronze`, `silver`, `gold`, `ops`) for tables of the lake, and
`temp.name` for what lives in the engine until it is closed. Every SELECT is written in the portable
subset of DuckDB's dialect (`engine.sql`); an engine of another dialect translates it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import pyarrow as pa

MODEL_LAYERS = ("gold", "staging", "intermediate", "mart")  # a project's models make tables in these
LAYERS = ("bronze", "silver", *MODEL_LAYERS, "ops")
WriteMode = Literal["append", "overwrite", "replace"]


class Transaction(NamedTuple):
    """A Delta application transaction: an append with a version already seen is not done again."""

    app_id: str
    version: int


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do. Rooms ask this record, never the engine's name."""

    dialect: Literal["duckdb", "spark"]
    distributed: bool = False
    streaming: bool = False
    fast_files: bool = False  # writes Parquet files itself and only commits through Delta
    intake: bool = False  # runs silver's own SELECTs, which read text, JSON and keys beyond the portable subset
    ordered_windows: bool = False  # windows over all rows of a SELECT with ORDER BY take them in that order


@dataclass(frozen=True)
class Layout:
    """How a Delta table lies on disk.

    Attributes:
        partition_by: Partition columns.
        sort_by: Columns by which rows are sorted inside a file.
        is_grown: Columns were added after the first files were written.
    """

    partition_by: tuple[str, ...] = ()
    sort_by: tuple[str, ...] = ()
    is_grown: bool = False


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table.

    Attributes:
        path: Absolute path or `s3://` address.
        relative: Path below the table.
        partition: Partition values as text; None for null.
    """

    path: str
    relative: str
    partition: Mapping[str, str | None]
    size: int
    records: int
    minimum: Mapping[str, Any] = field(default_factory=dict)
    maximum: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NewFile:
    """A Parquet file that was written and is not yet part of its table."""

    relative: str
    partition: Mapping[str, str | None]
    size: int
    stats: str  # Delta's statistics, JSON


class Catalog(Protocol):
    """What an engine needs to know of the lake."""

    @property
    def is_local(self) -> bool: ...
    def uri(self, table: str) -> str: ...
    def version(self, table: str) -> int | None: ...
    def state(self, table: str) -> tuple[str, int] | None: ...
    def schema(self, table: str) -> pa.Schema | None: ...
    def layout(self, table: str) -> Layout: ...
    def files(self, table: str) -> list[DataFile]: ...
    def tables(self) -> list[str]: ...
    def transaction_version(self, table: str, app_id: str) -> int | None: ...
    def filesystem(self) -> Any: ...
    def move_in(self, local: str, uri: str) -> None: ...
    def commit(
        self,
        table: str,
        added: Sequence[NewFile],
        removed: Sequence[DataFile],
        *,
        schema: pa.Schema,
        layout: Layout,
        transaction: Transaction | None,
        note: Mapping[str, Any] | None,
        is_change: bool = True,
        is_whole: bool = False,
    ) -> int: ...


class Engine(Protocol):
    """What every engine offers; `testing` holds the suite that each must pass."""

    capabilities: Capabilities

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pa.Table:
        """Rows of one SELECT; values are bound as `$name`, never pasted.

        Timestamps come back as `timestamp[us, tz=UTC]`.

        Raises:
            QueryError: Wrong syntax, an unknown table or column, or outside of the portable subset.
            EngineError: The engine failed while it ran.
        """
        ...

    def write(
        self,
        select: str | pa.Table,
        table: str,
        mode: WriteMode = "append",
        *,
        transaction: Transaction | None = None,
        layout: Layout = Layout(),
        replace: Mapping[str, Sequence[Any]] | None = None,
        params: Mapping[str, Any] | None = None,
        note: Mapping[str, Any] | None = None,
        is_change: bool = True,
    ) -> int:
        """Write the rows of a SELECT, or Arrow rows, to a table; make the table where there is none.

        `temp.name` is replaced as a whole, lives in the engine and returns 0.

        Args:
            select: One SELECT, or rows.
            table: `layer.name` or `temp.name`.
            mode: `append` adds; `overwrite` replaces all rows and columns; `replace` replaces the partitions that
                `replace` names (`{"event_date": [...]}`), also those for which there are no new rows.
            transaction: Written once: when the table has this version already, nothing is done.
            note: Kept in the commit's metadata.
            is_change: False when the same rows are only written in other files (compaction).

        Returns:
            The table's Delta version.
        """
        ...

    def schema(self, table: str) -> pa.Schema | None:
        """The table's columns, or None where there is no such table."""
        ...

    def drop(self, table: str) -> None:
        """Forget a `temp` table; nothing happens where there is none."""
        ...

    def close(self) -> None:
        """Let go of memory, connections and processes."""
        ...


@runtime_checkable
class Parallel(Protocol):
    """What an engine may offer beside the four methods: work in two threads at once."""

    def beside(self) -> Engine:
        """An engine over the same tables with `temp` tables of its own, for another thread.

        No two threads write to one table. Close it before the engine that it comes from.
        """
        ...


@dataclass(frozen=True)
class TableVersion:
    """Which state of a table an answer was made from."""

    table: str
    version: int


@dataclass(frozen=True)
class Relation:
    """A table's definition as engines need it: name, columns and layout."""

    name: str
    schema: pa.Schema
    layout: Layout = field(default_factory=Layout)
