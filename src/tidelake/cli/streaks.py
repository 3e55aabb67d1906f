"""`tide streaks`: how many days in a row."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelake.cli.options import examples, flag
from tidelake.cli.questions import EntityOption, MetricArgument, leveled, narrowed, question

EXAMPLES = examples(
    "tide streaks views",
    "tide streaks views --by entity --format csv",
    "tide streaks views --by entity --each --limit 20",
    "tide streaks plays --by region --above 100",
)


@question(narrowed, leveled)
def streaks(
    metric: MetricArgument,
    *,
    by: EntityOption = None,
    threshold: Annotated[
        float, typer.Option("--above", metavar="N", help="A day belongs to a streak with more than this.")
    ] = 0.0,
    each: Annotated[bool, flag("--each", help="One row a streak, the longest first.")] = False,
) -> None:
    """How many days in a row had something, with what was seen only in part counted as such."""
