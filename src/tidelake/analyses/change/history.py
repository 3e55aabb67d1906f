"""What leaves did by chance before a change: a better measure of noise than the changed days themselves."""

from __future__ import annotations

import numpy as np

from tidelake.analyses.change.days import Bools, Days, Lines
from tidelake.analyses.change.leaves import Floats
from tidelake.analyses.change.noise import Chance

MOST_LEAVES = 50_000
_LEAST_DAYS = 5
_LEAST_WEEKS = 3
_USUAL_ERROR = 0.03  # of a leaf's level from one week to the next, where there are too few weeks to see it
_LEAST_ERROR = 0.01
_WEIGHT = 0.8  # of all, that the leaves have which tell the error of a large one
_TRIMMED = 0.02  # share of leaf days that are left out as outliers


def chance_of(days: Days, baseline: Bools, before: Floats, after: Floats) -> Chance | None:
    """Chance as the days before the change show it; None where they are too few or the leaves too many.

    A leaf's day is compared with its share of that day's whole, so that weekdays, trends and shocks that all leaves
    have in common are no noise.

    Args:
        baseline: Shape (days,): the days before.
        before: Weights with which they are added up to what is expected.
        after: Weights of the days that are explained.
    """
    if not days.dims or int(baseline.sum()) < _LEAST_DAYS:
        return None
    lines = days.lines(days.dims)
    if not 1 < len(lines.names) <= MOST_LEAVES:
        return None
    dispersion = _dispersion(lines, baseline)
    if dispersion is None:
        return None
    lengthened = 1 + float((before**2).sum()) / float(after.sum())
    return Chance(dispersion * lengthened, _error(lines, baseline, dispersion))


def _fitted(lines: Lines, seen: Bools) -> tuple[Floats, Floats]:
    """What was counted on each leaf's day, and its leaf's share of the day: shape (leaves, days)."""
    counted = lines.numerator[:, seen]
    if lines.denominator is None:
        total = counted.sum()
        share = np.outer(counted.sum(axis=1), counted.sum(axis=0))
        return counted, share / total if total > 0 else share
    below = lines.denominator[:, seen]
    whole = counted.sum() / below.sum() if below.sum() > 0 else 0.0
    day = np.divide(counted.sum(axis=0), below.sum(axis=0), out=np.zeros(below.shape[1]), where=below.sum(axis=0) > 0)
    own = np.divide(counted.sum(axis=1), below.sum(axis=1), out=np.zeros(len(below)), where=below.sum(axis=1) > 0)
    return counted, below * np.outer(own, day) / whole if whole > 0 else below * 0


def _dispersion(lines: Lines, seen: Bools) -> float | None:
    """Variance over mean of a leaf's day; of a ratio that of one observation over the square of its mean."""
    counted, fitted = _fitted(lines, seen)
    size = fitted.sum(axis=1)
    held = size > 0
    if not held.any() or counted.shape[1] < 2:
        return None
    square = (counted[held] - fitted[held]) ** 2
    scale = fitted[held]
    if lines.denominator is not None:
        below = lines.denominator[:, seen][held]
        scale = np.divide(fitted[held] ** 2, below, out=np.zeros_like(below), where=below > 0)
    told = scale > 0
    each = square[told] / scale[told]
    if not len(each):
        return None
    weight = scale[told]
    kept = each <= np.quantile(each, 1 - _TRIMMED)
    leaves, length = int(held.sum()), counted.shape[1]
    freedom = leaves * length / max((leaves - 1) * (length - 1), 1)  # a level a leaf and one a day were fitted
    found = float(np.average(each[kept], weights=weight[kept])) * freedom
    return found if found > 0 else None


def _error(lines: Lines, baseline: Bools, dispersion: float) -> float:
    """Relative error of a leaf's level from week to week, beyond what its days stray by chance."""
    known = np.flatnonzero(baseline)
    weeks = (known[-1] - known) // 7
    numbers = [week for week in np.unique(weeks) if (weeks == week).sum() >= _LEAST_DAYS]
    if len(numbers) < _LEAST_WEEKS:
        return _USUAL_ERROR
    summed = np.stack([lines.numerator[:, known[weeks == week]].sum(axis=1) for week in numbers], axis=1)
    below = None
    if lines.denominator is not None:
        below = np.stack([lines.denominator[:, known[weeks == week]].sum(axis=1) for week in numbers], axis=1)
    counted, fitted = _fitted(Lines(lines.names, summed, below), np.ones(len(numbers), dtype=bool))
    size = fitted if below is None else below
    told = (fitted > 0) & (size > 0) & _heavy(size.sum(axis=1))[:, None]
    if not told.any():
        return _USUAL_ERROR
    strayed = ((counted[told] - fitted[told]) / fitted[told]) ** 2 * len(numbers) / (len(numbers) - 1)
    beyond = float(np.median(strayed) / 0.4549364 - np.median(dispersion / size[told]))  # median of chi squared, 1 df
    return float(np.sqrt(max(beyond, _LEAST_ERROR**2)))


def _heavy(sizes: Floats) -> Bools:
    """The largest leaves, that together hold most of the weight."""
    order = np.argsort(-sizes, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(sizes[order])[:-1]])
    found = np.zeros(len(sizes), dtype=bool)
    found[order[before < _WEIGHT * sizes.sum()]] = True
    return found
