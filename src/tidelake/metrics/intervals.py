"""Intervals and tests: Wilson for one trial an actor, the delta method where rows cluster in actors."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z_95 = 1.959963984540054  # two-sided 95 % point of the normal distribution
Bounds = tuple[float | None, float | None]


def wilson(successes: float, trials: float, *, z: float = Z_95) -> Bounds:
    """Interval of a share of independent trials; (None, None) for none.

    Source:
        E. B. Wilson, JASA 22 (1927), 209-212.
    """
    if trials <= 0:
        return None, None
    share, square = successes / trials, z * z / trials
    middle = (share + square / 2) / (1 + square)
    half = z * sqrt(share * (1 - share) / trials + square / trials / 4) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def ratio_of_sums(numerators: ArrayLike, denominators: ArrayLike, *, z: float = Z_95) -> tuple[float | None, Bounds]:
    """Ratio of two sums over actors, with its interval by the delta method.

    With y and x an actor's parts and R = sum(y) / sum(x), the variance of R is n / (n - 1) * sum((y - R x)^2) /
    sum(x)^2 over n actors: rows of one actor may depend on each other, actors may not.

    Args:
        numerators: One number an actor.
        denominators: One number an actor, in the same order.

    Returns:
        The ratio, None where the denominators add up to 0; its bounds, None for fewer than two actors.

    Source:
        Deng, Knoblich, Lu: Applying the Delta Method in Metric Analytics, KDD 2018, section 3.
    """
    ys, xs = np.asarray(numerators, dtype=float), np.asarray(denominators, dtype=float)
    total = float(xs.sum())
    if total == 0:
        return None, (None, None)
    ratio = float(ys.sum()) / total
    actors = len(xs)
    if actors < 2:
        return ratio, (None, None)
    spread = z * sqrt(actors / (actors - 1) * float(((ys - ratio * xs) ** 2).sum())) / total
    return ratio, (ratio - spread, ratio + spread)


def moments_bounds(
    actors: int, y: float, x: float, yy: float, xy: float, xx: float, *, z: float = Z_95
) -> tuple[float | None, Bounds]:
    """`ratio_of_sums` from the sums of y, x, y*y, x*y and x*x over actors, as SQL gives them."""
    if not x:
        return None, (None, None)
    ratio = y / x
    if actors < 2:
        return ratio, (None, None)
    square = max(0.0, yy - 2 * ratio * xy + ratio * ratio * xx)
    spread = z * sqrt(actors / (actors - 1) * square) / x
    return ratio, (ratio - spread, ratio + spread)


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values (q) in the order given; None stays None and does not count as a test.

    Source:
        Y. Benjamini, Y. Hochberg, JRSS B 57 (1995), 289-300.
    """
    known = [(p, index) for index, p in enumerate(p_values) if p is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    least = 1.0
    for rank, (p, index) in sorted(enumerate(sorted(known), start=1), reverse=True):
        least = min(least, p * len(known) / rank)
        adjusted[index] = least
    return adjusted


def quantile(values: ArrayLike, share: float) -> float | None:
    """A quantile, linear between the two nearest values (type 7 of Hyndman and Fan); None for no value."""
    found: NDArray[np.float64] = np.asarray(values, dtype=float)
    return float(np.quantile(found, share)) if len(found) else None
