"""Confidence intervals written a second time, from METRICS section 0: Wilson, and a ratio of sums by actor."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from statistics import NormalDist


def wilson(numerator: int, denominator: int, *, level: float = 0.95) -> tuple[float, float] | None:
    """ "Wilson when each actor counts once": the shares p0 that a score test of the observed share does not reject."""
    if denominator == 0:
        return None
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = numerator / denominator
    middle = (share + z * z / (2 * denominator)) / (1 + z * z / denominator)
    half = z * sqrt(share * (1 - share) / denominator + z * z / (4 * denominator**2)) / (1 + z * z / denominator)
    return middle - half, middle + half


def ratio_of_sums(pairs: Iterable[tuple[float, float]], *, level: float = 0.95) -> tuple[float, float, float] | None:
    """(ratio, low, high) of "the delta method of a ratio of per-actor sums".

    Args:
        pairs: One (numerator, denominator) an actor.
    """
    pairs = list(pairs)
    number, below = len(pairs), sum(pair[1] for pair in pairs)
    if number < 2 or below == 0:
        return None
    ratio = sum(pair[0] for pair in pairs) / below
    residuals = [top - ratio * bottom for top, bottom in pairs]  # their mean is 0
    variance = sum(residual**2 for residual in residuals) / (number - 1)
    error = sqrt(variance / number) / (below / number)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    return ratio, ratio - z * error, ratio + z * error
