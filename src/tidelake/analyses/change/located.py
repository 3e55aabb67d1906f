"""Where a change lies: in some segments, in the mix of segments, or everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tidelake.analyses.change.days import Bools, Days, Lines, weights
from tidelake.analyses.change.history import chance_of
from tidelake.analyses.change.leaves import Floats
from tidelake.analyses.change.localise import Cause, localise_sum
from tidelake.analyses.change.newcomers import newcomers, predecessor, rates_of_predecessors, take_from_others
from tidelake.analyses.change.ratio import localise_ratio

Place = Literal["segments", "mix", "everywhere", "nowhere"]
_LEAST_ALONG = 0.7  # of the whole's relative change, for a segment to carry it
_LEAST_CHANGE = 0.003  # of the whole, for a segment to have a share in it


@dataclass(frozen=True)
class Part:
    """A segment, or all, before and after.

    Attributes:
        before: Expected, from the baseline's days of the same weekdays: a day's mean of a sum, a ratio as it was.
        after: What was seen; null where the denominator is 0.
    """

    before: float | None
    after: float | None

    @property
    def difference(self) -> float | None:
        """After less before."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def effect(self) -> float | None:
        """After over before, minus 1; null where there is nothing to compare with."""
        if not self.before or self.after is None:
            return None
        return self.after / self.before - 1


@dataclass(frozen=True)
class Segment:
    """A cell of the dimensions that carries a change.

    Attributes:
        cause: What was found in it.
        part: Its numbers.
        share: Its part of the whole change, 1 = all of it; null where the whole did not move. Of a mix what comes from
            its share of the denominator.
    """

    cause: Cause
    part: Part
    share: float | None


@dataclass(frozen=True)
class Located:
    """A change and where it lies.

    Attributes:
        whole: All segments together.
        place: Some segments carry it, the mix of them does, it is everywhere, or there is none.
        segments: Those that carry it, the largest first; where it is everywhere those in which it is larger still.
        rest: All that lies outside of the segments.
        explained: Part of the change that the segments carry, each leaf once; null where the whole did not move.
        rate: Ratios: part of the change that comes from rates.
        mix: Ratios: part that comes from the mix; the two add up to the change.
        left_out: Dimensions in which much stands under values that came with the change, so that a sum cannot be
            compared by them.
    """

    whole: Part
    place: Place
    segments: tuple[Segment, ...]
    rest: Part | None
    explained: float | None
    rate: float | None = None
    mix: float | None = None
    left_out: tuple[str, ...] = ()

    @property
    def cells(self) -> list[dict[str, str]]:
        """The segments' values by dimension."""
        return [segment.cause.values for segment in self.segments]


@dataclass(frozen=True)
class _Causes:
    causes: Sequence[Cause] = ()
    graded: Sequence[Cause] = ()
    is_global: bool = False
    rate: float | None = None
    mix: float | None = None
    left_out: tuple[str, ...] = ()


def located(
    days: Days,
    baseline: Bools,
    window: Bools,
    *,
    depth: int | None = None,
    is_sure: bool,
    seen_in: Mapping[str, str] | None = None,
) -> Located:
    """Where the change between two spans of days lies.

    Args:
        baseline: Shape (days,): the days before.
        window: The days after.
        depth: Most dimensions in one segment.
        is_sure: Whether the whole is known to have moved: without a segment that carries it, it moved everywhere.
        seen_in: The segment in which an onset was seen, day by day and against all others: it stands where the sums
            over all days alone single out none.
    """
    before, after = weights(days.calendar, baseline, window)
    fresh = newcomers(days, before, after)
    found = _causes(days, baseline & days.calendar.known, before, after, fresh, depth)
    every = days.lines()
    whole = part_of(every, before, after)
    causes = found.causes
    if not causes and seen_in:
        causes = [_seen(days, seen_in, whole, before, after)]
    is_global = found.is_global and is_sure and not seen_in
    asked = [*causes, *found.graded] if is_global else causes
    told = found.rate, found.mix, found.left_out
    if not asked:
        return Located(whole, "everywhere" if is_sure else "nowhere", (), None, None, *told)
    segments = tuple(_segment(days, cause, every, before, after, fresh) for cause in asked)
    if not is_global:
        segments = tuple(segment for segment in segments if _moved_along(segment, whole))
    if not segments:
        return Located(whole, "everywhere" if is_sure else "nowhere", (), None, None, *told)
    asked = [segment.cause for segment in segments]
    cells = [cause.values for cause in asked]
    rest = part_of(days.lines(outside=cells), before, after)
    is_mix = all(cause.kind == "mix" for cause in asked)
    explained = None if is_mix else _explained(days.lines(within=cells), every, before, after)
    shares = [segment.share for segment in segments]
    if explained is None and not is_mix and None not in shares:  # of values that came with the change
        explained = sum(share for share in shares if share is not None)
    if is_mix and found.mix is not None and whole.difference:
        explained = found.mix / whole.difference
    place: Place = "everywhere" if is_global else "mix" if is_mix else "segments"
    return Located(whole, place, segments, rest, explained, *told)


def _moved_along(segment: Segment, whole: Part) -> bool:
    """Whether a segment itself moved as the whole did, and not much less: else it cannot carry the change.

    Of a mix, and of a segment without a past, its own number says nothing of that.
    """
    effect, moved = segment.part.effect, whole.effect
    if segment.cause.kind == "mix" or effect is None or not moved:
        return True
    return effect * moved > 0 and abs(effect) > _LEAST_ALONG * abs(moved)


def _seen(days: Days, values: Mapping[str, str], whole: Part, before: Floats, after: Floats) -> Cause:
    own = part_of(days.lines(within=[values]), before, after)
    share = (own.difference or 0.0) / whole.before if whole.before and not days.is_ratio else 0.0
    return Cause(dict(values), "rate" if days.is_ratio else "volume", own.effect or 0.0, share, 0.0)


def _segment(
    days: Days, cause: Cause, every: Lines, before: Floats, after: Floats, fresh: Mapping[str, frozenset[str]]
) -> Segment:
    own = days.lines(within=[cause.values])
    part = part_of(own, before, after)
    if cause.kind == "mix":
        return Segment(cause, part, _mixed(own, every, before, after))
    rate = None
    older = predecessor(cause.values, fresh)
    if days.is_ratio and older != cause.values:
        rate = part_of(days.lines(within=[older]) if older else every, before, after).before
        part = replace(part, before=rate)
    return Segment(cause, part, _explained(own, every, before, after, rate))


def _mixed(inside: Lines, every: Lines, before: Floats, after: Floats) -> float | None:
    """The part of a ratio's change that comes from a segment's share of all (Kitagawa, it and all others)."""
    if inside.denominator is None or every.denominator is None:
        return None
    sides = []
    for weight in (before, after):
        above, below = (float(part.sum(axis=0) @ weight) for part in (inside.numerator, inside.denominator))
        whole_above, whole_below = (float(part.sum(axis=0) @ weight) for part in (every.numerator, every.denominator))
        if min(below, whole_below - below) <= 0:
            return None
        sides.append(
            (
                below / whole_below,
                above / below,
                (whole_above - above) / (whole_below - below),
                whole_above / whole_below,
            )
        )
    (share, rate, others, whole), (share_after, rate_after, others_after, whole_after) = sides
    away = (rate + rate_after) / 2 - (others + others_after) / 2
    told = _is_told(whole_after - whole, whole)
    return (share_after - share) * away / (whole_after - whole) if told else None


def _causes(
    days: Days, baseline: Bools, before: Floats, after: Floats, fresh: Mapping[str, frozenset[str]], depth: int | None
) -> _Causes:
    if not days.dims:
        return _Causes()
    leaves = days.leaves(before, after)
    if not leaves.num_rows:
        return _Causes()
    chance = chance_of(days, baseline, before, after)
    if days.is_ratio:
        rates = rates_of_predecessors(leaves, days, fresh)
        change = localise_ratio(leaves, days.dims, depth=depth, rates=rates, chance=chance)
        graded = change.located.graded if change.located is not None else ()
        return _Causes(change.causes, graded, change.is_global, change.rate, change.mix)
    left_out = tuple(dim for dim, values in fresh.items() if take_from_others(days, dim, values, before, after))
    dims = [dim for dim in days.dims if dim not in left_out]
    if not dims:
        return _Causes(left_out=left_out)
    if left_out:
        summed = leaves.group_by(dims, use_threads=False).aggregate([("real", "sum"), ("predict", "sum")])
        leaves = summed.rename_columns([*dims, "real", "predict"])
    found = localise_sum(leaves, dims, depth=depth, chance=chance)
    return _Causes(found.causes, found.graded, found.is_global, left_out=left_out)


def part_of(lines: Lines, before: Floats, after: Floats) -> Part:
    """The sum of some lines before and after: a day's mean, or the ratio."""
    numerator = lines.numerator.sum(axis=0)
    if lines.denominator is None:
        length = float(after.sum())
        return Part(float(numerator @ before) / length, float(numerator @ after) / length)
    denominator = lines.denominator.sum(axis=0)
    below = float(denominator @ before), float(denominator @ after)
    return Part(
        float(numerator @ before) / below[0] if below[0] > 0 else None,
        float(numerator @ after) / below[1] if below[1] > 0 else None,
    )


def _explained(inside: Lines, every: Lines, before: Floats, after: Floats, rate: float | None = None) -> float | None:
    """The part of the whole change that is gone once the segments stay as they were.

    Args:
        rate: Of a ratio what the segments' rate was, where their own past does not tell.
    """
    own, whole = inside.numerator.sum(axis=0), every.numerator.sum(axis=0)
    if every.denominator is None or inside.denominator is None:
        change = float(whole @ after - whole @ before)
        return float(own @ after - own @ before) / change if _is_told(change, float(whole @ before)) else None
    below_own, below = inside.denominator.sum(axis=0), every.denominator.sum(axis=0)
    past = float(below_own @ before)
    if min(below @ before, below @ after) <= 0 or (rate is None and past <= 0):
        return None
    if rate is None:
        rate = float(own @ before) / past
    seen, expected = float(whole @ after) / float(below @ after), float(whole @ before) / float(below @ before)
    kept = float(below_own @ after) * rate
    without = (float(whole @ after) - float(own @ after) + kept) / float(below @ after)
    return (seen - without) / (seen - expected) if _is_told(seen - expected, expected) else None


def _is_told(change: float, expected: float) -> bool:
    """Whether the whole moved enough for parts of its change to mean anything."""
    return abs(change) > _LEAST_CHANGE * abs(expected)


def days_between(days: Days, first: int, last: int) -> Bools:
    """Shape (days,): the days from one position to another, both included."""
    at = np.arange(len(days.calendar))
    return (at >= first) & (at <= last)
