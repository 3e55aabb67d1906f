"""Spark with Delta: the engine for those who outgrow one machine; local, on a cluster, or through Connect.

Queries are translated from the portable subset. Every table is read at the version that the lake
knows, through a temporary view, and every table is made and widened by the lake, so that both engines
find the same settings; Spark then writes the rows with Delta's own transactions.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidelake.engine.base import Capabilities, Catalog, Layout, Transaction, WriteMode
from tidelake.engine.sql import check_portable, check_read_only, tables_of, translate
from tidelake.engine.sql.ingest import translate_ingest
from tidelake.errors import EngineError, LakeError, QueryError, TidelakeError, UnknownNameError, UnsupportedError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

JARS = "TIDELAKE_SPARK_JARS"
PACKAGE = "io.delta:delta-spark_4.2_2.13:4.4.0"
_INSTALL = "pip install 'tidelake[spark]'"
_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.log.level": "ERROR",
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.databricks.delta.writeChecksumFile.enabled": "false",
}
_SESSION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.databricks.delta.schema.autoMerge.enabled": "false",
    "spark.sql.variant.allowDuplicateKeys": "true",  # the contract says so of such records, not the parser
}


def local_session(
    *, jars: str | None = None, cores: int = 2, settings: Mapping[str, str] | None = None
) -> SparkSession:
    """A Spark session on this machine that can read and write Delta tables. Stop it when done.

    Args:
        jars: Folder that holds Delta's jars; None takes `TIDELAKE_SPARK_JARS`, else Spark fetches them.
        cores: Threads.
        settings: Spark's own settings, on top of those that Tidelake needs.

    Raises:
        UnsupportedError: Java, pyspark or Delta is missing; says how to get it.
    """
    _check_installed()
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)  # it repeats every error on stderr
    scratch = tempfile.mkdtemp(prefix="tidelake-spark-")
    builder = SparkSession.builder.master(f"local[{cores}]").appName("tidelake")
    every = {**_SETTINGS, **_SESSION, **_jar_settings(jars), "spark.local.dir": scratch, **(settings or {})}
    for name, value in every.items():
        builder = builder.config(name, value)
    try:
        return builder.config("spark.sql.warehouse.dir", os.path.join(scratch, "warehouse")).getOrCreate()
    except Exception as error:
        raise EngineError(
            f"Spark did not start: {_first_line(error)}",
            hint=f"It needs Java 17 or 21, and Delta's jars: `.ci/spark-jars`, or {JARS}=FOLDER.",
        ) from error


def _check_installed() -> None:
    for module, package in (("pyspark", "pyspark"), ("delta", "delta-spark")):
        if importlib.util.find_spec(module) is None:
            raise UnsupportedError(f"The Spark engine needs {package}, which is not installed.", hint=f"{_INSTALL}.")
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        raise UnsupportedError(
            "The Spark engine needs Java 17 or 21, which is not installed.",
            hint="Debian: apt-get install openjdk-17-jre-headless; or set JAVA_HOME.",
        )


def _jar_settings(jars: str | None) -> dict[str, str]:
    folder = jars or os.environ.get(JARS)
    if folder is None:
        return {"spark.jars.packages": PACKAGE}
    found = sorted(str(path) for path in Path(folder).glob("*.jar"))
    if not any(Path(path).name.startswith("delta-spark_") for path in found):
        raise UnsupportedError(
            f"{folder} holds no delta-spark jar.",
            hint=f"`.ci/spark-jars` fills a folder; without {JARS} Spark fetches {PACKAGE} from Maven Central.",
        )
    return {"spark.jars": ",".join(found)}


class SparkEngine:
    """The engine for large data.

    Args:
        lake: The tables; None for an engine that has `temp` tables only.
        timezone: IANA zone in which `local_date` counts days.
        session: A session to use (a cluster's, or Connect's); it is not stopped. None starts one on this machine.
        jars: Folder with Delta's jars, for a session that is started here.
        is_ingest: Take silver's own SELECTs too, whose functions are put in Spark's words one by one
            (`engine.sql.ingest`); the portable subset is then not asked for.
    """

    capabilities = Capabilities(dialect="spark", distributed=True)

    def __init__(
        self,
        lake: Catalog | None = None,
        *,
        timezone: str = "UTC",
        session: SparkSession | None = None,
        jars: str | None = None,
        is_ingest: bool = False,
    ) -> None:
        self.lake = lake
        self.is_ingest = is_ingest
        self.timezone = timezone
        self._started = local_session(jars=jars) if session is None else None
        self.session = _own(session) if session is not None else self._started
        assert self.session is not None
        for name, value in _SESSION.items():
            self.session.conf.set(name, value)
        self._views: dict[str, tuple[int, str]] = {}
        self._temps: dict[str, tuple[str, DataFrame]] = {}

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pa.Table:
        """Rows of one SELECT; see `Engine.query`."""
        with _explained():
            return _plain(self._frame(sql, params).toArrow())

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
    ) -> int:
        """Write rows to a table; see `Engine.write`."""
        layer, _, name = table.lower().partition(".")
        if layer == "temp":
            self._write_temp(select, name, params)
            return 0
        lake = self._lake_of(table)
        if transaction is not None:
            done = lake.transaction_version(table, transaction.app_id)
            if done is not None and done >= transaction.version:
                return lake.version(table) or 0
        if mode == "replace" and not replace:
            raise EngineError(f"Replacing partitions of {table} needs the partitions' values.")
        with _explained():
            rows = self._rows(select, params)
            layout = self._prepared(lake, table, rows, layout)
            self._write_rows(rows, lake, table, mode, layout, transaction, replace, note)
        _refresh(lake)
        return lake.version(table) or 0

    def schema(self, table: str) -> pa.Schema | None:
        """The table's columns, or None where there is no such table."""
        layer, _, name = table.lower().partition(".")
        if layer != "temp":
            return self.lake.schema(table) if self.lake is not None else None
        return _plain(self._temps[name][1].limit(0).toArrow()).schema if name in self._temps else None

    def drop(self, table: str) -> None:
        """Forget a `temp` table; nothing happens where there is none."""
        view, frame = self._temps.pop(table.lower().removeprefix("temp."), (None, None))
        if view is not None and frame is not None and self.session is not None:
            self.session.catalog.dropTempView(view)
            frame.unpersist()

    def close(self) -> None:
        """Let go of views and, where this engine started it, of Spark."""
        if self.session is None:
            return
        for name in list(self._temps):
            self.drop(name)
        for _, view in self._views.values():
            self.session.catalog.dropTempView(view)
        self._views.clear()
        if self._started is not None:
            scratch = self._started.conf.get("spark.local.dir", "")
            self._started.stop()
            if scratch:
                shutil.rmtree(scratch, ignore_errors=True)
        self.session = self._started = None

    def __enter__(self) -> SparkEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- reading

    def _frame(self, sql: str, params: Mapping[str, Any] | None) -> DataFrame:
        assert self.session is not None, "the engine is closed"
        if self.is_ingest:
            check_read_only(sql)
        else:
            check_portable(sql)
        names = {table: self._view(table) for table in tables_of(sql)}
        write = translate_ingest if self.is_ingest else partial(translate, dialect="spark")
        text = write(sql, timezone=self.timezone, tables=names, params=dict(params or {}))
        return self.session.sql(text)

    def _view(self, table: str) -> str:
        """The view that stands for a table at the version that the lake knows."""
        layer, _, name = table.partition(".")
        if layer == "temp":
            if name not in self._temps:
                raise self._unknown(table, [f"temp.{known}" for known in self._temps])
            return self._temps[name][0]
        lake = self._lake_of(table)
        version = lake.version(table)
        if version is None:
            raise self._unknown(table, lake.tables())
        bound, view = self._views.get(table, (None, ""))
        if bound != version:
            assert self.session is not None
            view = f"{layer}__{name}"
            reader = self.session.read.format("delta").option("versionAsOf", version)
            reader.load(_address(lake, table)).createOrReplaceTempView(view)
            self._views[table] = (version, view)
        return view

    @staticmethod
    def _unknown(table: str, known: list[str]) -> QueryError:
        near = UnknownNameError("table", table, known)
        return QueryError(f"There is no table {table}.", hint=near.hint)

    # --- writing

    def _rows(self, select: str | pa.Table, params: Mapping[str, Any] | None) -> DataFrame:
        if isinstance(select, str):
            return self._frame(select, params)
        assert self.session is not None
        return self.session.createDataFrame(_for_spark(select))

    def _write_temp(self, select: str | pa.Table, name: str, params: Mapping[str, Any] | None) -> None:
        with _explained():
            rows = self._kept(self._rows(select, params))
            view = f"temp__{name}__{uuid.uuid4().hex[:8]}"
            rows.createOrReplaceTempView(view)
        self.drop(name)
        self._temps[name] = (view, rows)

    def _kept(self, rows: DataFrame) -> DataFrame:
        """The rows, worked out now. On one machine also without their history, which makes later plans short."""
        assert self.session is not None
        if str(self.session.conf.get("spark.master", "")).startswith("local"):
            return rows.localCheckpoint(eager=True)
        rows = rows.persist()
        rows.count()
        return rows

    def _prepared(self, lake: Catalog, table: str, rows: DataFrame, layout: Layout) -> Layout:
        """Make the table, or give it the columns that it has not yet; its layout."""
        given = _plain(rows.limit(0).toArrow()).schema
        known = lake.schema(table)
        if known is not None:
            layout = lake.layout(table)
            given = pa.schema([*known, *(field for field in given if field.name not in known.names)])
        if known is None or len(given) != len(known):
            lake.commit(table, [], [], schema=given, layout=layout, transaction=None, note=None)
        return layout

    def _write_rows(
        self,
        rows: DataFrame,
        lake: Catalog,
        table: str,
        mode: WriteMode,
        layout: Layout,
        transaction: Transaction | None,
        replace: Mapping[str, Sequence[Any]] | None,
        note: Mapping[str, Any] | None,
    ) -> None:
        schema = lake.schema(table)
        assert schema is not None
        assert self.session is not None
        rows = _shaped(rows, schema)
        if layout.sort_by:
            rows = rows.sortWithinPartitions(*layout.partition_by, *layout.sort_by)
        writer = rows.write.format("delta").mode("append" if mode == "append" else "overwrite")
        if layout.partition_by:
            writer = writer.partitionBy(*layout.partition_by)
        if transaction is not None:
            writer = writer.option("txnAppId", transaction.app_id).option("txnVersion", transaction.version)
        if note is not None:
            writer = writer.option("userMetadata", json.dumps({"tidelake": note}, default=str))
        if mode == "replace":
            writer = writer.option("replaceWhere", _condition(replace or {}, schema))
        writer.save(_address(lake, table))

    def _lake_of(self, table: str) -> Catalog:
        if self.lake is None:
            raise EngineError(f"This engine has no lake that could hold {table}.")
        return self.lake


def _own(session: SparkSession) -> SparkSession:
    """A session of its own on the same Spark, so that views and settings do not mix."""
    return session.newSession()


def _address(lake: Catalog, table: str) -> str:
    """Where Spark finds a table; Hadoop's S3 client is called s3a."""
    return lake.uri(table).replace("s3://", "s3a://", 1)


def _refresh(lake: Catalog) -> None:
    """Have the lake read its logs again, after a commit that it did not make."""
    getattr(lake, "refresh", lambda: None)()


def _shaped(rows: DataFrame, schema: pa.Schema) -> DataFrame:
    """The rows with the table's columns in its order and types; null for those that the rows have not."""
    from pyspark.sql import functions
    from pyspark.sql.pandas.types import from_arrow_type

    given = {name.lower(): name for name in rows.columns}
    columns = []
    for field in schema:
        kind = from_arrow_type(field.type)
        name = given.get(field.name.lower())
        column = functions.lit(None) if name is None else functions.col(f"`{name}`")
        columns.append(column.cast(kind).alias(field.name))
    return rows.select(*columns)


def _condition(replace: Mapping[str, Sequence[Any]], schema: pa.Schema) -> str:
    """The condition that names the partitions to replace, in Spark's SQL."""
    parts = []
    for name, values in replace.items():
        kind = schema.field(name).type
        texts = [_literal(value, kind) for value in values if value is not None]
        choices = [f"`{name}` IN ({', '.join(texts)})"] if texts else []
        if any(value is None for value in values):
            choices.append(f"`{name}` IS NULL")
        parts.append(f"({' OR '.join(choices) or 'false'})")
    return " AND ".join(parts)


def _literal(value: Any, kind: pa.DataType) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = str(value.isoformat() if isinstance(value, date | datetime) else value)
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"DATE {quoted}" if pa.types.is_date(kind) else quoted


def _for_spark(table: pa.Table) -> pa.Table:
    """Arrow rows with types that Spark takes: no views, dictionaries, unsigned or nanosecond columns."""
    for index, field in enumerate(table.schema):
        kind = _spark_type(field.type)
        if kind != field.type:
            table = table.set_column(index, pa.field(field.name, kind), table.column(index).cast(kind))
    return table


def _spark_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_null(kind):
        return pa.int32()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        return pa.string()
    if pa.types.is_dictionary(kind):
        return _spark_type(kind.value_type)
    if pa.types.is_unsigned_integer(kind):
        return pa.int64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_spark_type(kind.value_type))
    return kind


def _plain(table: pa.Table) -> pa.Table:
    """Spark's rows as engines give them: UTC microseconds, lists and structs whose parts may be null."""
    schema = pa.schema([pa.field(field.name, _plain_type(field.type)) for field in table.schema])
    return table if schema.equals(table.schema) else table.cast(schema)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pa.timestamp("us", "UTC")
    if pa.types.is_null(kind):
        return pa.int32()
    if pa.types.is_decimal(kind) and kind.scale == 0 and kind.precision == 38:
        return pa.int64()
    if pa.types.is_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(item.name, _plain_type(item.type)) for item in kind])
    return kind


@contextmanager
def _explained() -> Iterator[None]:
    """Turn Spark's exceptions into errors that say what to do."""
    from pyspark.errors import AnalysisException, ParseException, PySparkException

    try:
        yield
    except TidelakeError:
        raise
    except (AnalysisException, ParseException) as error:
        if "DELTA_" in str(error):
            raise _failed(error) from error
        raise QueryError(
            _first_line(error), hint="`tide sql 'DESCRIBE layer.table'` shows a table's columns."
        ) from error
    except PySparkException as error:
        raise _failed(error) from error
    except Exception as error:
        if type(error).__module__.startswith(("py4j", "grpc", "pyspark")):
            raise _failed(error) from error
        raise


def _failed(error: Exception) -> TidelakeError:
    text = str(error)
    if "No space left on device" in text:
        return LakeError("The disk is full.", hint="Free some space and run the same command again.")
    if "Concurrent" in type(error).__name__ or "DELTA_CONCURRENT" in text:
        from tidelake.errors import BusyError

        return BusyError("Another build has just written to the table.", hint="Run the same command again.")
    return EngineError(f"Spark failed: {_first_line(error)}", hint="`tide doctor` looks at Java, jars and memory.")


def _first_line(error: Exception) -> str:
    """What Spark says, without its stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("[") or "Exception: [" in line]
    return (said or lines or [type(error).__name__])[0][:500]
