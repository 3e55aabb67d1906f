"""Other metrics over the same days and segments: what the change looks like from their side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidelake.analyses.change.days import Days, weights
from tidelake.analyses.change.explain import Subject, with_history
from tidelake.analyses.change.located import Part, part_of
from tidelake.analyses.change.spans import Spans


@dataclass(frozen=True)
class Beside:
    """One metric over the days of an explanation.

    Attributes:
        whole: All segments together.
        cells: The segments, of a sum without the values that came with the change: what stands there came from others.
        inside: The segments that carry the change of the metric that is explained; null where there are none.
        outside: All others.
        lost: Expected less seen over all days compared, in the segments where there are any; null for a ratio.
    """

    subject: Subject
    cells: Sequence[Mapping[str, str]]
    whole: Part
    inside: Part | None
    outside: Part | None
    lost: float | None


def beside(subject: Subject, days: Days, cells: Sequence[Mapping[str, str]], spans: Spans) -> Beside:
    """A metric before and after the onset of another.

    Args:
        days: The metric by the same dimensions and over the same calendar.
        cells: The segments that carry the other's change.
        spans: The days that are compared.
    """
    known = days.calendar.known
    before, after = weights(days.calendar, spans.baseline & known, spans.window & known)
    if not days.is_ratio:
        cells = with_history(days, cells, spans)
    whole = part_of(days.lines(), before, after)
    inside = part_of(days.lines(within=cells), before, after) if cells else None
    outside = part_of(days.lines(outside=cells), before, after) if cells else None
    told = inside or whole
    lost = None
    if not days.is_ratio and told.before is not None and told.after is not None:
        lost = (told.before - told.after) * float(after.sum())
    return Beside(subject, cells, whole, inside, outside, lost)
