"""DuckDB, the embedded engine: reads Delta tables by their file lists, writes Parquet and has it committed."""

from __future__ import annotations

import os
import re
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import replace as replace_fields
from datetime import date, datetime
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import quote

import duckdb
import pyarrow as pa

from tidelake.contracts.table import literal
from tidelake.engine.base import (
    LAYERS,
    Capabilities,
    Catalog,
    DataFile,
    Layout,
    NewFile,
    Transaction,
    WriteMode,
)
from tidelake.engine.casts import not_converted
from tidelake.engine.columns import arrow_type, file_statistics, in_utc, sql_type
from tidelake.engine.partitions import readings
from tidelake.engine.sql import duckdb_macros, macros_in
from tidelake.errors import EngineError, LakeError, QueryError, TidelakeError, UnknownNameError

_Found = TypeVar("_Found")
_Part = TypeVar("_Part")
ROW_GROUP_ROWS = 40_960
_MANY_PARTITIONS = 64  # beyond it, rows are ordered first: reading all of them once for each would be slower
_SMALL_PARTITION = 20_000  # rows; partitions that are smaller on average are written by one COPY for many
_ROWS_OF_A_COPY = 300_000  # rows that wait in memory until the files of one COPY are finished; a few run at once
_LITTLE = 20_000  # rows that are not worth a second COPY
_TEMP_NAME = re.compile(r"\btemp\.([a-z_][a-z0-9_]*)", re.IGNORECASE)
# Columns of one temp table, perhaps filtered: cheap enough to be read once for each partition.
_FILTERED_TEMP = re.compile(r"SELECT [^()]+ FROM temp\.[a-z_0-9]+( WHERE (?!.*\b(?:JOIN|UNION|GROUP)\b).*)?", re.DOTALL)
_WIDE_INTEGERS = ("HUGEINT", "UHUGEINT", "UBIGINT")


class DuckEngine:
    """The embedded engine.

    Args:
        lake: The tables; None for an engine that has `temp` tables only.
        timezone: IANA zone in which `local_date` counts days.
        memory_limit: DuckDB's own bound, such as `700MB`; None leaves DuckDB's default.
        threads: None = one a core.
    """

    capabilities = Capabilities(dialect="duckdb", fast_files=True, intake=True, ordered_windows=True)

    def __init__(
        self,
        lake: Catalog | None = None,
        *,
        timezone: str = "UTC",
        memory_limit: str | None = "640MB",
        threads: int | None = None,
    ) -> None:
        self.lake = lake
        self.timezone = timezone
        self._spill = tempfile.TemporaryDirectory(prefix="tidelake-")
        self._bound: dict[str, tuple[str, int]] = {}
        self._kinds: dict[str, tuple[tuple[str, int] | None, dict[str, str]]] = {}
        self._arrow: dict[str, str] = {}
        self._scratch = "scratch"
        self._scratch_tables: set[str] = set()
        self._shared = threading.RLock()  # views, macros and the lake's open tables: one thread at a time
        self._macros: set[str] = set()
        settings: dict[str, Any] = {"temp_directory": self._spill.name, "preserve_insertion_order": False}
        if memory_limit is not None:
            settings["memory_limit"] = memory_limit
        settings["threads"] = threads or os.cpu_count() or 2
        self._connection = duckdb.connect(config=settings)
        self._connection.execute("SET TimeZone = 'UTC'")
        with suppress(duckdb.InvalidInputException):  # a notebook without ipywidgets has no bar, and no setting of it
            self._connection.execute("SET enable_progress_bar = false")
        for schema in (*LAYERS, self._scratch):
            self._connection.execute(f"CREATE SCHEMA {schema}")
        self._cursors = [self._connection.cursor() for _ in range(min(4, settings["threads"]))]
        self._free: SimpleQueue[Any] = SimpleQueue()
        for cursor in self._cursors:
            cursor.execute("SET TimeZone = 'UTC'")
            self._free.put(cursor)
        self._pool = ThreadPoolExecutor(len(self._cursors), thread_name_prefix="tidelake-write")
        self._statements = ThreadPoolExecutor(1, thread_name_prefix="tidelake-statement")
        if lake is not None and not lake.is_local:
            self._register_filesystem(lake)

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pa.Table:
        """Rows of one SELECT; see `Engine.query`."""
        return self._narrowed(sql, lambda narrowed: self._rows_of(narrowed, params))

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
        """Write rows to a table; see `Engine.write`."""
        layer, _, name = table.partition(".")
        if layer == "temp":
            self._write_temp(select, name, params)
            return 0
        lake = self._lake_of(table)
        with self._shared:
            if transaction is not None:
                done = lake.transaction_version(table, transaction.app_id)
                if done is not None and done >= transaction.version:
                    return lake.version(table) or 0
            known = lake.schema(table)
            if known is not None:
                layout = replace_fields(lake.layout(table), sort_by=layout.sort_by or lake.layout(table).sort_by)
            removed = _removed(lake, table, mode, replace)
        with self._rows(select, params, materialise=bool(layout.partition_by)) as rows:
            schema, projection = self._shape(rows, None if mode == "overwrite" else known, layout)
            added = self._write_files(rows, schema, projection, lake, table, layout)
        with self._shared:
            return lake.commit(
                table,
                added,
                removed,
                schema=schema,
                layout=layout,
                transaction=transaction,
                note=note,
                is_change=is_change,
                is_whole=mode == "overwrite",
            )

    def schema(self, table: str) -> pa.Schema | None:
        """The table's columns, or None where there is no such table."""
        layer, _, name = table.partition(".")
        if layer != "temp":
            return self.lake.schema(table) if self.lake is not None else None
        if name not in self._arrow and name not in self._scratch_tables:
            return None
        return self._schema_of(f"SELECT * FROM {self._temp(name)}")

    def drop(self, table: str) -> None:
        """Forget a `temp` table; nothing happens where there is none."""
        name = table.removeprefix("temp.")
        if name in self._arrow:
            self._connection.unregister(self._arrow.pop(name))
        if name in self._scratch_tables:
            self._connection.execute(f"DROP TABLE IF EXISTS {self._scratch}.{name}")
            self._scratch_tables.discard(name)

    def beside(self) -> DuckEngine:
        """An engine over the same tables with `temp` tables of its own; see `Parallel`."""
        other = copy(self)
        other._scratch = f"scratch_{uuid.uuid4().hex[:12]}"
        other._arrow, other._scratch_tables = {}, set()
        other._connection = self._connection.cursor()
        other._connection.execute("SET TimeZone = 'UTC'")
        other._connection.execute(f"CREATE SCHEMA {other._scratch}")
        if self.lake is not None and not self.lake.is_local:
            other._register_filesystem(self.lake)
        return other

    def close(self) -> None:
        if self._scratch != "scratch":
            self._connection.execute(f"DROP SCHEMA {self._scratch} CASCADE")
            self._connection.close()
            return
        self._pool.shutdown(wait=True)
        self._statements.shutdown(wait=True)
        for cursor in self._cursors:
            cursor.close()
        self._connection.close()
        self._spill.cleanup()

    def __enter__(self) -> DuckEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- queries

    def _prepared(self, sql: str, *, narrow: bool = True) -> str:
        """The SQL with `temp` names resolved; views and macros that it names are in place.

        Args:
            narrow: Read only the files of the partitions that the SQL asks for, where it says which.
        """
        sql = _TEMP_NAME.sub(lambda match: self._temp(match.group(1).lower()), sql)
        with self._shared:
            if missing := macros_in(sql) - self._macros:
                for statement in duckdb_macros(self.timezone, missing):
                    self._connection.execute(statement)
                self._macros.update(missing)
            return sql if self.lake is None else self._with_tables(self.lake, sql, narrow=narrow)

    def _with_tables(self, lake: Catalog, sql: str, *, narrow: bool) -> str:
        """The SQL with the tables that it names: read from the files that it needs, or views that are in place."""
        pieces, last = list[str](), 0
        for reading in readings(sql, self._partition_kinds) if narrow else ():
            files = lake.files(reading.table)
            wanted = [file for file in files if reading.wanted(file.partition)]
            if len(wanted) < len(files):
                body = self._reading(reading.table, wanted)
                pieces += [sql[last : reading.start], f"({body}) AS {_quoted(reading.alias)}"]
                last = reading.end
        pieces.append(sql[last:])
        for table in dict.fromkeys(name for piece in pieces[::2] for name in _tables_in(piece)):
            self._bind(table)
        return "".join(pieces)

    def _narrowed(self, sql: str, run: Callable[[str], _Found]) -> _Found:
        """Run a SELECT over the files that it needs; what is wrong with it is said of the SELECT as it was given."""
        narrowed = self._prepared(sql)
        try:
            return run(narrowed)
        except QueryError as error:
            if (absent := self._absent(sql, error)) is not None:
                raise absent from error
            whole = self._prepared(sql, narrow=False)
            if whole == narrowed:
                raise
            return run(whole)

    def _absent(self, sql: str, error: QueryError) -> QueryError | None:
        """What DuckDB says of a table that is not there, with the layer that the SQL names and the nearest tables."""
        missing = re.fullmatch(r"There is no table (\S+)\.", str(error))
        if missing is None or self.lake is None:
            return None
        whole = next(
            (name for name in _tables_in(sql) if name.endswith(f".{missing.group(1).lower()}")), missing.group(1)
        )
        return QueryError(f"There is no table {whole}.", hint=UnknownNameError("table", whole, self.lake.tables()).hint)

    def _partition_kinds(self, table: str) -> dict[str, str]:
        """The table's partition columns that hold dates or whole numbers, with which of both."""
        assert self.lake is not None
        state = self.lake.state(table)
        known = self._kinds.get(table)
        if known is None or known[0] != state:
            schema = self.lake.schema(table)
            keys = {name: schema.field(name).type for name in self.lake.layout(table).partition_by} if schema else {}
            kinds = {name: "date" for name, kind in keys.items() if pa.types.is_date(kind)}
            kinds |= {name: "integer" for name, kind in keys.items() if pa.types.is_integer(kind)}
            known = self._kinds[table] = (state, kinds)
        return known[1]

    def _temp(self, name: str) -> str:
        return self._arrow.get(name, f"{self._scratch}.{name}")

    def _bind(self, table: str) -> None:
        """Make the view `layer.name` over the files of the table's version."""
        assert self.lake is not None
        state = self.lake.state(table)
        if self._bound.get(table) == state:
            return
        if state is None:
            self._connection.execute(f"DROP VIEW IF EXISTS {table}")
            del self._bound[table]
        else:
            body = self._reading(table, self.lake.files(table))
            try:
                self._connection.execute(f"CREATE OR REPLACE VIEW {table} AS {body}")
            except duckdb.Error as error:  # its files are looked at
                raise self._explained(error) from error
            self._bound[table] = state

    def _reading(self, table: str, files: Sequence[DataFile]) -> str:
        """A SELECT of the table's columns from some of its files."""
        assert self.lake is not None
        schema = self.lake.schema(table)
        assert schema is not None
        nulls = ", ".join(f"CAST(NULL AS {sql_type(field.type)}) AS {_quoted(field.name)}" for field in schema)
        if not files:
            return f"SELECT {nulls} WHERE false"
        layout = self.lake.layout(table)
        paths = ", ".join(literal(file.path) for file in files)
        options = ", union_by_name = true" if layout.is_grown else ""
        if layout.partition_by:
            types = ", ".join(f"{literal(name)}: {sql_type(schema.field(name).type)}" for name in layout.partition_by)
            options += f", hive_partitioning = true, hive_types = {{{types}}}"
        else:
            options += ", hive_partitioning = false"
        rows = f"read_parquet([{paths}]{options})"
        if layout.is_grown:  # none of these files may have a column that others have
            rows = f"(SELECT * FROM {rows} UNION ALL BY NAME SELECT {nulls} WHERE false)"
        return f"SELECT {', '.join(_quoted(field.name) for field in schema)} FROM {rows}"

    def _rows_of(self, sql: str, params: Mapping[str, Any] | None = None) -> pa.Table:
        def rows() -> pa.Table:
            found = self._connection.sql(sql, params=dict(params) if params else None)
            if found is None:
                raise QueryError("That statement gives no rows.", hint="Write one SELECT.")
            return in_utc(found.to_arrow_table())

        return self._interruptible(rows, stop=self._connection.interrupt)

    def _run(self, sql: str, params: Mapping[str, Any] | None, cursor: Any = None) -> Any:
        connection = cursor or self._connection
        return self._interruptible(lambda: connection.execute(sql, dict(params) if params else None))

    def _interruptible(self, run: Callable[[], _Found], stop: Callable[[], None] | None = None) -> _Found:
        """Run a statement in another thread than the main one: a Ctrl-C that reaches DuckDB in a write can hang it.

        Args:
            stop: How to break off a query. A write is waited for, since breaking it off can hang as well.
        """
        try:
            if threading.current_thread() is not threading.main_thread():
                return run()
            running = self._statements.submit(run)
            try:
                return running.result()
            except KeyboardInterrupt:
                if stop is not None:
                    stop()
                wait([running])
                raise
        except duckdb.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: duckdb.Error) -> TidelakeError:
        text = str(error)
        if isinstance(error, duckdb.CatalogException):
            missing = re.search(r"(?:Table|View) with name (\S+) does not exist", text)
            if missing and self.lake is not None:
                near = UnknownNameError("table", missing.group(1), self.lake.tables())
                return QueryError(f"There is no table {missing.group(1)}.", hint=near.hint)
        if isinstance(error, (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)):
            return QueryError(text, hint="`tide sql 'DESCRIBE layer.table'` shows a table's columns.")
        if isinstance(error, duckdb.InvalidInputException) and "parameter" in text.lower():
            return QueryError(text, hint="Bind each $name of the query once.")
        if isinstance(error, duckdb.ConversionException):
            return not_converted(text)
        if "No space left" in text or "no space left" in text.lower():
            return LakeError(
                f"The disk is full: {text.splitlines()[0]}",
                hint="Free some space and run the same command again; what was committed stays.",
            )
        if "Permission denied" in text:
            return LakeError(
                f"The lake cannot be written: {text.splitlines()[0]}",
                hint="Give this user the right to write there, or choose another lake in tide.yml (`lake:`).",
            )
        return EngineError(f"DuckDB failed: {text}", hint="`tide doctor` looks at memory, disk and versions.")

    # --- writing

    def _write_temp(self, select: str | pa.Table, name: str, params: Mapping[str, Any] | None) -> None:
        name = name.lower()
        if isinstance(select, pa.Table):
            self.drop(name)
            self._connection.register(f"arrow_{name}", select)
            self._arrow[name] = f"arrow_{name}"
            return
        self._narrowed(select, lambda sql: self._make_scratch(name, sql, params))
        if name in self._arrow:
            self._connection.unregister(self._arrow.pop(name))
        self._scratch_tables.add(name)

    def _make_scratch(self, name: str, sql: str, params: Mapping[str, Any] | None) -> None:
        """Make or replace a table; its own rows may be among those that it is made from."""
        if name not in self._scratch_tables or not re.search(rf"\b{self._scratch}\.{name}\b", sql):
            self._run(f"CREATE OR REPLACE TABLE {self._scratch}.{name} AS {sql}", params)
            return
        self._run(f"CREATE OR REPLACE TABLE {self._scratch}.{name}__next AS {sql}", params)
        self._run(f"DROP TABLE {self._scratch}.{name}", None)
        self._run(f"ALTER TABLE {self._scratch}.{name}__next RENAME TO {name}", None)

    @contextmanager
    def _rows(self, select: str | pa.Table, params: Mapping[str, Any] | None, *, materialise: bool) -> Iterator[str]:
        """A SELECT over the rows to write; over a table made for it where several reads follow."""
        if isinstance(select, pa.Table):
            name = f"given_{uuid.uuid4().hex[:12]}"
            self._write_temp(select, name, None)
            try:
                with self._rows(f"SELECT * FROM temp.{name}", None, materialise=materialise) as rows:
                    yield rows
            finally:
                self.drop(name)
            return
        if _FILTERED_TEMP.fullmatch(select.strip()) and not params:
            yield self._prepared(select)
        elif materialise or params:
            name = f"rows_{uuid.uuid4().hex[:12]}"
            self._write_temp(select, name, params)
            try:
                yield f"SELECT * FROM {self._scratch}.{name}"
            finally:
                self.drop(name)
        else:
            yield self._prepared(select)

    def _shape(self, rows: str, known: pa.Schema | None, layout: Layout) -> tuple[pa.Schema, list[str]]:
        """The table's schema with these rows in it, and the columns of its files as SQL."""
        given = self._types_of(rows)
        fields = list(known) if known is not None else []
        names = {field.name for field in fields}
        for field in fields:
            if pa.types.is_integer(field.type) and given.get(field.name) in ("DOUBLE", "FLOAT"):
                raise EngineError(
                    f"Column {field.name} holds whole numbers; fractions would be cut off.",
                    hint="`tide build --full-refresh` makes the table again with its new type.",
                )
        if not names >= set(given):
            fields += [field for field in self._schema_of(rows, given) if field.name not in names]
        schema = pa.schema(fields)
        projection = [
            f"CAST({_quoted(field.name) if field.name in given else 'NULL'} AS {sql_type(field.type)}) "
            f"AS {_quoted(field.name)}"
            for field in schema
            if field.name not in layout.partition_by
        ]
        return schema, projection

    def _types_of(self, rows: str) -> dict[str, str]:
        """DuckDB's types of a SELECT's columns, by name; the SELECT is not run."""
        try:
            found = self._connection.sql(rows)
        except duckdb.Error as error:
            raise self._explained(error) from error
        return {name: str(kind) for name, kind in zip(found.columns, found.types, strict=True)}

    def _schema_of(self, rows: str, given: Mapping[str, str] | None = None) -> pa.Schema:
        """The Arrow schema of a SELECT's rows.

        Args:
            given: `_types_of` them, where it is known.
        """
        types = self._types_of(rows) if given is None else given
        plain = [(name, arrow_type(kind)) for name, kind in types.items()]
        if all(kind is not None for _, kind in plain):
            return pa.schema(plain)
        probe = ", ".join(
            f"{_quoted(name)}::BIGINT AS {_quoted(name)}" if kind in _WIDE_INTEGERS else _quoted(name)
            for name, kind in types.items()
        )
        return self._rows_of(f"SELECT {probe} FROM ({rows}) LIMIT 0").schema

    def _write_files(
        self, rows: str, schema: pa.Schema, projection: list[str], lake: Catalog, table: str, layout: Layout
    ) -> list[NewFile]:
        columns = ", ".join(projection)
        order = f" ORDER BY {', '.join(_quoted(name) for name in layout.sort_by)}" if layout.sort_by else ""
        if not layout.partition_by:
            sql = f"SELECT {columns} FROM ({rows}){order}"
            whole = self._copy(sql, schema, lake, table, {}, self._connection)
            return [whole] if whole is not None else []
        keys = ", ".join(_quoted(name) for name in layout.partition_by)
        counted = self._run(f"SELECT {keys}, count(*) FROM ({rows}) GROUP BY ALL ORDER BY ALL", None).fetchall()
        values = [row[:-1] for row in counted]
        total = sum(row[-1] for row in counted)
        if len(values) > 1 and total < len(values) * _SMALL_PARTITION and _are_dates(values):
            groups = _copies([(row[0], row[-1]) for row in counted])
            key = layout.partition_by[0]
            written = self._side_by_side(
                rows,
                groups,
                lambda days, cursor: self._copy_many(rows, schema, columns, days, lake, table, key, cursor),
            )
            return [file for files in written for file in files]
        if len(values) > _MANY_PARTITIONS:
            with self._ordered(rows, keys) as ordered:
                return self._write_partitions(ordered, schema, columns, order, values, lake, table, layout)
        return self._write_partitions(rows, schema, columns, order, values, lake, table, layout)

    @contextmanager
    def _ordered(self, rows: str, keys: str) -> Iterator[str]:
        """The rows in a table ordered by partition, so that each partition is found without reading the others."""
        name = f"ordered_{uuid.uuid4().hex[:12]}"
        self._run(f"CREATE TABLE {self._scratch}.{name} AS SELECT * FROM ({rows}) ORDER BY {keys}", None)
        try:
            yield f"SELECT * FROM {self._scratch}.{name}"
        finally:
            self._run(f"DROP TABLE {self._scratch}.{name}", None)

    def _write_partitions(
        self,
        rows: str,
        schema: pa.Schema,
        columns: str,
        order: str,
        values: Sequence[tuple[Any, ...]],
        lake: Catalog,
        table: str,
        layout: Layout,
    ) -> list[NewFile]:
        """One file a partition."""

        def one(key: tuple[Any, ...], cursor: Any) -> NewFile | None:
            partition = dict(zip(layout.partition_by, (_partition_text(value) for value in key), strict=True))
            # Plain comparisons only: DuckDB then skips the row groups that hold other partitions.
            condition = " AND ".join(
                f"{_quoted(name)} IS NULL" if value is None else f"{_quoted(name)} = {_value(value)}"
                for name, value in zip(layout.partition_by, key, strict=True)
            )
            sql = f"SELECT {columns} FROM ({rows}) WHERE {condition}{order}"
            return self._copy(sql, schema, lake, table, partition, cursor)

        return [file for file in self._side_by_side(rows, values, one) if file is not None]

    def _side_by_side(self, rows: str, parts: Sequence[_Part], write: Callable[[_Part, Any], _Found]) -> list[_Found]:
        """Write the parts of some rows, each with a cursor of its own, several at once.

        Arrow rows are known to the first connection only, which writes one part after the other.
        """

        def one(part: _Part) -> _Found:
            with self._cursor() as cursor:
                return write(part, cursor)

        if len(parts) == 1 or any(name in rows for name in self._arrow.values()):
            return [write(part, self._connection) for part in parts]
        return list(self._pool.map(one, parts))

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        cursor = self._free.get()
        try:
            yield cursor
        finally:
            self._free.put(cursor)

    def _copy(
        self, sql: str, schema: pa.Schema, lake: Catalog, table: str, partition: Mapping[str, str | None], cursor: Any
    ) -> NewFile | None:
        """Write one Parquet file; None when the SELECT has no rows."""
        folder = "/".join(f"{name}={_path_text(value)}" for name, value in partition.items())
        relative = f"{folder}/{uuid.uuid4().hex}.parquet".lstrip("/")
        target = f"{lake.uri(table)}/{relative}"
        local = target if lake.is_local else os.path.join(self._spill.name, f"{uuid.uuid4().hex}.parquet")
        _make_folder(os.path.dirname(local))
        (written,) = self._run(
            f"COPY ({sql}) TO {literal(local)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, "
            f"ROW_GROUP_SIZE {ROW_GROUP_ROWS}, RETURN_STATS)",
            None,
            cursor,
        ).fetchall()
        _, count, size, _, columns, *_ = written
        if count == 0:
            os.unlink(local)
            return None
        if not lake.is_local:
            lake.move_in(local, target)
        return NewFile(relative, partition, size, file_statistics(count, columns, schema))

    def _copy_many(
        self,
        rows: str,
        schema: pa.Schema,
        columns: str,
        days: Sequence[date],
        lake: Catalog,
        table: str,
        key: str,
        cursor: Any,
    ) -> list[NewFile]:
        """Write one Parquet file for each of several small date partitions, unsorted: each is about one row group.

        Args:
            days: All dates that the rows have from the first to the last of these, in order.
        """
        folder = lake.uri(table) if lake.is_local else os.path.join(self._spill.name, uuid.uuid4().hex)
        _make_folder(folder)
        written = self._run(
            f"COPY (SELECT {columns}, {_quoted(key)} FROM ({rows}) "
            f"WHERE {_quoted(key)} BETWEEN {_value(days[0])} AND {_value(days[-1])}) "
            f"TO {literal(folder)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, "
            f"ROW_GROUP_SIZE {ROW_GROUP_ROWS}, PARTITION_BY ({_quoted(key)}), FILENAME_PATTERN '{{uuid}}', APPEND, "
            "RETURN_STATS)",
            None,
            cursor,
        ).fetchall()
        files = []
        for path, count, size, _, statistics, partition, *_ in written:
            value = str(partition[key])
            relative = f"{key}={value}/{os.path.basename(path)}"
            if not lake.is_local:
                lake.move_in(path, f"{lake.uri(table)}/{relative}")
            files.append(NewFile(relative, {key: value}, size, file_statistics(count, statistics, schema)))
        return files

    def _lake_of(self, table: str) -> Catalog:
        if self.lake is None:
            raise EngineError(f"This engine has no lake to write {table} to.")
        return self.lake

    def _register_filesystem(self, lake: Catalog) -> None:
        from fsspec.implementations.arrow import ArrowFSWrapper

        class S3Files(ArrowFSWrapper):  # type: ignore[misc]
            protocol = "s3"

            @classmethod
            def _strip_protocol(cls, path: str) -> str:
                return str(path).removeprefix("s3://").rstrip("/")

        for connection in (self._connection, *self._cursors):
            if not connection.filesystem_is_registered("s3"):
                connection.register_filesystem(S3Files(lake.filesystem()))


_TABLE_NAME = re.compile(rf'\b({"|".join(LAYERS)})"?\s*\.\s*"?([a-z_][a-z0-9_]*)', re.IGNORECASE)


def _tables_in(sql: str) -> list[str]:
    """What may be a table's name in the SQL, quoted or not and in whatever case, as the lake has it."""
    return list(dict.fromkeys(f"{layer}.{name}".lower() for layer, name in _TABLE_NAME.findall(sql)))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise LakeError(
            f"{folder} cannot be written: {error.strerror}.",
            hint="Give this user the right to write there, free some space, or choose another lake (`lake:`).",
        ) from error


def _are_dates(values: Sequence[tuple[Any, ...]]) -> bool:
    """Whether the partitions are those of one date column: their folders are named alike by everyone."""
    return all(len(key) == 1 and isinstance(key[0], date) and not isinstance(key[0], datetime) for key in values)


def _copies(counted: Sequence[tuple[date, int]]) -> list[list[date]]:
    """The partitions in order, in groups that one COPY writes: few enough files, and rows that fit into memory.

    At least two where there is enough to write, for they are written side by side.
    """
    total = sum(count for _, count in counted)
    limit = min(_ROWS_OF_A_COPY, max(_LITTLE, -(-total // 2)))
    groups: list[list[date]] = []
    held = 0
    for day, count in counted:
        if not groups or len(groups[-1]) == _MANY_PARTITIONS or held + count > limit:
            groups.append([])
            held = 0
        groups[-1].append(day)
        held += count
    return groups


def _value(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return f"DATE '{value.isoformat()}'"
    return literal(str(value))


def _partition_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _path_text(value: str | None) -> str:
    return "__HIVE_DEFAULT_PARTITION__" if value is None else quote(value, safe=" ")


def _removed(lake: Catalog, table: str, mode: WriteMode, replace: Mapping[str, Sequence[Any]] | None) -> list[DataFile]:
    """The files that the write takes the place of."""
    if mode == "append":
        return []
    files = lake.files(table)
    if mode == "overwrite":
        return files
    if not replace:
        raise EngineError(f"Replacing partitions of {table} needs the partitions' values.")
    wanted = {name: {_partition_text(value) for value in values} for name, values in replace.items()}
    return [file for file in files if all(file.partition.get(name) in values for name, values in wanted.items())]
