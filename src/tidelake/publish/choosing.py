"""Where a publication goes, by its address."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tidelake.engine.base import Engine, TableVersion
from tidelake.engine.progress import Progress
from tidelake.engine.result import Result
from tidelake.errors import ProjectError
from tidelake.lake import Lake
from tidelake.postgres.server import Server
from tidelake.publish.tables import publications

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ROWS = pa.schema(
    [
        ("table", pa.string()),
        ("target", pa.string()),
        ("version", pa.int64()),
        ("rows", pa.int64()),
        ("status", pa.string()),
    ]
)


def publish(
    engine: Engine,
    lake: Lake,
    root: Path,
    to: str,
    *,
    tables: Sequence[str],
    schema: str,
    stage: str | None,
    iam_role: str | None,
    sql_file: Path | None,
    execute: bool,
    progress: Progress,
) -> Result:
    """Publish tables to `to`; one row a table.

    Raises:
        ProjectError: The address is of a kind that is not known, or a setting is missing.
    """
    items = publications(lake, root, tables)
    to = _address(to)
    scheme = to.partition("://")[0]
    found: list[dict[str, Any]]
    if scheme in ("postgresql", "postgres"):
        from tidelake.publish.postgres import publish_postgres

        if stage or iam_role or sql_file or not execute:
            raise ProjectError("--stage, --iam-role, --sql and --no-execute are for redshift://.")
        found = publish_postgres(engine, lake, items, Server(to, what="--to"), schema=schema, progress=progress)
    elif scheme == "redshift":
        from tidelake.publish.redshift import publish_redshift

        if stage is None or not stage.startswith("s3://") or iam_role is None:
            raise ProjectError(
                "Redshift takes its rows from S3 and needs a role that may read there.",
                hint="Add --stage s3://bucket/prefix and --iam-role arn:aws:iam::ACCOUNT:role/NAME.",
            )
        found = publish_redshift(
            engine,
            lake,
            items,
            Server("postgresql" + to.removeprefix("redshift"), what="--to"),
            schema=schema,
            stage=stage.rstrip("/"),
            iam_role=iam_role,
            sql_file=sql_file or root / "target" / "publish_redshift.sql",
            execute=execute,
            progress=progress,
        )
    else:
        raise ProjectError(
            "The address of --to is neither postgresql:// nor redshift://.",  # not repeated: it may hold a password
            hint='Write it as postgresql://user:password@host:5432/database, from the environment: --to "$PG_URL".',
        )
    versions = tuple(TableVersion(item.name, item.version) for item in items)
    return Result(pa.Table.from_pylist(found, schema=_ROWS), sources=versions, title="Published")


def _address(to: str) -> str:
    """The address itself, or what the variable holds that `${NAME}` names: so it stands in no list of processes.

    Raises:
        ProjectError: The variable is not set.
    """
    named = _VARIABLE.fullmatch(to)
    if named is None:
        return to
    if named[1] not in os.environ:
        raise ProjectError(f"--to asks for {to}, which is not set.", hint=f"Set it: export {named[1]}=...")
    return os.environ[named[1]]
