"""`tide trend`: whether a metric rises or falls, and how fast."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelake.cli.lifecycle import ActiveWhereOption
from tidelake.cli.options import examples
from tidelake.cli.questions import AtOption, ByOption, leveled, question

EXAMPLES = examples("tide trend", "tide trend sessions --days 28", "tide trend dau --by region --at 2025-11-16")


@question(leveled)
def trend(
    metric: Annotated[str, typer.Argument(help="A metric of a day: dau, events, sessions ...")] = "dau",
    *,
    days: Annotated[int, typer.Option("--days", metavar="N", help="How many dates are looked at.")] = 56,
    at: AtOption = None,
    by: ByOption = None,
    where: ActiveWhereOption = None,
    min_change: Annotated[
        float, typer.Option("--min-change", metavar="SHARE", help="From this change a week on it is a trend.")
    ] = 0.01,
) -> None:
    """Whether a metric rises or falls: its change a week with an interval, and a verdict."""
