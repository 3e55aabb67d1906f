"""Exact splits along a metric's tree: hand-worked, and what holds for any numbers."""

from __future__ import annotations

from itertools import permutations
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidelake.analyses.change.factors import shapley, split, split_segments

POSITIVE = st.floats(0.01, 1e6)
ANY = st.one_of(st.just(0.0), st.integers(-1000, 1000).map(float), POSITIVE)


def chains(values: st.SearchStrategy[float], size: int = 4) -> st.SearchStrategy[tuple[list[float], list[float]]]:
    one = st.lists(values, min_size=size, max_size=size)
    return st.tuples(one, one)


def test_half_the_users_play_four_times_as_much() -> None:
    """100 users x 2 plays = 200; 50 x 8 = 400. L = 200 / ln 2; users L ln(1/2) = -200, plays a user L ln 4 = +400."""
    users, plays = split([100, 200], [50, 400], ["users", "plays"])
    assert (users.before, users.after, users.ratio) == (100, 50, 0.5)
    assert (plays.name, plays.before, plays.after, plays.ratio) == ("plays per users", 2, 8, 4)
    assert users.contribution == pytest.approx(-200)
    assert plays.contribution == pytest.approx(400)
    assert (users.share, plays.share) == (pytest.approx(-1), pytest.approx(2))
    assert plays.said() == "plays per users: 2 -> 8 (+300.0 %), +400 of the change (200 %)"


def test_minutes_halve_and_nothing_else_moves() -> None:
    parts = split([10, 20, 60, 600], [10, 20, 60, 300])
    assert [part.contribution for part in parts] == pytest.approx([0, 0, 0, -300])
    assert [part.ratio for part in parts] == [1, 1, 1, 0.5]


def test_a_factor_that_falls_to_zero_is_split_after_shapley() -> None:
    """10 x 2 -> 5 x 0: users (-5 x 2 + -5 x 0) / 2 = -5; plays a user (-2 x 10 + -2 x 5) / 2 = -15."""
    users, plays = split([10, 20], [5, 0])
    assert (users.contribution, plays.contribution) == (-5, -15)


def test_what_follows_a_quantity_that_fell_to_zero_is_not_known() -> None:
    """10 users, 20 opens, 60 plays; then 10 users who cannot open: all of it is opens a user."""
    users, opens, plays = split([10, 20, 60], [10, 0, 0])
    assert (users.contribution, opens.contribution, plays.contribution) == (0, -60, 0)
    assert np.isnan(plays.after)
    assert "not known" in plays.said()


def test_plays_without_opens_leave_the_opens_out() -> None:
    """10 users, no open was logged, 60 plays; then 5 users, 10 opens, 30 plays: users carry all of it, 6 a user."""
    users, opens, plays = split([10, 0, 60], [5, 10, 30])
    assert (users.contribution, opens.contribution, plays.contribution) == (-30, 0, 0)


def test_a_segment_that_appears() -> None:
    """By Shapley from (0, 0, 0) on: 3 users x 2 x 5 = 30; its rates are not known before, so that users have it all."""
    parts = split_segments([[0, 0, 0], [1, 1, 1]], [[3, 6, 30], [1, 1, 1]])
    assert parts.tolist() == [[30, 0, 0], [0, 0, 0]]


def test_a_ratio_has_no_first_factor() -> None:
    """2 opens a day x 3 plays an open = 6 plays a day -> 1 x 3 = 3: L = 3 / ln 2, opens L ln 2 = -3."""
    opens, plays = split([10, 20, 60], [20, 20, 60], ["days", "opens", "plays"], is_ratio=True)
    assert (opens.name, opens.before, opens.after) == ("opens per days", 2, 1)
    assert (opens.contribution, plays.contribution) == (pytest.approx(-3), pytest.approx(0))


def test_ratio_by_segment_is_mix_and_rates() -> None:
    """Shares 1/2, 1/2 of days at 4 and 1 plays -> 1/4, 3/4: ratio 2.5 -> 1.75, all of it mix, -1 and +.25."""
    parts = split_segments([[10, 40], [10, 10]], [[10, 40], [30, 30]], is_ratio=True)
    assert parts == pytest.approx(np.array([[-1.0, 0], [0.25, 0]]))


def test_mix_of_a_sum() -> None:
    """All users double and keep their shares: the whole change is the number of all users."""
    parts = split_segments([[10, 40], [10, 10]], [[20, 80], [20, 20]], with_mix=True)
    assert parts == pytest.approx(np.array([[40.0, 0, 0], [10, 0, 0]]))


@settings(max_examples=60, deadline=None)
@given(chains(ANY))
def test_parts_add_up_whatever_the_numbers(chain: tuple[list[float], list[float]]) -> None:
    before, after = chain
    parts = split_segments([before], [after])
    rounding = 1e-12 * np.abs(parts).max() + 1e-9
    assert parts.sum() == pytest.approx(after[-1] - before[-1], rel=1e-12, abs=rounding)


@settings(max_examples=40, deadline=None)
@given(st.lists(chains(st.one_of(st.just(0.0), POSITIVE), 3), min_size=1, max_size=5))
def test_parts_of_segments_add_up_to_the_total(segments: list[tuple[list[float], list[float]]]) -> None:
    before, after = np.array([one[0] for one in segments]), np.array([one[1] for one in segments])
    change = after[:, -1].sum() - before[:, -1].sum()
    parts = split_segments(before, after)
    rounding = 1e-12 * np.abs(parts).max() + 1e-6  # parts far beyond the change cancel out
    assert parts.sum() == pytest.approx(change, rel=1e-9, abs=rounding)
    if before[:, 0].sum() > 0 and after[:, 0].sum() > 0:
        parts = split_segments(before, after, with_mix=True)
        rounding = 1e-12 * np.abs(parts).max() + 1e-6
        assert parts.sum() == pytest.approx(change, rel=1e-9, abs=rounding)


@settings(max_examples=40, deadline=None)
@given(chains(POSITIVE), st.floats(0.1, 10), st.integers(0, 3))
def test_units_and_direction(chain: tuple[list[float], list[float]], scale: float, at: int) -> None:
    """A quantity's unit changes nothing but the last one's scale; the way back is the way there with another sign."""
    before, after = np.array([chain[0]]), np.array([chain[1]])
    parts = split_segments(before, after)
    factor = np.ones(4)
    factor[at] = scale
    size = np.abs(parts).max() + 1e-9
    expected = parts * (scale if at == 3 else 1)
    assert split_segments(before * factor, after * factor) == pytest.approx(expected, rel=1e-6, abs=1e-7 * size * scale)
    assert split_segments(after, before) == pytest.approx(-parts, rel=1e-6, abs=1e-7 * size)


@settings(max_examples=40, deadline=None)
@given(chains(st.floats(-10, 10), 3))
def test_shapley_is_the_mean_over_all_orders(factors: tuple[list[float], list[float]]) -> None:
    before, after = np.array(factors[0]), np.array(factors[1])
    parts = np.zeros(3)
    for order in permutations(range(3)):
        now = before.copy()
        for at in order:
            old = now.prod()
            now[at] = after[at]
            parts[at] += (now.prod() - old) / 6
    assert shapley(before, after) == pytest.approx(parts, abs=1e-9)
    turned = shapley(before[::-1], after[::-1])
    assert turned[::-1] == pytest.approx(parts, abs=1e-9)


def test_order_of_factors_does_not_matter() -> None:
    """users x opens x plays = users x plays x opens: here 2 x 3 x 5 -> 4 x 3 x 10, in two orders of the last two."""
    one = split([2, 6, 30], [4, 12, 120])
    other = split([2, 10, 30], [4, 40, 120])
    mean = 90 / log(4)
    assert [part.contribution for part in one] == pytest.approx([mean * log(2), 0, mean * log(2)])
    assert [other[0].contribution, other[2].contribution, other[1].contribution] == pytest.approx(
        [part.contribution for part in one]
    )


def test_what_is_no_chain() -> None:
    with pytest.raises(ValueError, match="shapes"):
        split([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="no number"):
        split([1, float("nan")], [1, 2])
    with pytest.raises(ValueError, match="denominator"):
        split([0, 2], [1, 2], is_ratio=True)
    with pytest.raises(ValueError, match="1 to 12"):
        split([], [])
