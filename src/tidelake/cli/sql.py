"""`tide sql`: one SELECT over the lake's tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tidelake.cli.opening import opened, say_unfinished
from tidelake.cli.options import (
    HERE,
    AsOfOption,
    EngineOption,
    FormatName,
    FormatOption,
    LimitOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    examples,
)
from tidelake.cli.output import emit
from tidelake.errors import ProjectError

EXAMPLES = examples(
    'tide sql "SELECT event_name, count(*) AS events FROM silver.app GROUP BY event_name"',
    "tide sql models/weekly.sql --output weekly.parquet",
    "echo 'SELECT 1 AS one' | tide sql - --format json",
)


def sql(
    query: Annotated[
        str, typer.Argument(help="One SELECT, a file that holds one, or - for stdin.", show_default=False)
    ],
    *,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A text for $NAME in the query; may be given again."),
    ] = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
) -> None:
    """One SELECT, read-only, over every table and model of the lake by its name (layer.table)."""
    text, values = query_text(query), parameters(param or [])
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        emit(session.sql(text, values or None), form=form, output=output, limit=limit)
        say_unfinished(session)


def query_text(query: str) -> str:
    """The SELECT: from stdin for `-`, from a file where one has that name, else the words themselves.

    Raises:
        ProjectError: A name that ends in `.sql` and is no file.
    """
    if query == "-":
        return sys.stdin.read()
    path = Path(query)
    try:
        is_file = path.is_file()
    except OSError:  # the words are longer than a name can be
        return query
    if is_file:
        return path.read_text(encoding="utf-8")
    if path.suffix == ".sql" and "\n" not in query:
        raise ProjectError(f"There is no file {query}.", hint="Give a file, or a SELECT in quotes.")
    return query


def parameters(given: list[str]) -> dict[str, str]:
    """`NAME=VALUE` words as a mapping.

    Raises:
        ProjectError: A word without `=`.
    """
    found = {}
    for word in given:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise ProjectError(f"--param {word}: there is no NAME=VALUE in it.", hint="Write --param region=EU.")
        found[name] = value
    return found
