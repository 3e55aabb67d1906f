"""`tide trend`: whether a metric rises or falls, and how fast."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelake.cli.lifecycle import AtOption, ByOption, WhereOption
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
)
from tidelake.cli.questions import show

EXAMPLES = examples("tide trend", "tide trend sessions --days 28", "tide trend dau --by region --at 2025-11-16")


def trend(
    metric: Annotated[str, typer.Argument(help="A metric of a day: dau, events, sessions ...")] = "dau",
    *,
    days: Annotated[int, typer.Option("--days", metavar="N", help="How many dates are looked at.")] = 56,
    at: AtOption = None,
    by: ByOption = None,
    where: WhereOption = None,
    min_change: Annotated[
        float, typer.Option("--min-change", metavar="SHARE", help="From this change a week on it is a trend.")
    ] = 0.01,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
    chart: ChartOption = None,
) -> None:
    """Whether a metric rises or falls: its change a week with an interval, and a verdict."""
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        result = session.trend(
            metric,
            days=days,
            at=None if at is None else at.date(),
            by=tuple(by or ()),
            where=where,
            min_change=min_change,
        )
        show(session, result, form=form, output=output, limit=limit, chart=chart)
