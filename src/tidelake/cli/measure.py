"""`tide measure`: a metric over time, by any dimension."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tidelake.cli.options import examples, flag
from tidelake.cli.questions import (
    ActorOption,
    ByOption,
    FromOption,
    GrainOption,
    SegmentOption,
    ToOption,
    WhereOption,
    question,
)

EXAMPLES = examples(
    "tide measure dau",
    "tide measure views --grain week --from 2016-01-01 --to 2016-03-31",
    "tide measure dau --by region --by device --output dau.csv",
    "tide measure dau --by region --chart dau.png",
    "tide measure events --where \"event_name = 'video_play'\"",
    "tide measure plays_per_user --grain week --compare previous",
    "tide measure wau_cal --grain week --by device --segment last",
    "tide measure opened_not_video_play --grain week",
    "tide measure dau --from 2025-11-17 --to 2025-11-17 --members --output actors.csv",
)


@question()
def measure(
    metric: Annotated[
        str, typer.Argument(help="dau, events, sessions ...: `tide metrics list` has them all.", show_default=False)
    ],
    *,
    by: ByOption = None,
    segment: SegmentOption = "any",
    grain: GrainOption = "day",
    start: FromOption = None,
    end: ToOption = None,
    where: WhereOption = None,
    actor: ActorOption = None,
    compare: Annotated[
        Literal["previous", "year"] | None,
        typer.Option("--compare", help="Beside the week (month) before, or the year before: same weekdays."),
    ] = None,
    elapsed: Annotated[
        bool, flag("--elapsed", help="With --compare: open periods beside the same elapsed part of the earlier one.")
    ] = False,
    members: Annotated[bool, flag("--members", help="The actors behind the numbers, with their parts.")] = False,
) -> None:
    """A metric over time, by any dimension; every row says whether its period is complete."""
