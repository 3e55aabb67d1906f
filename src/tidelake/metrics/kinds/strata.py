"""Shares compared across values of a dimension: each against the rest within strata, and all of them at once.

Rows are sessions (or any trials) that cluster in actors, so every variance is a sum over actors of squared influences,
and an influence is a linear combination of the actor's counts by cell: `Contrast`. What the engine must give is the sum
over actors of products of two combinations, a small matrix, whatever the number of actors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, erfc, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Cell = tuple[str, str]  # value of the dimension, stratum
Counts = Mapping[Cell, tuple[float, float]]  # trials and successes
Z_90 = 1.6448536269514722  # two-sided 90 % point of the normal distribution


@dataclass(frozen=True)
class Contrast:
    """Weights on an actor's trials x and successes y by cell: the sum of w (y - share x).

    Attributes:
        weights: By cell: w and the share that is expected in the cell.
    """

    weights: Mapping[Cell, tuple[float, float]]


@dataclass(frozen=True)
class Against:
    """One value against the rest.

    Attributes:
        difference: The value's share less that of the rest, averaged over the strata that hold both; None where
            none does.
        own: Influence of an actor with each side's own share as the expected one: for an interval.
        common: The same with the share of both sides together: under the hypothesis that they do not differ.
    """

    difference: float | None
    own: Contrast
    common: Contrast


def against_the_rest(cells: Counts, value: str) -> Against:
    """A value's share less the rest's, stratified.

    Strata weigh as Cochran and Mantel and Haenszel weigh them: x1 x0 / (x1 + x0) of trials of the value and the rest.

    Source:
        W. G. Cochran, Biometrics 10 (1954), 417-451; N. Mantel, W. Haenszel, JNCI 22 (1959), 719-748; influences
        summed by actor as in K.-Y. Liang, S. Zeger, Biometrika 73 (1986), 13-22.
    """
    sides: dict[str, tuple[list[float], list[float]]] = {}
    for (one, stratum), (trials, successes) in cells.items():
        own, rest = sides.setdefault(stratum, ([0.0, 0.0], [0.0, 0.0]))
        side = own if one == value else rest
        side[0] += trials
        side[1] += successes
    both = {stratum: found for stratum, found in sides.items() if found[0][0] > 0 and found[1][0] > 0}
    weights = {stratum: own[0] * rest[0] / (own[0] + rest[0]) for stratum, (own, rest) in both.items()}
    total = sum(weights.values())
    if not total:
        return Against(None, Contrast({}), Contrast({}))
    difference = 0.0
    with_own: dict[Cell, tuple[float, float]] = {}
    with_common: dict[Cell, tuple[float, float]] = {}
    for stratum, (own, rest) in both.items():
        weight = weights[stratum] / total
        shares = own[1] / own[0], rest[1] / rest[0]
        common = (own[1] + rest[1]) / (own[0] + rest[0])
        difference += weight * (shares[0] - shares[1])
        for cell in cells:
            if cell[1] != stratum:
                continue
            is_own = cell[0] == value
            scaled = weight / own[0] if is_own else -weight / rest[0]
            with_own[cell] = scaled, shares[0] if is_own else shares[1]
            with_common[cell] = scaled, common
    return Against(difference, Contrast(with_own), Contrast(with_common))


def heterogeneity_contrasts(cells: Counts, values: Sequence[str]) -> tuple[NDArray[np.float64], list[Contrast]]:
    """The score of each value, its successes less those expected at the common share, and its influences."""
    trials = {value: sum(x for (one, _), (x, _) in cells.items() if one == value) for value in values}
    successes = {value: sum(y for (one, _), (_, y) in cells.items() if one == value) for value in values}
    total = sum(trials.values())
    common = sum(successes.values()) / total if total else 0.0
    scores = np.array([successes[value] - common * trials[value] for value in values])
    found = [
        Contrast({cell: (float(cell[0] == value) - trials[value] / total, common) for cell in cells})
        for value in values
    ]
    return scores, found


def heterogeneity(scores: ArrayLike, moments: ArrayLike, actors: int) -> tuple[float, int, float] | None:
    """Chi-square of the hypothesis that all values have one share: statistic, degrees of freedom, p.

    Args:
        scores: One a value.
        moments: Sum over actors of products of their influences, a row and column a value.
        actors: Number of actors.

    Returns:
        None where nothing varies or there are fewer than two actors.

    Source:
        The score test of generalized estimating equations: D. Boos, The American Statistician 46 (1992), 327-333.
    """
    from scipy.stats import chi2  # type: ignore[import-untyped, unused-ignore]

    if actors < 2:
        return None
    vector = np.asarray(scores, dtype=float)
    matrix = np.asarray(moments, dtype=float) * actors / (actors - 1)
    sizes, directions = np.linalg.eigh(matrix)
    is_real = sizes > 1e-9 * max(float(sizes.max(initial=0.0)), 1e-300)
    freedom = int(is_real.sum())
    if not freedom:
        return None
    along = directions[:, is_real].T @ vector
    statistic = float((along**2 / sizes[is_real]).sum())
    return statistic, freedom, float(chi2.sf(statistic, freedom))


def standard_error(moment: float, actors: int) -> float | None:
    """From the sum over actors of squared influences; None for fewer than two actors."""
    return sqrt(max(0.0, moment) * actors / (actors - 1)) if actors > 1 else None


def two_sided(difference: float, error: float) -> float | None:
    """The p-value of a difference, by the normal distribution; None where nothing varies."""
    return erfc(abs(difference) / error / sqrt(2)) if error > 0 else None


def trials_needed(
    difference: float, error: float, trials: float, *, abnormal: float, same: float, tests: int, alpha: float
) -> int | None:
    """The least number of trials at which a verdict would fall, were difference and spread as they are.

    Errors shrink with the root of the trials. `abnormal` needs the difference to be significant beside `tests` others
    (Bonferroni's bound, which Benjamini and Hochberg's procedure never falls short of), `no difference` needs the
    90 % interval to lie within the margin. None where neither can come.
    """
    size, found = abs(difference), []
    if size < same:
        found.append(trials * (Z_90 * error / (same - size)) ** 2)
    if size >= abnormal and size > 0:
        point = -NormalDist().inv_cdf(alpha / (2 * max(1, tests)))
        found.append(trials * (point * error / size) ** 2)
    return ceil(min(found)) if found else None
