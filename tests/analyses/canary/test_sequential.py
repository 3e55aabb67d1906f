"""Bounds that hold at every look: the published formula, and false alarms counted under continuous peeking."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest

from tidelake.analyses.canary.compare import Rows, compare
from tidelake.analyses.canary.sequential import SCALE, error_for, log_ratio, mixture_multiple, multiple, radius


@pytest.mark.parametrize(("t", "rho2", "margin"), [(100, 0.1, 0.303781), (1000, 0.01, 0.096064), (50, 0.02, 0.517092)])
def test_one_mixture_is_the_margin_of_an_asymptotic_confidence_sequence(t: int, rho2: float, margin: float) -> None:
    """Waudby-Smith et al., Theorem 2.2: sqrt(2 (t rho2 + 1) / (t^2 rho2) ln(sqrt(t rho2 + 1) / alpha)).

    At t = 100, rho2 = .1: 2 * 11 / 1000 * ln(3.31662 / .05) = .022 * 4.19468 = .0922830, its root .303781; at 50 and
    .02: 2 * 2 / 50 * ln(1.414214 / .05) = .08 * 3.342306, its root .517092.
    """
    error = 1 / sqrt(t)
    assert error * mixture_multiple(error, scale=sqrt(rho2)) == pytest.approx(margin, abs=5e-6)


def test_the_mean_of_three_mixtures_reaches_its_level_at_the_bound() -> None:
    for error in (0.001, 0.02, 0.3):
        scales = [SCALE / 4, SCALE, 4 * SCALE]
        assert log_ratio(multiple(error), error, scales) == pytest.approx(-log(0.05), abs=1e-9)
        single = min(mixture_multiple(error, scale=one) for one in scales)
        assert single < multiple(error) < 1.25 * single  # what it costs not to know the size beforehand
    assert radius(error_for(0.02)) == pytest.approx(0.02)
    assert radius(0.0) == 0.0


def alarms(runs: int, actors: int, seed: int) -> tuple[float, float]:
    """Share of trials without effect in which a bound is passed at any of the looks, one after each actor of each side.

    Values are exponential. The first look is at 100 actors of each side, below which nothing is said.
    """
    grid = np.geomspace(0.003, 0.5, 300)
    bound = np.array([multiple(error) for error in grid])
    always = once = 0
    count = np.arange(1, actors + 1)
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        parts = []
        for _ in range(2):
            values = rng.exponential(1.0, actors)
            mean = values.cumsum() / count
            square = np.maximum((values**2).cumsum() / count - mean**2, 1e-12) / np.maximum(count - 1, 1)
            parts.append((mean[99:], square[99:]))
        (new, new_square), (control, control_square) = parts
        error = np.sqrt(new_square / new**2 + control_square / control**2)
        z = np.abs(np.log(new / control)) / error
        always += bool((z > np.interp(error, grid, bound)).any())
        once += bool((z > 1.96).any())
    return always / runs, once / runs


def test_false_alarms_under_continuous_peeking() -> None:
    """300 trials without an effect: at most 5 % + 2 standard errors (7.5 %), where single looks give many more."""
    always, once = alarms(300, 2000, seed=3)
    assert always <= 0.075
    assert once > 0.2


@pytest.mark.slow
def test_false_alarms_under_continuous_peeking_at_length() -> None:
    always, once = alarms(4000, 10_000, seed=11)
    assert always <= 0.05
    assert once > 0.3


def test_false_alarms_of_daily_looks_at_actors_who_come_back() -> None:
    """60 trials of 30 days: the same actors on each day, plays over active days, standardised over segments."""
    wrong = 0
    for seed in range(60):
        rng = np.random.default_rng([7, seed])
        actors, days = 300, 30
        new, segment = rng.random(actors) < 0.5, rng.integers(0, 3, actors)
        active = rng.random((actors, days)) < np.minimum(rng.gamma(2, 0.25, actors), 0.95)[:, None]
        plays = rng.poisson((rng.gamma(3, 1 / 3, actors) * 2)[:, None], (actors, days)) * active
        for day in range(0, days, 3):
            y, x = plays[:, : day + 1].sum(1).astype(float), active[:, : day + 1].sum(1).astype(float)
            found = compare(Rows(np.arange(actors), new, (segment,), y, x))
            if found.ratio is None or found.log_error is None or min(found.new_actors, found.control_actors) < 100:
                continue
            if abs(log(found.ratio)) > radius(found.log_error):
                wrong += 1
                break
    assert wrong <= 6  # 3 expected at most
