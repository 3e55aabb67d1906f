"""`tide spikes`: days far from what their weekday had before."""

from __future__ import annotations

from typing import Annotated

import typer

from tidelake.cli.options import examples
from tidelake.cli.questions import EntityOption, MetricArgument, leveled, narrowed, question

EXAMPLES = examples(
    "tide spikes views",
    "tide spikes views --by entity --from 2016-12-01",
    "tide spikes events --by region --z 8",
)


@question(narrowed, leveled)
def spikes(
    metric: MetricArgument,
    *,
    by: EntityOption = None,
    z: Annotated[
        float, typer.Option("--z", metavar="N", help="How far a spike lies, in robust standard deviations.")
    ] = 5.0,
) -> None:
    """Days that lie far above or below the same weekday of the weeks before."""
