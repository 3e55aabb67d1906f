"""`tide streaks`: how many days in a row."""

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
    flag,
)
from tidelake.cli.questions import EntityOption, FromOption, MetricArgument, ToOption, WhereOption, tell

EXAMPLES = examples(
    "tide streaks views",
    "tide streaks views --by entity --format csv",
    "tide streaks views --by entity --each --limit 20",
    "tide streaks plays --by region --above 100",
)


def streaks(
    metric: MetricArgument,
    *,
    by: EntityOption = None,
    above: Annotated[
        float, typer.Option("--above", metavar="N", help="A day belongs to a streak with more than this.")
    ] = 0.0,
    each: Annotated[bool, flag("--each", help="One row a streak, the longest first.")] = False,
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
    """How many days in a row had something, with what was seen only in part counted as such."""
    tell(
        lambda session: session.streaks(
            metric,
            threshold=above,
            each=each,
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
