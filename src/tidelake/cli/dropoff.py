"""`tide dropoff`: sessions that end early, and for whom."""

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
from tidelake.cli.questions import ByOption, FromOption, ToOption, WhereOption, tell

EXAMPLES = examples(
    "tide dropoff --by device_os --by app_version",
    "tide dropoff --by device --by region --below 30 --from 2025-11-01",
)


def dropoff(
    *,
    by: ByOption = None,
    below: Annotated[
        float, typer.Option("--below", metavar="SECONDS", help="A session drops off with fewer seconds watched.")
    ] = 10.0,
    abnormal: Annotated[
        float, typer.Option("--abnormal", metavar="SHARE", help="The least difference that is called abnormal.")
    ] = 0.02,
    same: Annotated[float, typer.Option("--same", metavar="SHARE", help="Differences within this are none.")] = 0.05,
    members: Annotated[bool, flag("--members", help="The actors behind the numbers instead.")] = False,
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
    """Sessions with little watched, by two dimensions, each value tested against the rest."""
    tell(
        lambda session: session.dropoff(
            by=tuple(by or ()),
            threshold_seconds=below,
            abnormal_difference=abnormal,
            same_margin=same,
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
