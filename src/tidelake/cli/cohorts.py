"""`tide cohorts`: the saved cohorts of a project, their sizes and their members."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from tidelake.cli.opening import opened
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
from tidelake.cli.questions import tell
from tidelake.cli.streams import put

AtOption = Annotated[
    datetime | None,
    typer.Option(
        "--at",
        formats=["%Y-%m-%d"],
        metavar="DATE",
        help="As for a question whose first date this is; default: the day after the last complete one.",
    ),
]
NameArgument = Annotated[str, typer.Argument(help="A cohort's name: cohorts/NAME.yml.", show_default=False)]
app = typer.Typer(
    help="Saved behavioural cohorts (cohorts/NAME.yml): how large, what they mean, who is in them.",
    no_args_is_help=True,
    epilog=examples("tide cohorts list", "tide cohorts show regulars", "tide measure dau --by cohort.regulars"),
)


@app.command("list", epilog=examples("tide cohorts list", "tide cohorts list --at 2025-11-17"))
def list_cohorts(
    *,
    at: AtOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
) -> None:
    """Every cohort of the project with its size and its share of the actors."""
    tell(
        lambda session: session.cohorts(at=at and at.date()),
        project=project,
        target=target,
        as_of=as_of,
        engine=engine,
        form=form,
        output=output,
        limit=limit,
        chart=None,
    )


@app.command(epilog=examples("tide cohorts show regulars", "tide cohorts show regulars --at 2025-11-17"))
def show(
    name: NameArgument,
    *,
    at: AtOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
) -> None:
    """One cohort: its definition, its size, and the SQL that finds its members."""
    from tidelake.cli.built import panel
    from tidelake.cli.metrics import definition_lines
    from tidelake.engine.sql import pretty

    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        result = session.cohorts(name, at=at and at.date())
    if form is not FormatName.table or output is not None:
        emit(result, form=form, output=output)
        return
    panel(result.title, definition_lines(result))
    for text in filter(None, (result.sql and pretty(result.sql), *result.notes)):
        put(f"\n{text}")


@app.command(epilog=examples("tide cohorts members regulars --output actors.csv"))
def members(
    name: NameArgument,
    *,
    at: AtOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
) -> None:
    """The actors of a cohort, one a row."""
    tell(
        lambda session: session.cohorts(name, at=at and at.date(), members=True),
        project=project,
        target=target,
        as_of=as_of,
        engine=engine,
        form=form,
        output=output,
        limit=limit,
        chart=None,
    )
