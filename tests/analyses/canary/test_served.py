"""Diversity of what was served: pairs of servings of different actors, by hand and beside a brute-force jackknife."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest

from tidelake.analyses.canary.served import Servings, diversity, pair_hhi


def servings(*given: tuple[int, int, int, float]) -> Servings:
    """Rows of (actor, is_new, title, count)."""
    actor, new, title, count = (np.array(column) for column in zip(*given, strict=True))
    return Servings(actor, new.astype(bool), title, count.astype(float))


def test_pairs_of_different_actors_by_hand() -> None:
    """One saw x and y, the other x and z: of 2 * 2 pairs one is of one title. With shares squared it would be 3/8."""
    given = servings((0, 1, 0, 1), (0, 1, 1, 1), (1, 1, 0, 1), (1, 1, 2, 1))
    assert pair_hhi(given)[0] == pytest.approx(0.25)


def test_repeats_of_one_actor_are_no_pairs() -> None:
    given = servings((0, 1, 0, 50), (1, 1, 1, 1), (2, 1, 1, 1))
    assert pair_hhi(given)[0] == pytest.approx(2 / (52**2 - 50**2 - 2))


def test_small_samples_are_not_less_diverse() -> None:
    """20 equal titles, so 1 / 20: the mean over 400 samples of 15 servings; shares squared would give .113."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(400):
        titles = rng.integers(0, 20, 15)
        hhi, _ = pair_hhi(Servings(np.arange(15), np.ones(15, bool), titles, np.ones(15)))
        found.append(hhi or 0.0)
    assert np.mean(found) == pytest.approx(0.05, abs=0.003)


def test_the_jackknife_is_that_of_leaving_each_actor_out() -> None:
    rng = np.random.default_rng(4)
    actor = np.repeat(np.arange(24), 3)
    given = Servings(actor, actor % 2 == 0, (6 * rng.random(72) ** 2).astype(np.int64), np.ones(72))
    seen: dict[tuple[int, int], int] = {}
    for who, title in zip(given.actor.tolist(), given.title.tolist(), strict=True):
        seen[who, title] = seen.get((who, title), 0) + 1
    given = servings(*((who, who % 2 == 0, title, count) for (who, title), count in seen.items()))
    squares = 0.0
    for side in (True, False):
        mine = [(who, title, count) for (who, title), count in seen.items() if (who % 2 == 0) == side]
        people = sorted({who for who, _, _ in mine})
        without = [log(brute([row for row in mine if row[0] != one])) for one in people]
        squares += (len(people) - 1) / len(people) * float(((np.array(without) - np.mean(without)) ** 2).sum())
    found = diversity(given)
    assert found.log_error == pytest.approx(sqrt(squares))
    new, control = (brute([(w, t, c) for (w, t), c in seen.items() if (w % 2 == 0) == side]) for side in (True, False))
    assert (found.new, found.control) == pytest.approx((1 / new, 1 / control))
    assert found.ratio == pytest.approx(control / new)


def brute(rows: list[tuple[int, int, int]]) -> float:
    """The share of pairs of different actors with one title, pair by pair."""
    each = [(who, title) for who, title, count in rows for _ in range(count)]
    pairs = [(a, b) for a in each for b in each if a[0] != b[0]]
    return sum(a[1] == b[1] for a, b in pairs) / len(pairs)


def test_nothing_in_common_is_not_known() -> None:
    found = diversity(servings((0, 1, 0, 1), (1, 1, 1, 1), (2, 0, 0, 1), (3, 0, 0, 1)))
    assert found.ratio is None
