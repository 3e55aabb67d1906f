"""Intervals of a change that was chosen because it was the worst of many."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq  # type: ignore[import-untyped]
from scipy.special import log_ndtr  # type: ignore[import-untyped]
from scipy.stats import norm  # type: ignore[import-untyped]
from scipy.stats import t as student

from tidelake.analyses.change.leaves import Floats

_PRIOR = 4.0  # placebo segments that the prior on their spread counts for
_PRIOR_SQUARE = 1.15  # mean square of a placebo segment's change, in its own scale, where there are none
_FREEDOM = 3  # of the scale, beside one for each horizon that does not overlap and each placebo segment
_NEAR = 5  # the segment may have been chosen as the worst where it is among the worst fifth


def widening(placebo: Floats, apart: int, level: float, *, uneven: float) -> float:
    """By what a segment's own scale is multiplied to be the standard deviation of a normal variable.

    Args:
        placebo: What each other segment, that was not hit, changed by at the onset, in its own scale.
        apart: Horizons before the onset that do not overlap.
        level: Of the interval.
        uneven: Variance that is expected because segments take part unevenly in what they share, in the own scale.
    """
    told = len(placebo) if len(placebo) > 2 else 0  # two mirror each other
    square = (_PRIOR * (_PRIOR_SQUARE + uneven) + float((placebo[:told] ** 2).sum())) / (_PRIOR + told)
    half = 0.5 + level / 2
    return math.sqrt(square) * float(student.ppf(half, _FREEDOM + apart + told) / norm.ppf(half))


def low_end(change: float, placebo: Floats, level: float) -> float:
    """The end towards zero of a change's interval, when it may have been chosen for its size.

    Where it is among the largest fifth, the end solves P(at least this change | more than the next smaller one) =
    (1 - level) / 2, instead of the same without the condition; never beyond the bound that holds for the largest of
    all at once. Far above the others the condition says nothing, and the end is the usual one.

    Args:
        change: Above zero, in standard deviations.
        placebo: The other segments' changes in its direction, in the same unit.
        level: Of the interval.

    Source:
        I. Andrews, T. Kitagawa, A. McCloskey: Inference on winners, Quarterly Journal of Economics 139 (2024): the
        conditional interval, with the bound of the simultaneous one in place of their hybrid.
    """
    tail = (1 - level) / 2
    usual = change - float(norm.isf(tail))
    size = len(placebo) + 1
    if size < 3 or (placebo > change).sum() * _NEAR >= size:
        return usual
    below = max(float(placebo[placebo <= change].max(initial=0.0)), 0.0)

    def excess(mean: float) -> float:
        return float(log_ndtr(mean - change) - log_ndtr(mean - below) - math.log(tail))

    least = change - float(norm.isf(tail / size))
    if excess(least) >= 0:
        return least
    return float(brentq(excess, least, usual, xtol=1e-9)) if excess(usual) > 0 else usual


def interval(change: float, placebo: Floats, level: float) -> tuple[float, float]:
    """The interval of a change that was chosen among others.

    Args:
        change: In standard deviations; either sign.
        placebo: The other segments' changes, in the same unit.
        level: Of the interval.
    """
    sign = 1.0 if change >= 0 else -1.0
    near = sign * low_end(abs(change), sign * placebo, level)
    far = change + sign * float(norm.isf((1 - level) / 2))
    return float(np.minimum(near, far)), float(np.maximum(near, far))
