"""`tide lifecycle`, `tide power-curve`, `tide stickiness`: how a user base renews itself, and how often it comes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import typer

from tidelake.cli.options import examples, flag
from tidelake.cli.questions import (
    AtOption,
    ByOption,
    FromOption,
    Given,
    Grain,
    SegmentOption,
    ToOption,
    date_option,
    leveled,
    question,
)

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

GrainOption = Annotated[Grain, typer.Option("--grain", metavar="NAME", help="day, week or month.")]
ActiveWhereOption = Annotated[
    str | None, typer.Option("--where", metavar="SQL", help="Only events for which this is true make active.")
]


@question(leveled)
def lifecycle(
    *,
    grain: GrainOption = "week",
    by: ByOption = None,
    segment: SegmentOption = "any",
    start: FromOption = None,
    end: ToOption = None,
    where: ActiveWhereOption = None,
    new_by: Annotated[
        Literal["first_activity", "signup_date", "first_any_event"],
        typer.Option("--new-by", metavar="NAME", help="What tells new: first_activity, signup_date, first_any_event."),
    ] = "first_activity",
    warmup_days: Annotated[
        int, typer.Option("--warmup", min=0, metavar="DAYS", help="At the data's start nobody is called new.")
    ] = 28,
    signup: Annotated[
        str | None, typer.Option("--signup", metavar="SOURCE.COLUMN", help="Where signup dates are.")
    ] = None,
    members: Annotated[
        str | None, typer.Option("--members", metavar="STATE", help="The actors of a state: new, churned ...")
    ] = None,
) -> None:
    """Who of each period's users is new, returning or resurrected, and who churned."""


@question(leveled)
def power_curve(
    *,
    window_days: Annotated[int, typer.Option("--window", metavar="DAYS", help="28 (L28), 7, 30 ...")] = 28,
    at: AtOption = None,
    power_days: Annotated[
        int | None, typer.Option("--power", metavar="DAYS", help="Active days of a power user; default: 3/4.")
    ] = None,
    by: ByOption = None,
    segment: SegmentOption = "any",
    where: ActiveWhereOption = None,
    members: Annotated[bool, flag("--members", help="The actors, each with its active days.")] = False,
) -> None:
    """On how many of the last 28 days each user was active (L28), and how many are power users."""


def _of_date(given: Given) -> Given:
    """The actors of a date have no grain, and no other dates."""
    left = ("grain", "start", "end") if "members" in given else ()
    return {name: value for name, value in given.items() if name not in left}


@question(leveled, asked=_of_date)
def stickiness(
    *,
    method: Annotated[
        Literal["avg", "day"],
        typer.Option("--method", metavar="NAME", help="avg: mean DAU of 28 days / MAU_28; day: DAU / MAU."),
    ] = "avg",
    window_days: Annotated[
        int | None, typer.Option("--window", metavar="DAYS", help="Days of MAU; default: 28, for day 30.")
    ] = None,
    grain: GrainOption = "day",
    by: ByOption = None,
    segment: SegmentOption = "any",
    start: FromOption = None,
    end: ToOption = None,
    where: ActiveWhereOption = None,
    members: Annotated[datetime | None, date_option("--members", "The actors of a date.")] = None,
) -> None:
    """How much of a month's users a day has; every row says whether its days are complete."""
