"""`tide lifecycle`, `tide power-curve`, `tide stickiness`: how a user base renews itself, and how often it comes."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

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

LIFECYCLE_EXAMPLES = examples(
    "tide lifecycle --grain week",
    "tide lifecycle --grain month --by region --segment first",
    "tide lifecycle --members churned --from 2025-11-17 --to 2025-11-17 --output churned.csv",
)
POWER_CURVE_EXAMPLES = examples(
    "tide power-curve", "tide power-curve --window 7 --at 2025-11-16", "tide power-curve --by region --format csv"
)
STICKINESS_EXAMPLES = examples(
    "tide stickiness --grain week", "tide stickiness --method day --by region", "tide stickiness --window 7"
)


class Grain(StrEnum):
    """Length of a period."""

    day = "day"
    week = "week"
    month = "month"


class SegmentRule(StrEnum):
    """Under which value of a dimension an actor counts."""

    any = "any"
    first = "first"
    last = "last"


class NewBy(StrEnum):
    """What tells a new actor from one that was there before the data begin."""

    first_activity = "first_activity"
    signup_date = "signup_date"
    first_any_event = "first_any_event"


class Method(StrEnum):
    """Which stickiness."""

    avg = "avg"
    day = "day"


ByOption = Annotated[
    list[str] | None, typer.Option("--by", metavar="DIM", help="Cut by a dimension; may be given again.")
]
SegmentOption = Annotated[
    SegmentRule,
    typer.Option("--segment", metavar="NAME", help="any value of the period, or the actor's first or last one."),
]
GrainOption = Annotated[Grain, typer.Option("--grain", metavar="NAME", help="day, week or month.")]
WhereOption = Annotated[
    str | None, typer.Option("--where", metavar="SQL", help="Only events for which this is true make active.")
]
FromOption = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], metavar="DATE", help="First local date; default: all."),
]
ToOption = Annotated[
    datetime | None,
    typer.Option("--to", formats=["%Y-%m-%d"], metavar="DATE", help="Last local date; default: all."),
]
AtOption = Annotated[
    datetime | None,
    typer.Option("--at", formats=["%Y-%m-%d"], metavar="DATE", help="Last day looked at; default: last complete."),
]


def lifecycle(
    *,
    grain: GrainOption = Grain.week,
    by: ByOption = None,
    segment: SegmentOption = SegmentRule.any,
    start: FromOption = None,
    end: ToOption = None,
    where: WhereOption = None,
    new_by: Annotated[
        NewBy,
        typer.Option("--new-by", metavar="NAME", help="What tells new: first_activity, signup_date, first_any_event."),
    ] = NewBy.first_activity,
    warmup: Annotated[
        int, typer.Option("--warmup", min=0, metavar="DAYS", help="At the data's start nobody is called new.")
    ] = 28,
    signup: Annotated[
        str | None, typer.Option("--signup", metavar="SOURCE.COLUMN", help="Where signup dates are.")
    ] = None,
    members: Annotated[
        str | None, typer.Option("--members", metavar="STATE", help="The actors of a state: new, churned ...")
    ] = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
    chart: ChartOption = None,
) -> None:
    """Who of each period's users is new, returning or resurrected, and who churned."""
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        result = session.lifecycle(
            members=members,
            grain=grain.value,
            by=tuple(by or ()),
            segment=segment.value,
            start=_date(start),
            end=_date(end),
            where=where,
            new_by=new_by.value,
            warmup_days=warmup,
            signup=signup,
        )
        from tidelake.metrics.lifecycle import side_by_side

        read = side_by_side if members is None else None
        show(session, result, form=form, output=output, limit=limit, chart=chart, read=read)


def power_curve(
    *,
    window: Annotated[int, typer.Option("--window", metavar="DAYS", help="28 (L28), 7, 30 ...")] = 28,
    at: AtOption = None,
    power: Annotated[
        int | None, typer.Option("--power", metavar="DAYS", help="Active days of a power user; default: 3/4.")
    ] = None,
    by: ByOption = None,
    segment: SegmentOption = SegmentRule.any,
    where: WhereOption = None,
    members: Annotated[bool, flag("--members", help="The actors, each with its active days.")] = False,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
    chart: ChartOption = None,
) -> None:
    """On how many of the last 28 days each user was active (L28), and how many are power users."""
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        result = session.power_curve(
            members=members,
            at=_date(at),
            window_days=window,
            power_days=power,
            by=tuple(by or ()),
            segment=segment.value,
            where=where,
        )
        from tidelake.metrics.power_curve import for_reader

        read = None if members else for_reader
        show(session, result, form=form, output=output, limit=limit, chart=chart, read=read)


def stickiness(
    *,
    method: Annotated[
        Method, typer.Option("--method", metavar="NAME", help="avg: mean DAU of 28 days / MAU_28; day: DAU / MAU.")
    ] = Method.avg,
    window: Annotated[
        int | None, typer.Option("--window", metavar="DAYS", help="Days of MAU; default: 28, for day 30.")
    ] = None,
    grain: GrainOption = Grain.day,
    by: ByOption = None,
    segment: SegmentOption = SegmentRule.any,
    start: FromOption = None,
    end: ToOption = None,
    where: WhereOption = None,
    members: Annotated[
        datetime | None, typer.Option("--members", formats=["%Y-%m-%d"], metavar="DATE", help="The actors of a date.")
    ] = None,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
    chart: ChartOption = None,
) -> None:
    """How much of a month's users a day has; every row says whether its days are complete."""
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        asked: dict[str, Any] = {"method": method.value, "window_days": window, "by": tuple(by or ())}
        asked |= {"segment": segment.value, "where": where}
        result = (
            session.stickiness(grain=grain.value, start=_date(start), end=_date(end), **asked)
            if members is None
            else session.stickiness(members=members.date(), **asked)
        )
        show(session, result, form=form, output=output, limit=limit, chart=chart)


def _date(given: datetime | None) -> date | None:
    return None if given is None else given.date()
