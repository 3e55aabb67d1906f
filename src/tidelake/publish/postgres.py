"""Publication to PostgreSQL: COPY into new tables, counted, then put in the place of the old ones, all at once."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyarrow import csv

from tidelake.engine.base import Engine
from tidelake.engine.progress import Progress
from tidelake.errors import LedgerError, ProjectError, UnsupportedError
from tidelake.lake import Lake
from tidelake.postgres.server import Server, literal, quoted
from tidelake.publish.tables import Publication, parts

_MARK = "tidelake: "
_LOCK = 7_461_646_501
"""Number of the advisory lock: one publication at a time in a database."""

_BYTES = 8 << 20


def publish_postgres(
    engine: Engine,
    lake: Lake,
    items: Sequence[Publication],
    server: Server,
    *,
    schema: str,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Bring tables of a PostgreSQL schema to the lake's state, in one transaction: readers see all old or all new.

    A table that has this version already stays untouched. Rights that others were granted on a table are granted on
    the one that takes its place.

    Returns:
        One row a table: table, target, version, rows, status (`published`, `unchanged`).

    Raises:
        SourceError: No server, no right, or other objects (views) depend on a table that is to be replaced.
        ProjectError: A table of that name is there which Tidelake did not publish.
        LedgerError: PostgreSQL holds another number of rows than the lake.
    """
    found = []
    with server.connect() as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        stale = [item for item in items if not _is_current(connection, schema, item)]
        for item in stale:
            _fill(connection, engine, lake, schema, item, progress)
        for item in stale:  # readers are shut out from here to the end only
            _swap(connection, schema, item)
        for item in items:
            status = "published" if item in stale else "unchanged"
            found.append(
                {
                    "table": item.name,
                    "target": f"{schema}.{item.target}",
                    "version": item.version,
                    "rows": item.rows,
                    "status": status,
                }
            )
    return found


def _is_current(connection: Any, schema: str, item: Publication) -> bool:
    """Whether the target's comment names this version.

    Raises:
        ProjectError: A table is there without such a comment: somebody else's.
    """
    row = connection.execute(
        "SELECT obj_description(to_regclass(%s), 'pg_class'), to_regclass(%s) IS NULL",
        [quoted(schema, item.target)] * 2,
    ).fetchone()
    if row[1]:
        return False
    if not (row[0] or "").startswith(_MARK):
        raise ProjectError(
            f"{schema}.{item.target} is there and was not published by Tidelake: it is left alone.",
            hint="Choose another schema with --schema, or drop that table.",
        )
    said = json.loads(row[0].removeprefix(_MARK))
    return bool((said.get("id"), said.get("version")) == (item.table_id, item.version))


def _fill(connection: Any, engine: Engine, lake: Lake, schema: str, item: Publication, progress: Progress) -> None:
    """Write all rows into a new table beside the old one."""
    name = quoted(schema, _new(item))
    columns = ", ".join(f"{quoted(field.name)} {sql_type(field.type, item)}" for field in item.schema)
    connection.execute(f"DROP TABLE IF EXISTS {name}")
    connection.execute(f"CREATE TABLE {name} ({columns})")
    done = 0
    with connection.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN (FORMAT csv)") as copy:
        for part in parts(engine, lake, item):
            text = memoryview(as_csv(part))
            for start in range(0, len(text), _BYTES):
                copy.write(text[start : start + _BYTES])
            done += part.num_rows
            progress(f"publishing {item.name}", done, item.rows, "rows")
    rows = connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
    if not rows == done == item.rows:
        raise LedgerError(
            f"{item.name} has {item.rows:,} rows, {done:,} were read and {rows:,} are in PostgreSQL: "
            "nothing is replaced.",
            hint="Run `tide check`, then publish again.",
        )
    if item.key:
        key = ", ".join(quoted(column) for column in item.key)
        nullable = _with_nulls(connection, name, item.key)
        # A key may hold null where a table has a row for the unknown; a primary key may not.
        kind = "UNIQUE" if nullable else "PRIMARY KEY"
        connection.execute(f"ALTER TABLE {name} ADD CONSTRAINT {quoted(_new(item) + '_key')} {kind} ({key})")
    connection.execute(f"ANALYZE {name}")


def _with_nulls(connection: Any, name: str, key: Sequence[str]) -> bool:
    some = " OR ".join(f"{quoted(column)} IS NULL" for column in key)
    return bool(connection.execute(f"SELECT EXISTS (SELECT 1 FROM {name} WHERE {some})").fetchone()[0])


def _swap(connection: Any, schema: str, item: Publication) -> None:
    new, old = quoted(schema, _new(item)), quoted(schema, item.target)
    for role, privilege in _grants(connection, old):
        connection.execute(f"GRANT {privilege} ON {new} TO {role}")
    connection.execute(f"DROP TABLE IF EXISTS {old}")
    connection.execute(f"ALTER TABLE {new} RENAME TO {quoted(item.target)}")
    if item.key:
        names = quoted(_new(item) + "_key"), quoted(item.target + "_key")
        connection.execute(f"ALTER TABLE {old} RENAME CONSTRAINT {names[0]} TO {names[1]}")
    said = {
        "table": item.name,
        "version": item.version,
        "id": item.table_id,
        "rows": item.rows,
        "published_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    connection.execute(f"COMMENT ON TABLE {old} IS {literal(_MARK + json.dumps(said))}")


def _grants(connection: Any, table: str) -> list[tuple[str, str]]:
    """Who may do what with a table, besides its owner: role as SQL and privilege."""
    rows = connection.execute(
        "SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, "
        "a.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS a "
        "WHERE c.oid = to_regclass(%s) AND a.grantee <> c.relowner",
        (table,),
    ).fetchall()
    return [(str(role), str(privilege)) for role, privilege in rows]


def _new(item: Publication) -> str:
    return f"{item.target}__new"


def sql_type(kind: pa.DataType, item: Publication) -> str:
    """The type of PostgreSQL that holds an Arrow type's values.

    Raises:
        UnsupportedError: There is none.
    """
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"{sql_type(kind.value_type, item)}[]"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})"
    for fits, name in _TYPES:
        if fits(kind):
            return name
    raise UnsupportedError(f"{item.name} has a column of type {kind}, which cannot be published to PostgreSQL.")


_TYPES: tuple[tuple[Any, str], ...] = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_int8, "smallint"),
    (pa.types.is_int16, "smallint"),
    (pa.types.is_int32, "integer"),
    (pa.types.is_int64, "bigint"),
    (pa.types.is_float32, "real"),
    (pa.types.is_float64, "double precision"),
    (pa.types.is_date, "date"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_string_view, "text"),
)


def as_csv(rows: pa.Table) -> bytes:
    """Rows as CSV without header: null is nothing, an empty text is `""`, lists are PostgreSQL's `{...}`."""
    columns = [_as_text(column) for column in rows.columns]
    made = pa.table(columns, names=[str(place) for place in range(len(columns))])
    stream = io.BytesIO()
    csv.write_csv(made, stream, csv.WriteOptions(include_header=False, quoting_style="needed"))
    return stream.getvalue()


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column that pyarrow's CSV writer can write."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _as_text(column.cast(kind.value_type))
    if pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        texts = [None if value is None else _array(value) for value in column.to_pylist()]
        return pa.chunked_array([texts], pa.string())
    return column


def _array(values: Sequence[Any]) -> str:
    """A list as PostgreSQL writes arrays; every text in quotes."""
    return "{" + ",".join(_element(value) for value in values) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return _array(value)
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
