"""`tide churn-label`: who was there, and did not come back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from tidelake.cli.lifecycle import ActiveWhereOption
from tidelake.cli.options import examples
from tidelake.cli.questions import ByOption, Given, SegmentOption, date_option, leveled, question

EXAMPLES = examples(
    "tide churn-label --prediction 7",
    "tide churn-label --prediction 7 --observation 14 --by region --segment last",
    "tide churn-label --prediction 7 --from 2025-11-01 --every 7",
    "tide churn-label --prediction 7 --members 2025-11-10 --output labels.csv",
)


def _asked(given: Given) -> Given:
    """The actors of a date have no other dates."""
    left = ("start", "end", "every") if "members" in given else ()
    return {name: value for name, value in given.items() if name not in left}


@question(leveled, asked=_asked)
def churn_label(
    *,
    prediction_days: Annotated[
        int, typer.Option("--prediction", min=1, metavar="DAYS", help="Days after the date without activity.")
    ] = 28,
    observation_days: Annotated[
        int, typer.Option("--observation", min=1, metavar="DAYS", help="Active in these days up to the date.")
    ] = 28,
    every: Annotated[int, typer.Option("--every", min=1, metavar="DAYS", help="From one date to the next.")] = 1,
    by: ByOption = None,
    segment: SegmentOption = "any",
    start: Annotated[datetime | None, date_option("--from", "First date; default: the last one.")] = None,
    end: Annotated[datetime | None, date_option("--to", "Last date; default: last whose days after ended.")] = None,
    where: ActiveWhereOption = None,
    members: Annotated[datetime | None, date_option("--members", "The actors of a date, with their label.")] = None,
) -> None:
    """The share of users active before a date who do not come back in the days after it: the label of churn."""
