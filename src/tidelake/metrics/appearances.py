"""When segments first appeared: on days before that nothing is known of them, so that no zero is one (METRICS 13)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pyarrow as pa

from tidelake.gold.context import Gold
from tidelake.metrics.catalogue import built_in
from tidelake.metrics.definition import Metric
from tidelake.metrics.facts import Facts
from tidelake.metrics.numbers import OTHER
from tidelake.metrics.question import observed_of

VALUES = "temp.series_values"  # day, s0, s1 ..., value
FIRST = "temp.series_first"  # s0, s1 ..., first_day


def write_appearances(
    gold: Gold, leaves: Sequence[Metric], by: Sequence[str], numbers: pa.Table, *, end: date | None
) -> None:
    """Make `VALUES` of an answer's rows and, with dimensions, `FIRST`: when each of their segments first appeared.

    A segment is there from its first event (session, count) on, whatever else the question asks: one with events,
    but none that the metric or its condition counts, has 0. What came before the dates that are asked for counts too.

    Args:
        leaves: The metrics of facts that the metric is made from.
        by: Dimensions; the values of each that `numbers` does not have are among its `(other)`.
        numbers: An answer of `measure`, with `period_start`, the dimensions and `value`.
        end: Last local date that matters.
    """
    columns = [numbers.column("period_start"), *(numbers.column(name) for name in by), numbers.column("value")]
    names = [f"s{index}" for index in range(len(by))]
    gold.temp(VALUES.removeprefix("temp."), pa.table(columns, names=["day", *names, "value"]))
    if not by:
        return
    listed = ", ".join(names)
    found = [f"SELECT {listed}, day FROM {VALUES} WHERE value <> 0"]  # also what waits for a build of the other table
    for leaf in dict.fromkeys(_plain(leaf) for leaf in leaves):
        observed = observed_of(gold, leaf)
        if observed.first is None or observed.last is None:
            continue
        span = (observed.first, max(observed.first, end or observed.last))
        rows = Facts(gold, leaf, tuple(by), None, (span,)).rows()
        # gold.event_day has rows of nothing but bots too, with a weight of 0
        found.append(f"SELECT {_as_shown(names)}, day FROM ({rows}) AS facts{_joined(names)} WHERE weight > 0")
    every = " UNION ALL ".join(found)
    sql = f"SELECT {listed}, min(day) AS first_day FROM ({every}) AS seen GROUP BY {listed}"
    gold.temp(FIRST.removeprefix("temp."), sql)


def _plain(leaf: Metric) -> Metric:
    """The metric of all rows of the same fact."""
    if leaf.fact == "count":
        return leaf.model_copy(update={"where": None})
    return built_in()["sessions" if leaf.fact == "session" else "events"]


def _as_shown(names: Sequence[str]) -> str:
    return ", ".join(f"coalesce(shown_{name}.{name}, '{OTHER}') AS {name}" for name in names)


def _joined(names: Sequence[str]) -> str:
    return "".join(
        f" LEFT JOIN (SELECT DISTINCT {name} FROM {VALUES}) AS shown_{name} ON shown_{name}.{name} = facts.{name}"
        for name in names
    )
