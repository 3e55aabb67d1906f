"""`tide measure`: a metric over time, by any dimension."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from tidelake.cli.opening import opened
from tidelake.cli.options import (
    HERE,
    AsOfOption,
    ChartOption,
    EngineOption,
    FormatName,
    FormatOption,
    LimitOption,
    OutputOption,
    ProjectOption,
    TargetOption,
    examples,
    flag,
)
from tidelake.cli.questions import show

EXAMPLES = examples(
    "tide measure dau",
    "tide measure views --grain week --from 2016-01-01 --to 2016-03-31",
    "tide measure dau --by region --by device --output dau.csv",
    "tide measure dau --by region --chart dau.png",
    "tide measure events --where \"event_name = 'video_play'\"",
    "tide measure plays_per_user --grain week --compare previous",
    "tide measure dau --from 2025-11-17 --to 2025-11-17 --members --output actors.csv",
)


class Compared(StrEnum):
    """The earlier period beside each."""

    previous = "previous"
    year = "year"


class Grain(StrEnum):
    """Length of a period."""

    day = "day"
    week = "week"
    month = "month"


def measure(
    metric: Annotated[
        str, typer.Argument(help="dau, events, sessions ...: `tide metrics list` has them all.", show_default=False)
    ],
    *,
    by: Annotated[
        list[str] | None, typer.Option("--by", metavar="DIM", help="Cut by a dimension; may be given again.")
    ] = None,
    grain: Annotated[Grain, typer.Option("--grain", help="day, week or month.")] = Grain.day,
    start: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], metavar="DATE", help="First local date; default: all."),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], metavar="DATE", help="Last local date; default: all."),
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help="Count only rows for which this is true.")
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option("--actor", metavar="LEVEL", help="Count another actor level of tide.yml, such as account."),
    ] = None,
    compare: Annotated[
        Compared | None,
        typer.Option("--compare", help="Beside the week (month) before, or the year before: same weekdays."),
    ] = None,
    elapsed: Annotated[
        bool, flag("--elapsed", help="With --compare: open periods beside the same elapsed part of the earlier one.")
    ] = False,
    members: Annotated[bool, flag("--members", help="The actors behind the numbers, with their parts.")] = False,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
    chart: ChartOption = None,
) -> None:
    """A metric over time, by any dimension; every row says whether its period is complete."""
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        result = session.measure(
            metric,
            by=tuple(by or ()),
            grain=grain.value,
            start=None if start is None else start.date(),
            end=None if end is None else end.date(),
            where=where,
            actor=actor,
            compare=None if compare is None else compare.value,
            elapsed=elapsed,
            members=members,
        )
        show(session, result, form=form, output=output, limit=limit, chart=chart)
