"""Which factor of a metric moved, and where: the tree that its definition declares, split exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidelake.analyses.change.days import Days, weights
from tidelake.analyses.change.factors import Factor, split
from tidelake.analyses.change.located import Located, located
from tidelake.analyses.change.onset import onset_at
from tidelake.analyses.change.paired import PairedDays
from tidelake.analyses.change.spans import Spans

_MOVED = 0.1  # of the metric's change, up or down, for a factor to be looked into


@dataclass(frozen=True)
class Moved:
    """One factor.

    Attributes:
        factor: Its numbers and its part of the metric's change.
        located: Where it moved; null where its part is small, or it did not move by more than chance.
    """

    factor: Factor
    located: Located | None


def moved_factors(
    chain: Sequence[Days],
    names: Sequence[str],
    spans: Spans,
    *,
    is_ratio: bool,
    depth: int | None = None,
) -> list[Moved]:
    """The factors of a metric's tree, each with its part of the change and the segments that carry it.

    Args:
        chain: The sums of the tree, from the widest to the metric itself, by the same dimensions and days.
        names: What they are called.
        spans: The days that are compared.
        is_ratio: The metric is the last sum over the first.
        depth: Most dimensions in one segment.
    """
    calendar = chain[0].calendar
    known = np.logical_and.reduce([days.calendar.known for days in chain])
    before, after = weights(calendar, spans.baseline & known, spans.window & known)
    length = float(after.sum())
    if length == 0 or before.sum() == 0:
        return []
    sums = [days.lines().numerator[0] for days in chain]
    old, new = ([float(one @ side) / length for one in sums] for side in (before, after))
    if is_ratio and min(old[0], new[0]) <= 0:
        return []
    found = []
    for at, factor in enumerate(split(old, new, names, is_ratio=is_ratio), start=1 if is_ratio else 0):
        days = chain[0] if at == 0 else PairedDays(chain[at], chain[at - 1])
        found.append(Moved(factor, _where(days, factor, spans, depth)))
    return found


def _where(days: Days, factor: Factor, spans: Spans, depth: int | None) -> Located | None:
    if not abs(factor.share) >= _MOVED:
        return None
    step = onset_at(days.lines().value[0], days.calendar.weekdays, spans.at, known=days.calendar.known)
    place = located(days, spans.baseline, spans.window, depth=depth, is_sure=step is not None)
    return None if place.place == "nowhere" else place
