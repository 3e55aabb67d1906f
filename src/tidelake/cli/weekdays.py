"""`tide weekdays`: how a week is spread over its days."""

from __future__ import annotations

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
    "tide weekdays views",
    "tide weekdays dau --by region",
    "tide weekdays views --by entity --format csv",
)


def weekdays(
    metric: MetricArgument,
    *,
    by: EntityOption = None,
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
    """How far each weekday lies above or below the mean of its week, over complete weeks."""
    tell(
        lambda session: session.weekdays(
            metric,
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
