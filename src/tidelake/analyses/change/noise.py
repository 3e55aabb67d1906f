"""How far a leaf strays from what is expected by chance and by the forecast's own error, and how likely a fall is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln  # type: ignore[import-untyped]
from scipy.stats import t as student  # type: ignore[import-untyped]

from tidelake.analyses.change.leaves import Floats, Leaves

_NORMAL_QUARTILE = 0.6744897501960817  # of |z|: a standard deviation is the median deviation over this
_ANSCOMBE = 0.375
_TAILS = (3.0, 4.0, 6.0, 10.0, 20.0, 60.0, 500.0)
_KNOWN_TAILS = 20.0
_CUT = 4.0  # residuals beyond are the change that is looked for, not the noise
_LEAST_ERROR = 0.004  # no forecast is known to be better


@dataclass(frozen=True)
class Chance:
    """How far a leaf strays from what is expected where nothing changed, as the time before the change shows it.

    Attributes:
        dispersion: Variance over mean of what a leaf counts, the error of what is expected of it included. Of a ratio:
            that of one observation over the square of its mean.
        error: Relative error of a large leaf's level.
    """

    dispersion: float
    error: float


@dataclass(frozen=True)
class Noise:
    """What unaffected leaves do: variance = dispersion x mean + error^2 x mean^2, with tails as heavy as were found.

    A count is first brought to unit variance, by (2 / error) asinh(error sqrt(count / dispersion)): the square root
    for small counts, the logarithm for large ones. What is left follows Student's t.

    Attributes:
        dispersion: Variance over mean of a small count, or one number a leaf.
        error: Relative error of the forecast of a large count.
        tails: Degrees of freedom of t.
        unevenness: By which share of its size an effect differs from leaf to leaf.

    Source:
        F. J. Anscombe: The transformation of Poisson, binomial and negative-binomial data, Biometrika 35 (1948).
    """

    dispersion: float | Floats
    error: float
    tails: float
    unevenness: float

    def level(self, count: Floats, dispersion: float | Floats) -> Floats:
        """Counts at unit variance."""
        scaled: Floats = (2 / self.error) * np.arcsinh(self.error * np.sqrt(count / dispersion + _ANSCOMBE))
        return scaled

    def variance(self, counts: Floats) -> Floats:
        """Variance of the logarithm of what is counted where nothing changed, by leaf."""
        found: Floats = self.dispersion / (counts + _ANSCOMBE * np.asarray(self.dispersion)) + self.error**2
        return found

    def likelihood(self, level: Floats, counts: Floats, dispersion: float | Floats, effects: Floats) -> Floats:
        """Log likelihood of leaves under effects.

        Args:
            level: Shape (leaves,): what was counted, at unit variance.
            counts: Shape (leaves,): what was expected.
            effects: Shape (leaves, effects): logarithm of actual over expected.

        Returns:
            Shape (leaves, effects), up to a constant.
        """
        spread = dispersion[:, None] if isinstance(dispersion, np.ndarray) else dispersion
        mean = counts[:, None] * np.exp(effects)
        uneven = self.unevenness * -np.expm1(effects)
        slope = 1 / (spread / (mean + _ANSCOMBE * spread) + self.error**2)
        variance = 1 + uneven**2 * slope
        square = (level[:, None] - self.level(mean, spread)) ** 2 / variance
        found: Floats = -0.5 * np.log(variance) - (self.tails + 1) / 2 * np.log1p(square / self.tails)
        return found


def known_noise(leaves: Leaves, chance: Chance, *, unevenness: float) -> Noise:
    """The noise of leaves that were watched before the change; shares differ as their sizes say."""
    if leaves.dispersion is None:
        least = 1.0 if leaves.is_of_counts else 0.0  # things that are counted one by one stray as Poisson at least
        return Noise(max(chance.dispersion, least), chance.error, _KNOWN_TAILS, unevenness)
    usual = float(np.average(leaves.dispersion, weights=np.maximum(leaves.counts, 1e-12)))
    return Noise(leaves.dispersion * (chance.dispersion / usual), chance.error, _KNOWN_TAILS, unevenness)


def central_ratio(leaves: Leaves) -> float:
    """Median over the leaves of actual over expected, by what each leaf tells."""
    held = leaves.expected > 0
    ratio = leaves.actual[held] / leaves.expected[held]
    counts = leaves.counts[held]
    weight = counts / (counts + np.median(counts))
    order = np.argsort(ratio, kind="stable")
    summed = np.cumsum(weight[order])
    found = float(ratio[order][np.searchsorted(summed, summed[-1] / 2)])
    return found if found > 0 else 1.0


def noise_of(leaves: Leaves, *, unevenness: float) -> Noise:
    """The noise of the leaves, by medians, so that the change itself does not count.

    Returns:
        Dispersion and error that fit the spread by size of leaf, and the tails that fit what is left.
    """
    held = leaves.expected > 0
    counts, expected = leaves.counts[held], leaves.expected[held]
    small = 0.5 if leaves.is_of_counts or leaves.counts is not leaves.expected else 0.01 * float(np.median(expected))
    unit = expected / np.maximum(counts, 1e-12)
    shift = small * (unit if leaves.counts is not leaves.expected else 1.0)
    strayed = np.log((leaves.actual[held] + shift) / (expected + shift))
    dispersion, error = _by_size(strayed, counts) if leaves.dispersion is None else (leaves.dispersion, 0.03)
    if not isinstance(dispersion, np.ndarray):
        least = 1.0 if leaves.is_of_counts else 1e-6 * float(np.median(counts))
        dispersion = max(dispersion, least)
    first = Noise(dispersion, error, tails=_TAILS[-1], unevenness=unevenness)
    own = dispersion[held] if isinstance(dispersion, np.ndarray) else dispersion
    residuals = first.level(leaves.actual[held] / unit, own) - first.level(counts, own)
    tails, scale = _tails(residuals)
    return Noise(dispersion * scale, error * float(np.sqrt(scale)), tails, unevenness)


def _by_size(strayed: Floats, counts: Floats) -> tuple[float, float]:
    """Dispersion and error whose sum runs through the spread of leaves of like size."""
    order = np.argsort(counts, kind="stable")
    groups = int(np.clip(len(order) // 60, 3, 16))
    inverse, variance = [], []
    for group in np.array_split(order, groups):
        if len(group) >= 10:
            inverse.append(float(np.mean(1 / (counts[group] + 0.5))))
            variance.append((float(np.median(np.abs(strayed[group]))) / _NORMAL_QUARTILE) ** 2)
    if not inverse:
        return 1.0, 0.05
    at, logs = np.array(inverse), np.log(np.maximum(variance, 1e-9))
    best: tuple[float, float, float] | None = None
    for ratio in (0.0, *np.logspace(-2, 6, 33)):
        shape = np.log1p(ratio * at)
        middle = float(np.median(logs - shape))
        off = float(np.abs(logs - shape - middle).sum())
        if best is None or off < best[0] - 1e-9:
            best = (off, ratio, middle)
    assert best is not None
    error = max(float(np.exp(best[2] / 2)), _LEAST_ERROR)
    return max(best[1] * float(np.exp(best[2])), 1e-9), error


def _tails(residuals: Floats) -> tuple[float, float]:
    """Degrees of freedom that fit best, and the factor that keeps the quartiles where they are."""
    square = residuals[np.abs(residuals) < _CUT] ** 2
    found = []
    for tails in _TAILS:
        scale = float((_NORMAL_QUARTILE / student.ppf(0.75, tails)) ** 2)
        logs = gammaln((tails + 1) / 2) - gammaln(tails / 2) - 0.5 * np.log(tails * np.pi * scale)
        inside = 2 * student.cdf(_CUT / np.sqrt(scale), tails) - 1
        total = (logs - (tails + 1) / 2 * np.log1p(square / scale / tails)).sum() - len(square) * np.log(inside)
        found.append((float(total), tails, scale))
    best = max(found)
    return best[1], best[2]
