"""`tide funnel`, `tide activation`, `tide adoption`: how far actors come, how soon, and who uses what."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from tidelake.cli.measure import Grain
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
from tidelake.errors import DefinitionError

if TYPE_CHECKING:
    pass

EXAMPLES = examples(
    "tide funnel --step app_open --step 'video_play where content_id is not null' --window 1d",
    "tide funnel --step app_open --step video_play --by region --grain week",
    "tide funnel --step app_open --step search --step video_play --exclude app_close --attempt first",
)
ACTIVATION_EXAMPLES = examples(
    "tide activation video_play --within 1d --grain week",
    "tide activation video_play --times 3 --by region",
    "tide activation --session 'watch_seconds >= 30' --warmup 0",
)
ADOPTION_EXAMPLES = examples(
    "tide adoption search --grain week",
    "tide adoption share --introduced-in 1.10 --by device",
    "tide adoption share --exposure share_button_shown",
)


class Order(StrEnum):
    """How the steps follow each other."""

    ordered = "ordered"
    strict = "strict"
    any = "any"


class Attempt(StrEnum):
    """Which entry of an actor counts."""

    best = "best"
    first = "first"


class Count(StrEnum):
    """What counts once."""

    actor = "actor"
    held = "held"
    entry = "entry"


_CUT = "Cut"
ByOption = Annotated[
    list[str] | None,
    typer.Option("--by", metavar="DIM", help="Cut by a dimension; may be given again.", rich_help_panel=_CUT),
]
GrainOption = Annotated[
    Grain | None,
    typer.Option(
        "--grain",
        metavar="NAME",
        help="day, week or month; default: the whole range in one.",
        show_default=False,
        rich_help_panel=_CUT,
    ),
]
StartOption = Annotated[
    datetime | None,
    typer.Option(
        "--from", formats=["%Y-%m-%d"], metavar="DATE", help="First local date; default: all.", rich_help_panel=_CUT
    ),
]
EndOption = Annotated[
    datetime | None,
    typer.Option(
        "--to", formats=["%Y-%m-%d"], metavar="DATE", help="Last local date; default: all.", rich_help_panel=_CUT
    ),
]
WhereOption = Annotated[
    str | None,
    typer.Option("--where", metavar="SQL", help="Only events for which this is true.", rich_help_panel=_CUT),
]
MembersOption = Annotated[bool, flag("--members", help="The actors behind the numbers.", rich_help_panel=_CUT)]


def funnel(
    *,
    step: Annotated[
        list[str],
        typer.Option("--step", metavar="EVENT", help="A step: EVENT, 'EVENT where SQL'; give two or more, in order."),
    ],
    window: Annotated[str, typer.Option("--window", metavar="TIME", help="From the first step: 1h, 7d.")] = "7d",
    order: Annotated[
        Order, typer.Option("--order", metavar="NAME", help="ordered, strict (nothing between) or any.")
    ] = Order.ordered,
    attempt: Annotated[
        Attempt, typer.Option("--attempt", metavar="NAME", help="An actor's best entry, or its first.")
    ] = Attempt.best,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="EVENT", help="Ends an attempt; '2-3: EVENT' = only between these steps."),
    ] = None,
    hold: Annotated[
        list[str] | None, typer.Option("--hold", metavar="COLUMN", help="Has the same value in all steps.")
    ] = None,
    count: Annotated[
        Count, typer.Option("--count", metavar="NAME", help="Once: each actor, held value, or entry.")
    ] = Count.actor,
    simultaneity: Annotated[
        str, typer.Option("--simultaneity", metavar="TIME", help="How much too early a step may come.")
    ] = "0s",
    touch: Annotated[
        str, typer.Option("--touch", metavar="WHICH", help="--by the value at entry, first, last, or a step's number.")
    ] = "entry",
    by: ByOption = None,
    grain: GrainOption = None,
    start: StartOption = None,
    end: EndOption = None,
    where: WhereOption = None,
    members: MembersOption = False,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
    chart: ChartOption = None,
) -> None:
    """How many of those who began came how far, and how long it took them."""
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        result = session.funnel(
            step,
            window=window,
            order=order.value,
            attempt=attempt.value,
            exclude=tuple(exclude or ()),
            hold=tuple(hold or ()),
            count=count.value,
            simultaneity=simultaneity,
            touch=int(touch) if touch.isdigit() else touch,
            by=tuple(by or ()),
            grain=None if grain is None else grain.value,
            start=_date(start),
            end=_date(end),
            where=where,
            members=members,
        )
        show(session, result, form=form, output=output, limit=limit, chart=chart)


def activation(
    criterion: Annotated[
        str | None, typer.Argument(help="The event that activates: EVENT, 'EVENT where SQL'.", show_default=False)
    ] = None,
    *,
    times: Annotated[int, typer.Option("--times", metavar="N", help="How often, at least.")] = 1,
    within: Annotated[
        str | None,
        typer.Option("--within", metavar="TIME", help="Of the first activity; default: 7d.", show_default=False),
    ] = None,
    session_condition: Annotated[
        str | None,
        typer.Option("--session", metavar="SQL", help="In place of an event: what the first session must fulfil."),
    ] = None,
    warmup: Annotated[
        str, typer.Option("--warmup", metavar="DAYS", help="Who is first seen so soon after the data begin is not new.")
    ] = "28",
    by: ByOption = None,
    grain: GrainOption = None,
    start: StartOption = None,
    end: EndOption = None,
    where: WhereOption = None,
    members: MembersOption = False,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
    chart: ChartOption = None,
) -> None:
    """The share of new actors who do something soon after they first appear."""
    if (criterion is None) == (session_condition is None):
        raise DefinitionError(
            "tide activation needs an event or --session, and not both: what makes a new actor an active one.",
            hint="tide activation video_play, or tide activation --session 'watch_seconds >= 30'",
        )
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        result = session.activation(
            criterion,
            times=times,
            within=within,
            session=session_condition,
            warmup=f"{warmup}d" if warmup.isdigit() else warmup,
            by=tuple(by or ()),
            grain=None if grain is None else grain.value,
            start=_date(start),
            end=_date(end),
            where=where,
            members=members,
        )
        show(session, result, form=form, output=output, limit=limit, chart=chart)


def adoption(
    feature: Annotated[str, typer.Argument(help="The event that is a use: EVENT, 'EVENT where SQL'.")],
    *,
    introduced_in: Annotated[
        str | None,
        typer.Option("--introduced-in", metavar="VERSION", help="Eligible: who was active with it or a later one."),
    ] = None,
    version: Annotated[
        str, typer.Option("--version-column", metavar="COLUMN", help="Where the version stands.")
    ] = "app_version",
    exposure: Annotated[
        str | None, typer.Option("--exposure", metavar="EVENT", help="Eligible: who has had this event.")
    ] = None,
    weeks: Annotated[
        int, typer.Option("--weeks", metavar="N", help="Retained: used again in the week that begins N weeks later.")
    ] = 4,
    by: ByOption = None,
    grain: GrainOption = None,
    start: StartOption = None,
    end: EndOption = None,
    where: WhereOption = None,
    members: MembersOption = False,
    project: ProjectOption = HERE,
    target: TargetOption = None,
    as_of: AsOfOption = None,
    engine: EngineOption = None,
    form: FormatOption = FormatName.table,
    output: OutputOption = None,
    limit: LimitOption = None,
    chart: ChartOption = None,
) -> None:
    """The share of actors who could use a feature and did, how much, how soon, and for how long."""
    with opened(project, target=target, engine=engine, as_of=as_of) as session:
        result = session.adoption(
            feature,
            introduced_in=introduced_in,
            version=version,
            exposure=exposure,
            weeks=weeks,
            by=tuple(by or ()),
            grain=None if grain is None else grain.value,
            start=_date(start),
            end=_date(end),
            where=where,
            members=members,
        )
        show(session, result, form=form, output=output, limit=limit, chart=chart)


def _date(given: datetime | None) -> date | None:
    return None if given is None else given.date()
