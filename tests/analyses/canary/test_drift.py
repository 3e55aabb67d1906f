"""PSI and Jensen-Shannon by hand, beside scipy, and what chance alone gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2

from tidelake.analyses.canary.drift import Counts, drift


def counts(of_actors: np.ndarray) -> Counts:
    """Counts from each actor's rows by bin; shape (actors, bins)."""
    given = np.asarray(of_actors, dtype=float)
    whole = given.sum(axis=1, keepdims=True)
    return Counts(given.sum(0), (given**2).sum(0), (given * whole).sum(0), float((whole**2).sum()), len(given))


def one_each(bins: list[int]) -> Counts:
    """One row an actor: so many in each bin."""
    return counts(np.repeat(np.eye(len(bins)), bins, axis=0))


def test_by_hand() -> None:
    """Shares 1/2, 1/2 and 3/4, 1/4: PSI = -1/4 ln(2/3) + 1/4 ln 2 = .1013663 + .1732868 = .2746531.

    Jensen-Shannon, with the middle 5/8, 3/8: (.5 log2 .8 + .5 log2 4/3 + .75 log2 1.2 + .25 log2 2/3) / 2 = .0487949.
    """
    found = drift(one_each([500, 500]), one_each([750, 250]))
    assert found.psi == pytest.approx(0.2746531, abs=1e-6)
    assert found.jensen_shannon == pytest.approx(0.0487949, abs=1e-6)
    assert found.jensen_shannon == pytest.approx(jensenshannon([0.5, 0.5], [0.75, 0.25], base=2) ** 2)
    assert found.verdict == "shifted"
    # One row an actor: 999 degrees in place of 1,000 are in the design effect, so it is 1 to a thousandth.
    assert found.chance_limit == pytest.approx(0.002 * chi2.isf(0.01, 1), rel=2e-3)


def test_what_chance_gives() -> None:
    """Samples of 300 and 200 of one distribution over ten bins: mean (1/300 + 1/200) * 9 = .075, 1 in 100 above."""
    rng = np.random.default_rng(8)
    share = np.full(10, 0.1)
    found = [
        drift(one_each(list(rng.multinomial(300, share))), one_each(list(rng.multinomial(200, share))))
        for _ in range(400)
    ]
    assert np.mean([one.by_chance for one in found]) == pytest.approx(0.075, rel=0.03)
    assert np.mean([one.psi for one in found]) == pytest.approx(0.075, rel=0.06)
    assert np.mean([(one.psi or 0) > (one.chance_limit or 0) for one in found]) <= 0.03
    assert {one.verdict for one in found} <= {"cannot be told", "look"}  # so small samples cannot see .1
    assert sum(one.verdict == "look" for one in found) <= 12


def test_copies_of_rows_tell_nothing_new() -> None:
    """Each actor's row ten times: n is ten times as large, and so is the design effect."""
    once, ten = np.repeat(np.eye(4), 50, axis=0), 10 * np.repeat(np.eye(4), 50, axis=0)
    single, copied = drift(counts(once), counts(once)), drift(counts(ten), counts(ten))
    assert copied.by_chance == pytest.approx(single.by_chance)
    assert copied.new_rows == 10 * single.new_rows


def test_rows_of_one_actor_alike_widen_what_chance_gives() -> None:
    """Actors with 20 rows in a bin of their own taste: PSI of equal populations passes its limit 1 time in 100."""
    rng = np.random.default_rng(3)

    def side(actors: int) -> Counts:
        taste = rng.dirichlet(np.ones(5) * 0.5, actors)
        return counts(np.array([rng.multinomial(20, one) for one in taste]))

    found = [drift(side(120), side(60)) for _ in range(150)]
    assert np.mean([(one.psi or 0) > (one.chance_limit or 0) for one in found]) <= 0.05
    naive = (1 / 2400 + 1 / 1200) * chi2.isf(0.01, 4)
    assert np.mean([(one.psi or 0) > naive for one in found]) > 0.5


def test_an_empty_side_and_one_value() -> None:
    nobody = Counts(np.zeros(2), np.zeros(2), np.zeros(2), 0.0, 0)
    assert drift(one_each([5, 5]), nobody).verdict == "cannot be told"
    assert drift(one_each([5, 0]), one_each([9, 0])).psi == 0.0
