"""`tide diversity`: how evenly a total is spread over categories."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelake.cli.measure import Grain
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
from tidelake.cli.questions import ByOption, FromOption, MetricArgument, ToOption, WhereOption, tell

EXAMPLES = examples(
    "tide diversity views --grain month",
    "tide diversity events --of content_id --grain week",
    "tide diversity plays --of region --by device",
)


def diversity(
    metric: MetricArgument,
    *,
    of: Annotated[str, typer.Option("--of", metavar="DIM", help="The categories: entity, or a dimension.")] = "entity",
    by: ByOption = None,
    grain: Annotated[Grain, typer.Option("--grain", help="day, week or month.")] = Grain.day,
    top: Annotated[int, typer.Option("--top", min=1, metavar="K", help="How many categories top_k_share has.")] = 10,
    members: Annotated[bool, flag("--members", help="The actors behind the weights instead.")] = False,
    start: FromOption = None,
    end: ToOption = None,
    where: WhereOption = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
    chart: ChartOption = None,
) -> None:
    """How evenly a period's total is spread: diversity, HHI, effective number, Shannon, share of the largest."""
    tell(
        lambda session: session.diversity(
            metric,
            of=of,
            top_k=top,
            by=tuple(by or ()),
            grain=grain.value,
            members=members,
            start=start,
            end=end,
            where=where,
        ),
        project=project,
        target=target,
        as_of=as_of,
        engine=engine,
        form=form,
        output=output,
        limit=limit,
        chart=chart,
    )
