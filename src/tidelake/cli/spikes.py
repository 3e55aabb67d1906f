"""`tide spikes`: days far from what their weekday had before."""

from __future__ import annotations

from typing import Annotated

import typer

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
from tidelake.cli.questions import EntityOption, FromOption, MetricArgument, ToOption, WhereOption, tell

EXAMPLES = examples(
    "tide spikes views",
    "tide spikes views --by entity --from 2016-12-01",
    "tide spikes events --by region --z 8",
)


def spikes(
    metric: MetricArgument,
    *,
    by: EntityOption = None,
    z: Annotated[
        float, typer.Option("--z", metavar="N", help="How far a spike lies, in robust standard deviations.")
    ] = 5.0,
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
    """Days that lie far above or below the same weekday of the weeks before."""
    tell(
        lambda session: session.spikes(
            metric,
            z=z,
            by=tuple(by or ()),
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
