"""Intervals and tests: Wilson for one trial an actor, the delta method where rows cluster in actors."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

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


def quantile_places(
    share: float, rows: int, actors: int, y: float, yy: float, xy: float, xx: float, *, level: float = 0.95
) -> tuple[int | None, int | None]:
    """The places, from 1, of the two rows that bound a quantile of rows which cluster in actors.

    The bounds of independent rows are order statistics: the number of rows below the quantile is binomial. Rows of
    one actor resemble each other, so they count as fewer: `rows` divided by the design effect, the variance of the
    share of rows not above the quantile by actors over that of independent rows. It is at least 1, and where no row
    lies above the quantile, or none below, that of actors whose rows are all alike. Copies of rows change nothing.

    Args:
        share: Which quantile; 0.5 is the median.
        rows: Number of rows.
        actors: Number of actors.
        y: Rows not above the quantile.
        yy: Sum over actors of the square of their rows not above it.
        xy: Sum over actors of the product of these and all their rows.
        xx: Sum over actors of the square of their rows.
        level: Probability that the bounds hold the quantile, at least.

    Returns:
        None for a bound that so few rows cannot give, and for a single actor.

    Source:
        W. J. Conover, Practical Nonparametric Statistics, 3.2 (the sign test's interval); R. S. Woodruff, JASA 47
        (1952), 635-646; E. L. Korn, B. I. Graubard, Survey Methodology 24 (1998), 193-201 (effective sample size).
    """
    from scipy.special import bdtr, bdtrik  # type: ignore[import-untyped, unused-ignore]

    if actors < 2:
        return None, None
    below = y / rows
    plain = below * (1 - below) * rows
    effect = max(1.0, (yy - 2 * below * xy + below * below * xx) / plain) if plain > 1e-9 else xx / rows
    known = int(rows / effect + 1e-9)

    def least(probability: float) -> int:
        """The least number that is reached with this probability."""
        found = max(0, ceil(float(bdtrik(probability, known, share))))
        return found - 1 if found and float(bdtr(found - 1, known, share)) >= probability else found

    low, high = least((1 - level) / 2), least((1 + level) / 2) + 1
    return (
        rows * low // known if low >= 1 else None,
        rows + 1 - rows * (known + 1 - high) // known if high <= known else None,
    )


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
