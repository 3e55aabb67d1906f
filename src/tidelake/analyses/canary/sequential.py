"""Bounds that hold at every look: a release is looked at daily, and each look is a chance to be wrong.

Of an estimate with standard error s whose error is a Brownian motion in information 1 / s^2, the likelihood ratio of a
normal mixture of effects against none is a martingale that begins at 1; by Ville's inequality it passes 1 / alpha, at
any look, with probability alpha at most. `multiple` is the z at which it does. Information is the clock, not the number
of actors: the same actors come back on the next day, and s says what that adds. One mixture is tight only where s is
about a third of its scale; the mean of three, each four times as wide as the one before, is near that over a range of s
of fifty.

Source:
    H. Robbins, Annals of Mathematical Statistics 41 (1970), 1397-1409 (mixtures); R. Johari, P. Koomen, L. Pekelis,
    D. Walsh, Operations Research 70 (2022), 1806-1821 (mSPRT); I. Waudby-Smith, D. Arbour, R. Sinha, E. Kennedy,
    A. Ramdas, Annals of Statistics 52 (2024), 2613-2640, Theorem 2.2 (asymptotic confidence sequences: t * rho^2 there
    is `(scale / s)^2` here); D. Scharfstein, A. Tsiatis, J. Robins, JASA 92 (1997), 1342-1350 (information as clock).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, log, sqrt

SCALE = 0.08  # of effects, on the log scale, for which the bound is tightest; fixed before the first look
_WIDER = (0.25, 1.0, 4.0)


def mixture_multiple(error: float, *, scale: float, alpha: float = 0.05) -> float:
    """How many standard errors the bound of one normal mixture lies from the estimate; infinite for an error of 0.

    Args:
        error: Standard error of the estimate, in the unit of `scale`.
        scale: Standard deviation of the mixture.
        alpha: Probability that the truth ever leaves the bounds, over all looks together.
    """
    if error <= 0:
        return inf
    clock = (scale / error) ** 2
    return sqrt(2 * (clock + 1) / clock * (log(clock + 1) / 2 - log(alpha)))


def multiple(error: float, *, scale: float = SCALE, alpha: float = 0.05) -> float:
    """The same of the mean of three mixtures: of `scale`, a quarter and four times of it.

    Args:
        scale: The size of effect that is looked for; fixed beforehand.
    """
    scales = [scale * wider for wider in _WIDER]
    if error <= 0:
        return inf
    low = 0.0
    high = min(mixture_multiple(error, scale=one, alpha=alpha / len(scales)) for one in scales)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if log_ratio(middle, error, scales) < -log(alpha) else (low, middle)
    return high


def log_ratio(z: float, error: float, scales: Sequence[float]) -> float:
    """Logarithm of the mean likelihood ratio of the mixtures, at an estimate z standard errors from none."""
    clocks = [(one / error) ** 2 for one in scales]
    parts = [z * z / 2 * clock / (1 + clock) - log(1 + clock) / 2 for clock in clocks]
    most = max(parts)
    return most + log(sum(exp(part - most) for part in parts) / len(parts))


def radius(error: float, *, scale: float = SCALE, alpha: float = 0.05) -> float:
    """Half the width of the interval that holds at every look; 0 for an error of 0."""
    return error * multiple(error, scale=scale, alpha=alpha) if error > 0 else 0.0


def error_for(target: float, *, scale: float = SCALE, alpha: float = 0.05) -> float:
    """The largest standard error whose radius is at most `target`; found by halving, to 1e-9 of it."""
    low, high = 0.0, target
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if radius(middle, scale=scale, alpha=alpha) <= target else (low, middle)
    return low
