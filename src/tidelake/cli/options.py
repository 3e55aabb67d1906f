"""Options that many commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tidelake.charts.files import ENDINGS as CHARTS
from tidelake.errors import ProjectError


class FormatName(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


SHOWN = 50  # rows of a table on a terminal
ENDINGS = {
    ".csv": FormatName.csv,
    ".json": FormatName.json,
    ".parquet": FormatName.parquet,
    ".txt": FormatName.table,
}


def checked_output(output: Path | None) -> Path | None:
    """The file to write, known to be possible before any work is done.

    Raises:
        ProjectError: Its folder is not there, or it is a folder itself.
    """
    if output is not None and output.is_dir():
        raise ProjectError(f"--output {output} is a folder.", hint="Name a file in it.")
    if output is not None and not output.parent.is_dir():
        raise ProjectError(
            f"--output {output}: there is no folder {output.parent}.", hint="Make the folder, or check its name."
        )
    return output


def checked_chart(chart: Path | None) -> Path | None:
    """The chart to draw, known to be possible before any work is done.

    Raises:
        ProjectError: Its folder is not there, or its name does not say a format.
    """
    if chart is not None and chart.suffix.lower() not in CHARTS:
        raise ProjectError(f"--chart {chart}: its name does not say a format.", hint=f"End it in {', '.join(CHARTS)}.")
    if chart is not None and not chart.parent.is_dir():
        raise ProjectError(f"--chart {chart}: there is no folder {chart.parent}.", hint="Make it, or check its name.")
    return chart


def chosen_format(context: typer.Context, form: FormatName) -> FormatName:
    """The format that was asked for, else the one of the file's name, else a table.

    Raises:
        ProjectError: The file's name says another format than --format, or none and there is no --format.
    """
    output: Path | None = context.params.get("output")  # eager, so it is known here
    source = context.get_parameter_source("form")
    is_given = source is not None and source.name != "DEFAULT"
    if output is None:
        return form
    named = ENDINGS.get(output.suffix.lower())
    if not is_given and named is None:
        raise ProjectError(
            f"--output {output}: its name does not say which format to write.",
            hint=f"Add --format, or end the name in {', '.join(ENDINGS)}.",
        )
    if is_given and named not in (None, form):
        raise ProjectError(
            f"--output {output} is a name for {named}, but --format is {form}.",
            hint="Change one of them, or leave out --format.",
        )
    return form if named is None else named


class EngineName(StrEnum):
    """What runs the SQL."""

    duckdb = "duckdb"
    spark = "spark"


_WHERE = "Where"
_HOW = "Output"

ProjectOption = Annotated[
    Path,
    typer.Option(
        "--project",
        "-p",
        metavar="PATH",
        help="The project: its folder or its tide.yml; default: here or above.",
        show_default=False,
        rich_help_panel=_WHERE,
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option("--target", metavar="NAME", help="Another lake, as named in tide.yml.", rich_help_panel=_WHERE),
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="TIME",
        help="Read the lake as it was: at a time (2025-11-17T08:00:00Z), by a build's number, or newest: as it is.",
        rich_help_panel=_WHERE,
    ),
]
EngineOption = Annotated[
    EngineName | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="What runs the SQL: duckdb or spark; default: tide.yml's.",
        rich_help_panel=_WHERE,
    ),
]
FormatOption = Annotated[
    FormatName,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        help="table, json, csv or parquet; default: as the file's name ends, else table.",
        callback=chosen_format,
        show_default=False,
        rich_help_panel=_HOW,
    ),
]
ChartOption = Annotated[
    Path | None,
    typer.Option(
        "--chart",
        metavar="FILE",
        help="Draw it too: FILE.png, .svg or .html (works offline).",
        callback=checked_chart,
        rich_help_panel=_HOW,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write there instead of to stdout.",
        callback=checked_output,
        is_eager=True,
        rich_help_panel=_HOW,
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=0,
        metavar="N",
        help=f"Rows that a table shows; 0 = all; default: {SHOWN} on a terminal, all in a file or a pipe. The other "
        "formats always hold all.",
        show_default=False,
        rich_help_panel=_HOW,
    ),
]


def flag(*names: str, help: str, **more: Any) -> Any:  # noqa: A002 - typer's own word
    """An option that is given or not."""
    return typer.Option(*names, metavar="", help=help, **more)


HERE = Path(".")


def examples(*lines: str) -> str:
    """The examples below a command's help, one a line."""
    return "\n".join(["[bold]Examples[/bold]", "", *(f"  {line}" for line in lines)])


def help_of(command: Callable[..., None]) -> str:
    """A command's help: its docstring, each paragraph on one line so that the terminal breaks it."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
