"""`tide decline`: what fell to a part of what it had."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelake.cli.options import examples, flag
from tidelake.cli.questions import EntityOption, MetricArgument, leveled, narrowed, question

EXAMPLES = examples(
    "tide decline views --by entity",
    "tide decline views --by entity --each --from 2016-12-01 --to 2016-12-07 --output declined.csv",
    "tide decline plays --by region --share 0.5",
)


@question(narrowed, leveled)
def decline(
    metric: MetricArgument,
    *,
    by: EntityOption = None,
    share: Annotated[float, typer.Option("--share", metavar="N", help="How much of the base may be left.")] = 0.3,
    before: Annotated[int, typer.Option("--before", metavar="DAYS", help="Days before that make the base.")] = 3,
    after: Annotated[int, typer.Option("--after", metavar="DAYS", help="Days after, the lowest of which decides.")] = 7,
    min_base: Annotated[float, typer.Option("--min-base", metavar="N", help="Below this base nothing is said.")] = 1.0,
    each: Annotated[bool, flag("--each", help="A row a date and entity: its base and its lowest day.")] = False,
) -> None:
    """The share of entities that fell to 30 % or less of what they had the days before."""
