"""Options that many commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class FormatName(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


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
    typer.Option("--format", "-f", metavar="NAME", help="table, json, csv or parquet.", rich_help_panel=_HOW),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to stdout.", rich_help_panel=_HOW),
]
LimitOption = Annotated[
    int,
    typer.Option(
        "--limit",
        min=0,
        metavar="N",
        help="Rows that a table shows; 0 = all. The other formats always hold all.",
        rich_help_panel=_HOW,
    ),
]


def flag(*names: str, help: str, **more: Any) -> Any:  # noqa: A002 - typer's own word
    """An option that is given or not."""
    return typer.Option(*names, metavar="", help=help, **more)


HERE = Path(".")
SHOWN = 50


def examples(*lines: str) -> str:
    """The examples below a command's help, one a line."""
    return "\n".join(["[bold]Examples[/bold]", "", *(f"  {line}" for line in lines)])


def help_of(command: Callable[..., None]) -> str:
    """A command's help: its docstring, each paragraph on one line so that the terminal breaks it."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
