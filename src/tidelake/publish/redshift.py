"""Publication to Amazon Redshift: Parquet files and a manifest on S3, and SQL that takes them in one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from tidelake.engine.base import Engine
from tidelake.engine.progress import Progress
from tidelake.errors import LedgerError, SourceError, UnsupportedError
from tidelake.lake import Lake
from tidelake.lake.location import s3_filesystem
from tidelake.postgres.server import Server, literal, quoted
from tidelake.publish.tables import Publication, parts


def publish_redshift(
    engine: Engine,
    lake: Lake,
    items: Sequence[Publication],
    server: Server,
    *,
    schema: str,
    stage: str,
    iam_role: str,
    sql_file: Path,
    execute: bool,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Write tables to S3, write the SQL that loads them, and run it where asked.

    Files of a version are written once: a manifest that is there says that all of its files are.

    Returns:
        One row a table: table, target, version, rows, status (`staged`, or `published` where the SQL was run).

    Raises:
        LedgerError: Another number of rows was written than the lake holds.
        SourceError: S3 or the server does not answer; the SQL file is written before the server is asked.
    """
    statements = ["BEGIN", f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}"]
    for item in items:
        manifest = _staged(engine, lake, item, stage, progress)
        statements += load_statements(item, schema=schema, manifest=manifest, iam_role=iam_role)
    statements.append("COMMIT")
    sql_file.parent.mkdir(parents=True, exist_ok=True)
    sql_file.write_text(";\n\n".join(statements) + ";\n", encoding="utf-8")
    progress.say(f"The SQL is in {sql_file}")
    if execute:
        try:
            _run(server, statements, items, schema)
        except SourceError as error:
            more = f"The files are staged; the SQL is in {sql_file}."
            raise SourceError(str(error), hint=f"{error.hint or ''} {more}".strip()) from error
    status = "published" if execute else "staged"
    return [
        {
            "table": item.name,
            "target": f"{schema}.{item.target}",
            "version": item.version,
            "rows": item.rows,
            "status": status,
        }
        for item in items
    ]


def _run(server: Server, statements: Sequence[str], items: Sequence[Publication], schema: str) -> None:
    """Run the statements in the connection's own transaction, and count before it is committed."""
    with server.connect(plain=True) as connection:
        for statement in statements:
            if statement not in ("BEGIN", "COMMIT"):
                connection.execute(statement)
        for item in items:
            rows = connection.execute(f"SELECT count(*) FROM {quoted(schema, item.target)}").fetchone()[0]
            if rows != item.rows:
                raise LedgerError(
                    f"{item.name} has {item.rows:,} rows, Redshift would hold {rows:,}: nothing is replaced."
                )


def _staged(engine: Engine, lake: Lake, item: Publication, stage: str, progress: Progress) -> str:
    """Write a table's version as Parquet files; the address of the manifest that lists them."""
    folder = f"{stage}/{item.target}/{item.table_id}/{item.version}"
    manifest = f"{folder}/manifest.json"
    files = s3_filesystem(lake.location.storage)
    try:
        if files.get_file_info(manifest.removeprefix("s3://")).is_file:
            return manifest
        entries, rows = [], 0
        for number, part in enumerate(parts(engine, lake, item)):
            address = f"{folder}/part-{number:05d}.parquet"
            table = part.cast(pa.schema([(field.name, _stored(field.type)) for field in part.schema]))
            with files.open_output_stream(address.removeprefix("s3://")) as stream:
                parquet.write_table(table, stream, compression="zstd")
            size = files.get_file_info(address.removeprefix("s3://")).size
            entries.append({"url": address, "mandatory": True, "meta": {"content_length": size}})
            rows += part.num_rows
            progress(f"staging {item.name}", rows, item.rows, "rows")
        if rows != item.rows:
            raise LedgerError(f"{item.name} has {item.rows:,} rows, {rows:,} were read.", hint="Run `tide check`.")
        with files.open_output_stream(manifest.removeprefix("s3://")) as stream:
            stream.write(json.dumps({"entries": entries}, indent=1).encode())
    except OSError as error:
        raise SourceError(
            f"--stage: {folder} cannot be written: {error}",
            hint="Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL and AWS_REGION.",
        ) from error
    return manifest


def load_statements(item: Publication, *, schema: str, manifest: str, iam_role: str) -> list[str]:
    """SQL that loads one table beside the old one and puts it in its place; no TRUNCATE, which would commit."""
    new, old = quoted(schema, f"{item.target}__new"), quoted(schema, item.target)
    lines = [f"    {quoted(field.name)} {redshift_type(field.type, item)}" for field in item.schema]
    if item.key:  # Redshift plans by it and does not enforce it
        lines.append(f"    PRIMARY KEY ({', '.join(quoted(column) for column in item.key)})")
    has_lists = any(pa.types.is_list(field.type) or pa.types.is_large_list(field.type) for field in item.schema)
    said = json.dumps({"table": item.name, "version": item.version, "id": item.table_id, "rows": item.rows})
    return [
        f"DROP TABLE IF EXISTS {new}",
        f"CREATE TABLE {new} (\n" + ",\n".join(lines) + "\n)",
        f"COPY {new}\nFROM {literal(manifest)}\nIAM_ROLE {literal(iam_role)}\nFORMAT AS PARQUET"
        + (" SERIALIZETOJSON" if has_lists else "")
        + "\nMANIFEST",
        f"DROP TABLE IF EXISTS {old}",
        f"ALTER TABLE {new} RENAME TO {quoted(item.target)}",
        f"COMMENT ON TABLE {old} IS {literal(f'tidelake: {said}')}",
    ]


def redshift_type(kind: pa.DataType, item: Publication) -> str:
    """The type of Redshift that a Parquet column of this type is loaded into.

    Raises:
        UnsupportedError: There is none.
    """
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "SUPER"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP"  # UTC; COPY from Parquet takes no TIMESTAMPTZ
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    for fits, name in _TYPES:
        if fits(kind):
            return name
    raise UnsupportedError(f"{item.name} has a column of type {kind}, which cannot be published to Redshift.")


_TYPES: tuple[tuple[Any, str], ...] = (
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_int16, "SMALLINT"),
    (pa.types.is_int32, "INTEGER"),
    (pa.types.is_int64, "BIGINT"),
    (pa.types.is_float32, "REAL"),
    (pa.types.is_float64, "DOUBLE PRECISION"),
    (pa.types.is_date, "DATE"),
    (pa.types.is_string, "VARCHAR(65535)"),
    (pa.types.is_large_string, "VARCHAR(65535)"),
    (pa.types.is_string_view, "VARCHAR(65535)"),
)


def _stored(kind: pa.DataType) -> pa.DataType:
    """The type in the Parquet file: times without a zone (UTC), plain texts."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    return pa.string() if pa.types.is_string_view(kind) else kind
