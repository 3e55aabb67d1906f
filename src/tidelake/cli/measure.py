"""`tide measure`: a metric over time, by any dimension."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
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

EXAMPLES = examples(
    "tide measure dau",
    "tide measure views --grain week --from 2016-01-01 --to 2016-03-31",
    "tide measure dau --by region --by device --output dau.csv",
    "tide measure events --where \"event_name = 'video_play'\"",
)


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
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
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
        )
        if form is FormatName.table:
            from tidelake.metrics.reading import for_reading

            result = for_reading(result)
        emit(result, form=form, output=output, limit=limit)
        say_unfinished(session)
