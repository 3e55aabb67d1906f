"""Each complete period beside an earlier one, weekdays beside the same weekdays (METRICS section 12)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal, Self

import pyarrow as pa

from tidelake.errors import UnknownNameError
from tidelake.gold.sqltext import day_start
from tidelake.metrics.definition import Grain
from tidelake.metrics.knowing import leaves_of
from tidelake.metrics.numbers import Numbers
from tidelake.metrics.periods import next_period
from tidelake.metrics.question import Question

Ask = Callable[[Question], Numbers]
_WORDS: Mapping[tuple[str, Grain], str] = {
    ("previous", "day"): "the same weekday of the week before",
    ("previous", "week"): "the week before",
    ("previous", "month"): "the month before",
    ("year", "day"): "the day 364 days before, the same weekday",
    ("year", "week"): "the week 52 weeks before",
    ("year", "month"): "the same month of the year before",
}


@dataclass(frozen=True)
class Comparison:
    """With which earlier period each is compared."""

    kind: Literal["previous", "year"]

    @classmethod
    def named(cls, name: str) -> Self:
        """The comparison of this name.

        Raises:
            UnknownNameError: There is none.
        """
        if name == "previous":
            return cls("previous")
        if name == "year":
            return cls("year")
        raise UnknownNameError("comparison", name, ["previous", "year"])

    def earlier(self, start: date, grain: Grain) -> date:
        """The first date of the earlier period."""
        if grain == "month":
            months = 1 if self.kind == "previous" else 12
            count = start.year * 12 + start.month - 1 - months
            return date(count // 12, count % 12 + 1, 1)
        return start - timedelta(days=7 if self.kind == "previous" else 364)


def earlier_spans(question: Question, comparison: Comparison) -> list[tuple[date, date]]:
    """The dates to read besides those asked for, as few stretches as there are."""
    firsts = [comparison.earlier(start, question.grain) for start in question.periods]
    new = sorted({first for first in firsts if first not in question.periods})
    found: list[tuple[date, date]] = []
    for first in new:
        last = next_period(first, question.grain) - timedelta(days=1)
        if found and found[-1][1] + timedelta(days=1) == first:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def comparison_fields(unit: Mapping[str, str] | None) -> list[pa.Field]:
    """The columns that a comparison adds."""
    return [
        pa.field("compared_start", pa.date32()),
        pa.field("compared_value", pa.float64(), metadata=unit),
        pa.field("compared_status", pa.string()),
        pa.field("difference", pa.float64(), metadata=unit),
        pa.field("relative_difference", pa.float64(), metadata={"unit": "share"}),
    ]


def compared(question: Question, numbers: Numbers, comparison: Comparison) -> Numbers:
    """The rows of the periods that were asked for, each with the earlier one's value and the difference.

    `difference` and `relative_difference` are null unless both periods are complete and both values known;
    `relative_difference` also where the earlier value is 0.

    Args:
        question: What was asked.
        numbers: Those of the periods asked for and of the earlier ones.
    """
    by_key = {(row["period_start"], *(row[name] for name in question.by)): row for row in numbers.rows}
    rows = []
    for (start, *segments), row in by_key.items():
        if start not in question.periods:
            continue
        first = comparison.earlier(start, question.grain)
        before = by_key.get((first, *segments), {"value": None, "status": None})
        rows.append({**row, "compared_start": first, **_difference(row, before)})
    totals = numbers.totals
    if totals is not None:
        totals = [row for row in totals if row["period_start"] in question.periods]
    note = f"Compared with {_WORDS[comparison.kind, question.grain]}; only complete periods have a difference."
    return replace(numbers, rows=rows, totals=totals, notes=(note, *numbers.notes))


def with_elapsed(question: Question, numbers: Numbers, comparison: Comparison, ask: Ask) -> Numbers:
    """The same, and open periods beside the same elapsed fraction of the earlier period.

    Both sides are counted up to an instant: this period up to the one until which its sources are complete, the
    earlier one up to the same fraction of its length. `compared_value` is then of that part, `compared_status` is
    `elapsed`, and the difference is one of the two parts. Rolling metrics have none: their window is whole.

    Args:
        ask: Gives the numbers of a question.
    """
    mark = question.observed.watermark
    opened = {row["period_start"] for row in numbers.rows if row["status"] in ("open", "provisional")}
    leaves = leaves_of(question.metric, question.known)
    longest = max((leaf.window_days or 1 for leaf in leaves), default=1)
    if mark is None or longest > 1 or (question.grain != "day" and any(leaf.is_rolling for leaf in leaves)):
        return numbers
    nothing = 0.0 if question.metric.kind in ("sum", "distinct", "typical") and not question.unknown else None
    until = mark - question.observed.lateness
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for start in sorted(opened):
        first = comparison.earlier(start, question.grain)
        share = _elapsed(question, start, until)
        if not 0 < share < 1 or question.status(first) != "complete":
            continue
        now, before = _until(question, start, share, ask), _until(question, first, share, ask)
        for segments in {**now, **before}:
            value, earlier = now.get(segments, nothing), before.get(segments, nothing)
            found[start, *segments] = {"compared_value": earlier, **_differences(value, earlier)}
    rows = []
    for row in numbers.rows:
        key = (row["period_start"], *(row[name] for name in question.by))
        rows.append({**row, **found[key], "compared_status": "elapsed"} if key in found else row)
    note = f"elapsed: both periods counted up to the same fraction, this one up to {until:%Y-%m-%d %H:%M:%S}Z."
    return replace(numbers, rows=rows, notes=(*numbers.notes, *([note] if found else [])))


def _elapsed(question: Question, start: date, until: datetime) -> float:
    """Which fraction of a period lies before an instant."""
    begin, end = _bounds(question, start)
    return (until - begin) / (end - begin)


def _bounds(question: Question, start: date) -> tuple[datetime, datetime]:
    zone = question.gold.project.zone
    return day_start(start, zone), day_start(next_period(start, question.grain), zone)


def _until(question: Question, start: date, share: float, ask: Ask) -> dict[tuple[Any, ...], float | None]:
    begin, end = _bounds(question, start)
    part = replace(question.between((start, start)), until=begin + (end - begin) * share)
    return {tuple(row[name] for name in question.by): row["value"] for row in ask(part).rows}


def _difference(row: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "compared_value": before["value"],
        "compared_status": before["status"],
    }
    are_complete = row["status"] == before["status"] == "complete"
    return found | _differences(row["value"] if are_complete else None, before["value"])


def _differences(value: float | None, before: float | None) -> dict[str, float | None]:
    if value is None or before is None:
        return {"difference": None, "relative_difference": None}
    difference = value - before
    return {"difference": difference, "relative_difference": difference / abs(before) if before else None}
