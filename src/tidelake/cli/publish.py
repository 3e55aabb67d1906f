"""`tide publish`: gold and the project's own tables in a warehouse that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidelake.cli.meter import meter
from tidelake.cli.opening import opened
from tidelake.cli.options import (
    HERE,
    FormatName,
    FormatOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    examples,
    flag,
)
from tidelake.cli.output import emit

EXAMPLES = examples(
    "tide publish --to '${PG_URL}'",
    "tide publish --to '${PG_URL}' --table gold.user_day --schema marts",
    "tide publish --to '${REDSHIFT_URL}' --stage s3://bucket/stage --iam-role arn:aws:iam::1:role/load --no-execute",
)


def publish(
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="ADDRESS",
            help="postgresql://... or redshift://..., or '${NAME}': the variable that holds it.",
            show_default=False,
        ),
    ],
    table: Annotated[
        list[str] | None,
        typer.Option("--table", "-t", metavar="TABLE", help="Only this table (gold.user_day); may be given again."),
    ] = None,
    schema: Annotated[str, typer.Option("--schema", metavar="NAME", help="Where the tables go there.")] = "tidelake",
    stage: Annotated[
        str | None, typer.Option("--stage", metavar="S3", help="Redshift: s3://bucket/prefix for the Parquet files.")
    ] = None,
    iam_role: Annotated[
        str | None, typer.Option("--iam-role", metavar="ARN", help="Redshift: role that may read the stage.")
    ] = None,
    sql_file: Annotated[
        Path | None, typer.Option("--sql", metavar="FILE", help="Redshift: where the SQL is written.")
    ] = None,
    no_execute: Annotated[bool, flag("--no-execute", help="Redshift: write files and SQL, run nothing.")] = False,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """Bring tables of a warehouse to the lake's state, all at once; what has this version already stays untouched."""
    with opened(project, target=target) as session:
        with meter() as progress:
            result = session.publish(
                to,
                tables=tuple(table or ()),
                schema=schema,
                stage=stage,
                iam_role=iam_role,
                sql_file=sql_file,
                execute=not no_execute,
                progress=progress,
            )
        emit(result, form=form, output=output)
