"""`tide funnel`, `tide activation`, `tide adoption`: how far actors come, how soon, and who uses what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import typer

from tidelake.cli.options import examples, flag
from tidelake.cli.questions import Given, Grain, date_option, question
from tidelake.errors import DefinitionError

EXAMPLES = examples(
    "tide funnel --step app_open --step 'video_play where content_id is not null' --window 1d",
    "tide funnel --step app_open --step video_play --by region --grain week",
    "tide funnel --step app_open --step home_impression --step video_play --exclude app_close --attempt first",
)
ACTIVATION_EXAMPLES = examples(
    "tide activation video_play --within 1d --grain week",
    "tide activation video_play --times 3 --by region",
    "tide activation --session 'watch_seconds >= 30' --warmup 0",
)
ADOPTION_EXAMPLES = examples(
    "tide adoption video_seek --grain week",
    "tide adoption video_seek --introduced-in 1.10 --by device",
    "tide adoption video_seek --exposure video_play",
)
_CUT = "Cut"


def cut(
    *,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="DIM", help="Cut by a dimension; may be given again.", rich_help_panel=_CUT),
    ] = None,
    grain: Annotated[
        Grain | None,
        typer.Option(
            "--grain",
            metavar="NAME",
            help="day, week or month; default: the whole range in one.",
            show_default=False,
            rich_help_panel=_CUT,
        ),
    ] = None,
    start: Annotated[
        datetime | None, date_option("--from", "First local date; default: all.", rich_help_panel=_CUT)
    ] = None,
    end: Annotated[datetime | None, date_option("--to", "Last local date; default: all.", rich_help_panel=_CUT)] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="SQL", help="Only events for which this is true.", rich_help_panel=_CUT),
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option("--actor", metavar="LEVEL", help="Another actor level, such as account.", rich_help_panel=_CUT),
    ] = None,
    members: Annotated[bool, flag("--members", help="The actors behind the numbers.", rich_help_panel=_CUT)] = False,
) -> None:
    """Options: what is counted, and how it is cut."""


def _with_touch(given: Given) -> Given:
    touch = given["touch"]
    return {**given, "touch": int(touch) if touch.isdigit() else touch}


@question(cut, asked=_with_touch)
def funnel(
    *,
    steps: Annotated[
        list[str],
        typer.Option("--step", metavar="EVENT", help="A step: EVENT, 'EVENT where SQL'; give two or more, in order."),
    ],
    window: Annotated[str, typer.Option("--window", metavar="TIME", help="From the first step: 1h, 7d.")] = "7d",
    order: Annotated[
        Literal["ordered", "strict", "any"],
        typer.Option("--order", metavar="NAME", help="ordered, strict (nothing between) or any."),
    ] = "ordered",
    attempt: Annotated[
        Literal["best", "first"], typer.Option("--attempt", metavar="NAME", help="An actor's best entry, or its first.")
    ] = "best",
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="EVENT", help="Ends an attempt; '2-3: EVENT' = only between these steps."),
    ] = None,
    hold: Annotated[
        list[str] | None, typer.Option("--hold", metavar="COLUMN", help="Has the same value in all steps.")
    ] = None,
    count: Annotated[
        Literal["actor", "held", "entry"],
        typer.Option("--count", metavar="NAME", help="Once: each actor, held value, or entry."),
    ] = "actor",
    simultaneity: Annotated[
        str, typer.Option("--simultaneity", metavar="TIME", help="How much too early a step may come.")
    ] = "0s",
    touch: Annotated[
        str, typer.Option("--touch", metavar="WHICH", help="--by the value at entry, first, last, or a step's number.")
    ] = "entry",
) -> None:
    """How many of those who began came how far, and how long it took them."""


def _one_criterion(given: Given) -> Given:
    if ("criterion" in given) == ("session" in given):
        raise DefinitionError(
            "tide activation needs an event or --session, and not both: what makes a new actor an active one.",
            hint="tide activation video_play, or tide activation --session 'watch_seconds >= 30'",
        )
    warmup = given["warmup"]
    return {**given, "warmup": f"{warmup}d" if warmup.isdigit() else warmup}


@question(cut, asked=_one_criterion)
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
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="SQL", help="In place of an event: what the first session must fulfil."),
    ] = None,
    warmup: Annotated[
        str, typer.Option("--warmup", metavar="DAYS", help="Who is first seen so soon after the data begin is not new.")
    ] = "28",
) -> None:
    """The share of new actors who do something soon after they first appear."""


@question(cut)
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
) -> None:
    """The share of actors who could use a feature and did, how much, how soon, and for how long."""
