"""`tide weekdays`: how a week is spread over its days."""

from __future__ import annotations

from tidelake.cli.options import examples
from tidelake.cli.questions import EntityOption, MetricArgument, leveled, narrowed, question

EXAMPLES = examples(
    "tide weekdays views",
    "tide weekdays dau --by region",
    "tide weekdays views --by entity --format csv",
)


@question(narrowed, leveled)
def weekdays(
    metric: MetricArgument,
    *,
    by: EntityOption = None,
) -> None:
    """How far each weekday lies above or below the mean of its week, over complete weeks."""
