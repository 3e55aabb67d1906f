"""Segments that tell what would have happened: which can serve, which were hit themselves, what all of them share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student  # type: ignore[import-untyped]

from tidelake.analyses.change.leaves import Floats
from tidelake.analyses.change.seasonal import WEEK, Bools, Ints, Rates, day_spread, taught

_UNUSUAL = 0.05  # chance that any unaffected control is left out
_FREEDOM = 8  # of a control's own scale
_PRIOR = 6.0  # observations that the daily spread's word on the scale of sums is worth
_TO_DEVIATION = 1.4826


@dataclass(frozen=True)
class Window:
    """Where history ends and the loss is counted.

    Attributes:
        at: First day counted.
        ahead: Days counted, from `at`.
        gap: Days right before `at` that are no history.
        origins: Pretended onsets before the real one, whose horizon ends before it.
    """

    at: int
    ahead: Ints
    gap: int
    origins: Ints

    @property
    def apart(self) -> int:
        """How many of the pretended horizons do not overlap."""
        return 1 + (len(self.origins) - 1) // int(self.ahead[-1] + 1)


@dataclass(frozen=True)
class Parts:
    """Series of sums or ratios, as they were given.

    Attributes:
        above: Shape (series, days): sums, or numerators.
        below: Shape (series, days): ones, or denominators.
        known: Shape (series, days): days that count; a ratio's day without a denominator does not.
    """

    above: Floats
    below: Floats
    known: Bools

    @classmethod
    def of(cls, above: Floats, below: Floats | None, known: Bools) -> Parts:
        """Series whose days count where they have a number and `known` says so.

        Args:
            above: Shape (series, days), nan = missing.
            below: The same, or None for sums.
            known: Shape (days,).
        """
        counted = np.isfinite(above) & known
        if below is None:
            return cls(above, np.ones_like(above), counted)
        counted &= np.isfinite(below) & (np.nan_to_num(below) > 0)
        return cls(above, np.where(counted, below, 0.0), counted)

    def between(self, start: int, end: int) -> Parts:
        """Some of the days."""
        return Parts(self.above[:, start:end], self.below[:, start:end], self.known[:, start:end])


@dataclass(frozen=True)
class Controls:
    """Control series on logs, about 0 before the onset.

    Attributes:
        logs: Shape (rows, days), without gaps.
        volume: Shape (rows, days): what weighs a day; 0 where it is not known.
        members: Which of the given segments each row holds: one, or several with zeros, summed.
    """

    logs: Floats
    volume: Floats
    members: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.logs)

    def of(self, rows: list[int]) -> Controls:
        """Some of the rows."""
        return Controls(self.logs[rows], self.volume[rows], tuple(self.members[row] for row in rows))


def steady(parts: Parts, at: int, until: int) -> Controls:
    """The segments that can be compared on logs.

    Left out are those with negative values and those that appear or vanish: seven days running, or more than half of
    the days before or from the onset, without a number above zero. Those with some zeros are summed to one.

    Args:
        parts: The segments, shape (segments, days).
        at: Day of the onset.
        until: Day after the last one counted.
    """
    numbers = np.where(parts.known, parts.above, 0.0)
    is_there = numbers > 0
    nowhere = ~parts.known.any(axis=0)
    alone: list[int] = []
    some: list[int] = []
    for row in range(len(numbers)):
        if not (numbers[row] < 0).any() and not _is_away(is_there[row] | nowhere, at, until):
            (alone if is_there[row][parts.known[row]].all() else some).append(row)
    members: list[tuple[int, ...]] = [(row,) for row in alone]
    above, below = [numbers[row] for row in alone], [parts.below[row] for row in alone]
    known = [parts.known[row] for row in alone]
    if some:
        held = parts.known[some].all(axis=0)
        summed = np.where(held, numbers[some].sum(axis=0), 0.0)
        if not _is_away((summed > 0) | nowhere, at, until) and (summed[held] > 0).all():
            members.append(tuple(some))
            above.append(summed)
            below.append(parts.below[some].sum(axis=0))
            known.append(held)
    if not members:
        empty = np.empty((0, numbers.shape[1]))
        return Controls(empty, empty, ())
    weights = np.where(known, below, 0.0)
    rates = np.where(weights > 0, np.array(above) / np.where(weights > 0, weights, 1.0), 0.0)
    return _on_logs(rates, weights, tuple(members), at)


def _is_away(is_there: Bools, at: int, until: int) -> bool:
    """Whether a series appears, vanishes or is mostly zero."""
    if 2 * is_there[:at].sum() < at or 2 * is_there[at:until].sum() < until - at:
        return True
    ends = np.flatnonzero(np.concatenate(([True], is_there[:until], [True])))
    return bool(np.diff(ends).max() > WEEK)


def _on_logs(series: Floats, volume: Floats, members: tuple[tuple[int, ...], ...], at: int) -> Controls:
    """Logs about 0 before the onset; a gap is its weekday's mean and what the other series did that day."""
    is_known = series > 0
    logs = np.log(np.where(is_known, series, 1.0))
    if not is_known.all():
        usual = np.empty_like(logs)
        for day in range(WEEK):
            alike = is_known[:, day:at:WEEK]
            summed, count = (logs[:, day:at:WEEK] * alike).sum(axis=1), alike.sum(axis=1)
            usual[:, day::WEEK] = (summed / np.maximum(count, 1))[:, None]
        some = is_known.any(axis=0)
        shared = np.zeros(logs.shape[1])
        shared[some] = np.nanmedian(np.where(is_known, logs - usual, np.nan)[:, some], axis=0)
        logs = np.where(is_known, logs, usual + shared)
    logs -= logs[:, :at].mean(axis=1, keepdims=True)
    return Controls(logs, volume, members)


def unaffected(controls: Controls, window: Window) -> list[int]:
    """The rows whose own change at the onset is not significant.

    Each row is compared with the median of all of them; its change over the horizon is measured by its own changes at
    the pretended onsets, or by the spread of all rows' changes where that is wider. Left out is what chance gives in
    one of twenty whole questions (Bonferroni over the rows). Of two rows that part, the one goes that changed more
    against its own history. One alone cannot be told from what is shared: it stays.
    """
    size = len(controls)
    if size < 2:
        return list(range(size))
    changes = _changes(controls, np.median(controls.logs, axis=0), window)
    wide = max(1.0, _TO_DEVIATION * float(np.median(np.abs(changes)))) if size > 2 else 1.0
    bound = wide * float(student.isf(_UNUSUAL / 2 / size, _FREEDOM))
    kept = [row for row in range(size) if abs(changes[row]) <= bound]
    if size == 2 and not kept:
        own = np.abs(_changes(controls, np.zeros(controls.logs.shape[1]), window))
        kept = [int(np.argmin(own))]
    return kept


def _changes(controls: Controls, index: Floats, window: Window) -> Floats:
    """Each row's change over the horizon against an index, in its own standard deviations."""
    rates = rates_of(np.exp(controls.logs - index), np.exp(index) * controls.volume, controls.volume > 0, window)
    strayed, _ = rates.strayed(np.append(window.origins, window.at), window.ahead, window.gap)
    scale = scales(strayed[:, :-1], rates, window)
    found: Floats = np.nan_to_num(strayed[:, -1] / np.maximum(scale, 1e-9))
    return found


def rates_of(values: Floats, unit: Floats, known: Bools, window: Window) -> Rates:
    """Series brought to a mean of 1 before the onset, or of their size where they can be negative.

    Args:
        values: Shape (series, days), without gaps.
        unit: Shape (series, days): what turns a value into units of the metric.
        known: Shape (series, days): days that count.
        window: Where history ends.
    """
    end = window.at - window.gap
    size = np.abs(values[:, :end]).mean(axis=1, keepdims=True)
    size = np.where(size > 0, size, 1.0)
    scaled = values / size
    return Rates(scaled, taught(scaled, end), unit * size, unit * size * known)


def scales(strayed: Floats, rates: Rates, window: Window) -> Floats:
    """Standard deviation of a forecast's error over the horizon, by series.

    The mean square of the errors at the pretended onsets, drawn to what the spread of single days says: few horizons
    do not overlap, but there are many days. How the two relate is taken from all series.
    """
    told = np.isfinite(strayed)
    square = (np.where(told, strayed, 0.0) ** 2).sum(axis=1) / np.maximum(told.sum(axis=1), 1)
    daily = day_spread(rates.taught) ** 2
    some = daily > 0
    ratio = float(np.median(square[some] / daily[some])) if some.any() else 1.0
    prior = _PRIOR if len(strayed) > 4 else 0.0
    found: Floats = np.sqrt((window.apart * square + prior * ratio * daily) / (window.apart + prior))
    return found


def index_of(controls: Controls) -> tuple[Floats, Floats]:
    """What the controls share: the mean of their logs, those that keep to the rest weighing more.

    Returns:
        The index, shape (days,), and for each row that of all others, shape (rows, days); zeros where there is none.
    """
    size = len(controls)
    strayed = controls.logs - np.median(controls.logs, axis=0)
    spread = day_spread(strayed) ** 2 if size > 2 else np.ones(size)
    weights = 1 / np.maximum(spread + np.median(spread), 1e-12)
    summed = weights @ controls.logs
    others = weights.sum() - weights
    apart = summed[None, :] - weights[:, None] * controls.logs
    leave_one = apart / np.where(others > 0, others, 1.0)[:, None]
    return summed / weights.sum(), leave_one
