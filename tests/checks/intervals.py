"""Confidence intervals written a second time, from METRICS section 0: Wilson, a ratio of sums by actor, quantiles."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, lgamma, log, sqrt
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


def quantile_bounds(rows: Iterable[tuple[str, float]], share: float) -> tuple[float | None, float | None]:
    """ "medians and quantiles by the order statistics of a binomial number of rows, for as many independent rows as
    rows that cluster in actors are worth (null where so few cannot bound it)".

    Args:
        rows: (actor, value) of every row.
    """
    held = sorted(rows, key=lambda row: row[1])
    if len({actor for actor, _ in held}) < 2:
        return None, None
    values = [value for _, value in held]
    at = (len(values) - 1) * share
    low, high = values[int(at)], values[min(int(at) + 1, len(values) - 1)]
    quantile = low + (high - low) * (at - int(at))
    below = sum(value <= quantile for value in values) / len(values)
    own: dict[str, list[float]] = {}
    for actor, value in held:
        own.setdefault(actor, []).append(value)
    by_actors = sum((sum(value <= quantile for value in mine) - below * len(mine)) ** 2 for mine in own.values())
    alike = sum(len(mine) ** 2 for mine in own.values()) / len(values)
    independent = below * (1 - below) * len(values)
    effect = max(1.0, by_actors / independent) if 0 < below < 1 else alike
    worth = int(len(values) / effect + 1e-9)
    first, last = _binomial_point(worth, share, 0.025), _binomial_point(worth, share, 0.975) + 1
    return (
        values[len(values) * first // worth - 1] if first else None,
        values[len(values) - len(values) * (worth + 1 - last) // worth] if last <= worth else None,
    )


def _binomial_point(trials: int, share: float, probability: float) -> int:
    """The least number of successes that is not passed with this probability."""
    total = 0.0
    for number in range(trials + 1):
        ways = lgamma(trials + 1) - lgamma(number + 1) - lgamma(trials - number + 1)
        total += exp(ways + number * log(share) + (trials - number) * log(1 - share))
        if total >= probability:
            return number
    return trials
