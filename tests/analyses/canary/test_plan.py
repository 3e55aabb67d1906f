"""Power: published sample sizes, the inverse of them, and which segments are proposed."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from tidelake.analyses.canary.plan import Moments, Segment, actors_each, detectable, detectable_always, propose


@pytest.mark.parametrize(
    ("deviation", "effect", "power", "alpha", "actors"),
    [
        (10, 5, 0.8, 0.05, 63),  # Chow, Shao, Wang: two means, equality, sd 10, means 5 and 10
        (1, 0.5, 0.8, 0.05, 63),  # Cohen 1988: a medium effect (64 by the t distribution)
        (1, 0.2, 0.8, 0.05, 393),  # a small one
        (1, 0.8, 0.8, 0.05, 25),  # a large one
        (1, 0.5, 0.9, 0.05, 85),  # (1.959964 + 1.281552)^2 * 8 = 84.06
    ],
)
def test_actors_that_are_needed(deviation: float, effect: float, power: float, alpha: float, actors: int) -> None:
    assert actors_each(deviation, effect, power=power, alpha=alpha) == actors
    seen = detectable(deviation, 2 * actors, power=power, alpha=alpha)
    assert seen == pytest.approx(effect, rel=0.02)
    always = detectable_always(deviation, 2 * actors, power=power, alpha=alpha, scale=effect)
    assert always is not None
    assert seen is not None
    assert 1.2 * seen < always < 2 * seen


def test_a_ratio_s_deviation_by_hand() -> None:
    """Actors with y 2, 4 and x 1, 1: ratio 3, residuals -1 and 1, variance 2: sqrt(2) / 3; x of 2 changes nothing."""
    assert Moments(2, 6, 2, 20, 6, 2).relative_deviation == pytest.approx(sqrt(2) / 3)
    assert Moments(2, 12, 4, 80, 24, 8).relative_deviation == pytest.approx(sqrt(2) / 3)
    assert Moments(2, 0, 2, 0, 0, 2).relative_deviation is None
    assert Moments(1, 6, 2, 36, 12, 4).relative_deviation is None


def segment(name: str, actors: int, level: float, *, wobble: float = 0.0, rest: float = 10_000.0) -> Segment:
    """A segment of actors with a standard deviation of half of the mean over 7 days."""
    days = np.array([[actors * level * (1 + wobble * (-1) ** day), actors] for day in range(8)], dtype=float)
    yy = actors * level**2 * 1.25 - level**2 * 0.25  # so that the sample variance is (level / 2)^2
    moments = Moments(actors, actors * level, actors, yy, actors * level, actors)
    return Segment((("region", name),), {7: moments}, days, np.full((8, 2), rest))


def test_the_small_steady_and_alike_are_proposed() -> None:
    """Deviation .5, half of 2,000 each: at one look (1.96 + .84) * .5 * sqrt(2 / 1000) = .0626."""
    given = [
        segment("good", 2000, 1.0),
        segment("large", 20_000, 1.0),
        segment("unlike", 2000, 1.3),
        segment("restless", 2000, 1.0, wobble=0.2),
        segment("tiny", 120, 1.0),
    ]
    found = {one.name.removeprefix("region="): one for one in propose(given, effect=0.1)}
    assert next(iter(found)) == "good"
    assert {name for name, one in found.items() if one.verdict == "try here"} == {"good"}
    assert found["good"].days == 7
    assert found["good"].effect_once == pytest.approx(0.0626, abs=1e-4)
    assert "carries 67 %" in found["large"].verdict
    assert "+30 %" in found["unlike"].verdict
    assert "moves apart" in found["restless"].verdict
    assert found["tiny"].days is None
    assert "too few actors" in found["tiny"].verdict
