"""`tide diversity`: how evenly a total is spread over categories."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelake.cli.options import examples, flag
from tidelake.cli.questions import ByOption, GrainOption, MetricArgument, narrowed, question

EXAMPLES = examples(
    "tide diversity views --grain month",
    "tide diversity events --of content_id --grain week",
    "tide diversity plays --of region --by device",
)


@question(narrowed)
def diversity(
    metric: MetricArgument,
    *,
    of: Annotated[str, typer.Option("--of", metavar="DIM", help="The categories: entity, or a dimension.")] = "entity",
    by: ByOption = None,
    grain: GrainOption = "day",
    top_k: Annotated[int, typer.Option("--top", min=1, metavar="K", help="How many categories top_k_share has.")] = 10,
    members: Annotated[bool, flag("--members", help="The actors behind the weights instead.")] = False,
) -> None:
    """How evenly a period's total is spread: diversity, HHI, effective number, Shannon, share of the largest."""
