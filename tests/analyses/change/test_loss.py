"""What a fall cost: weeks that repeat exactly, worked on paper, and simulated segments with a planted fall."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, t, truncnorm  # type: ignore[import-untyped]

from benchmarks.loss import Setting, measured, own_history, questions, world
from tidelake.analyses.change.loss import loss, loss_of_ratio
from tidelake.analyses.change.loss_coverage import CONTROLS, OWN_HISTORY, coverage_of_own_history
from tidelake.analyses.change.seasonal import filled, forecast_weights, taught
from tidelake.analyses.change.selected import interval, low_end, widening
from tidelake.errors import QueryError

WEEK = np.array([100.0, 90, 90, 90, 110, 160, 160])  # 800 a week
NONE = np.empty((0, 0))


def weeks(count: int) -> Any:
    return np.tile(WEEK, count)


def days(values: Any) -> Any:
    return np.arange(len(values)) % 7


def ask(affected: Any, controls: Any, at: int, **options: Any) -> Any:
    return loss(affected, controls, days(affected), at, len(affected), **options)


def noisy(seed: int, *, segments: int = 8, at: int = 56, ahead: int = 7) -> Any:
    return world(np.random.default_rng([99, seed]), Setting(segments, at, ahead))


@pytest.mark.parametrize("before", [2, 4, 8])
def test_own_history_of_weeks_that_repeat_gives_the_exact_loss_without_width(before: int) -> None:
    """A fifth of a week of 800 is 160; days that repeat exactly have no spread."""
    values = weeks(before + 1)
    values[-7:] *= 0.8
    found = ask(values, NONE, before * 7)
    assert found.method == "own history"
    assert not found.is_calibrated
    assert (found.lost, found.low, found.high) == pytest.approx((160, 160, 160))
    assert found.expected == pytest.approx(weeks(before + 1))


def test_seven_days_before_and_seven_after_have_an_answer_with_an_interval() -> None:
    values = weeks(2)
    values[7:] *= 0.8
    found = ask(values, NONE, 7)
    assert found.lost == pytest.approx(160)
    assert found.low < 160 < found.high
    assert found.coverage == OWN_HISTORY[7, 7]
    assert found.placebo_spread is None
    assert "not calibrated" in found.note


def test_own_history_s_interval_of_independent_days_is_that_of_the_textbook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without correlation, six known days, mean forecast: t(5) x s x sqrt(1/2 + 1/6) for the mean of two days."""
    monkeypatch.setattr("tidelake.analyses.change.own_history._CORRELATION", 0.0)
    values = np.array([10.0, 12, 9, 11, 13, 11, 5, 6])
    found = ask(values, NONE, 6)
    half = t.ppf(0.95, 5) * values[:6].std(ddof=1) * np.sqrt(1 / 2 + 1 / 6) * 2
    assert found.lost == pytest.approx(22 - 11)
    assert (found.low, found.high) == pytest.approx((11 - half, 11 + half))


def test_what_all_segments_share_is_not_lost() -> None:
    """All fall by a tenth, one by a further fifth of what is left: 800 x .9 x .2 = 144."""
    values = np.outer([1, 2, 5], weeks(7))
    values[:, 42:] *= 0.9
    values[0, 42:] *= 0.8
    found = ask(values[0], values[1:], 42)
    assert found.method == "controls"
    assert found.is_calibrated
    assert (found.lost, found.shared_change) == pytest.approx((144, -0.1))
    assert found.expected[42:] == pytest.approx(0.9 * WEEK)
    assert ask(values[0], NONE, 42).lost == pytest.approx(80 + 144)


def test_a_rise_is_a_loss_below_zero() -> None:
    values = noisy(1)
    values[0, 56:] *= 1.3
    found = ask(values[0], values[1:], 56)
    assert found.low < found.lost < found.high < 0


@pytest.mark.parametrize("controls", [0, 1, 7])
def test_a_loss_scales_with_its_unit(controls: int) -> None:
    values = noisy(2)
    values[0, 56:] *= 0.8
    once, often = ask(values[0], values[1 : 1 + controls], 56), ask(1000 * values[0], values[1 : 1 + controls], 56)
    assert (often.lost, often.low, often.high) == pytest.approx((1000 * once.lost, 1000 * once.low, 1000 * once.high))


def test_units_of_a_control_and_a_copy_of_it_change_little() -> None:
    values = noisy(3)
    values[0, 56:] *= 0.8
    plain = ask(values[0], values[1:], 56)
    other_unit = values[1:] * np.linspace(0.01, 100, 7)[:, None]
    assert ask(values[0], other_unit, 56).lost == pytest.approx(plain.lost)
    copied = ask(values[0], np.vstack((values[1:], values[3])), 56)
    assert abs(copied.lost - plain.lost) < 0.25 * (plain.high - plain.low)


def test_days_that_are_missing_or_not_known_are_not_counted_and_that_is_said() -> None:
    """Of the week from the fall on, Tuesday (90) is missing and Sunday (160) not complete: a fifth of 550."""
    values = np.outer([1, 2, 5], weeks(7))
    values[0, 42:] *= 0.8
    values[0, [17, 43]] = np.nan
    values[:, 48] = 3.0
    known = np.arange(49) != 48
    for controls, method in ((values[1:], "controls"), (NONE, "own history")):
        found = ask(values[0], controls, 42, known=known)
        assert found.method == method
        assert (found.lost, found.days_counted) == pytest.approx((110, 5))
        assert "2 of 7 days" in found.note


def test_a_control_s_missing_day_is_no_fall_of_it() -> None:
    values = np.outer([1, 2, 5, 3], weeks(7))
    values[0, 42:] *= 0.8
    values[1, [10, 44]] = np.nan
    assert ask(values[0], values[1:], 42).lost == pytest.approx(160)


def test_days_that_no_control_knows_are_not_told_by_controls() -> None:
    values = np.outer([1, 2, 5], weeks(7))
    values[0, 42:] *= 0.8
    values[1:, 10:18] = np.nan
    assert ask(values[0], values[1:], 42).method == "controls"
    values[1:, 44] = np.nan
    found = ask(values[0], values[1:], 42)
    assert (found.method, found.lost) == ("own history", pytest.approx(160))


def test_few_known_days_widen_the_interval() -> None:
    """Eight of 28 days are known, at the end or with a hole; what fills the others does not vary."""
    values = noisy(9, segments=1, at=28)[0]
    values[28:] *= 0.8
    whole = ask(values, NONE, 28)
    for missing in (slice(0, 20), slice(2, 22)):
        part = values.copy()
        part[missing] = np.nan
        few = ask(part, NONE, 28)
        assert few.high - few.low > whole.high - whole.low
        assert few.coverage == OWN_HISTORY[7, 7]


def test_segments_that_appear_vanish_or_go_below_zero_are_no_controls() -> None:
    values = noisy(4)
    values[0, 56:] *= 0.8
    values[1, :30] = np.nan
    values[2, 56:] = 0
    values[3, 20] = -5
    found = ask(values[0], values[1:], 56)
    assert found.controls_used == (3, 4, 5, 6)
    assert found.lost == ask(values[0], values[4:], 56).lost


def test_controls_with_zeros_are_summed_to_one() -> None:
    values = noisy(5)
    values[0, 56:] *= 0.8
    split = values[1].copy()
    first = split * np.array([0.0, 1.0, 0.4, 0.4, 0.4])[np.arange(63) % 5]
    found = ask(values[0], np.vstack((first, split - first, values[2:])), 56)
    alone = ask(values[0], np.vstack((values[2:], split)), 56)
    assert found.controls_used == tuple(range(8))
    assert found.lost == pytest.approx(alone.lost, rel=0.01)


def test_controls_that_fell_too_are_left_out() -> None:
    values = noisy(6)
    values[0, 56:] *= 0.7
    values[[2, 5], 56:] *= 0.6
    found = ask(values[0], values[1:], 56)
    assert found.controls_left_out == (1, 4)
    assert found.lost == pytest.approx(ask(values[0], values[[1, 3, 4, 6, 7]], 56).lost)
    assert "2 of them changed themselves" in found.note


def test_of_two_controls_that_part_the_one_that_kept_to_its_history_stays() -> None:
    values = np.outer([1, 2, 5], weeks(7))
    values[0, 42:] *= 0.8
    values[2, 42:] *= 0.5
    found = ask(values[0], values[1:], 42)
    assert (found.controls_used, found.controls_left_out) == ((0,), (1,))
    assert found.lost == pytest.approx(160)


def test_controls_that_fit_badly_give_way_to_the_own_history() -> None:
    values = noisy(7, segments=2)
    wild = values[1] * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.3, 63)))
    found = ask(values[0], wild, 56)
    assert found.method == "own history"
    assert "fit badly" in found.note


def test_under_five_weeks_or_nine_pretended_onsets_is_not_calibrated() -> None:
    values = noisy(8, at=42, ahead=21)
    assert not loss(values[0], values[1:], days(values[0]), 34, 41).is_calibrated
    assert not loss(values[0], values[1:], days(values[0]), 42, 63).is_calibrated  # 42 - 21 - 14 = 7 pretended ones
    found = loss(values[0], values[1:], days(values[0]), 42, 49)
    assert (found.is_calibrated, found.calibration) == (True, 42 - 14 - 6)


def test_a_fall_within_the_day_counts_from_that_day_and_a_gap_keeps_it_out_of_history() -> None:
    """Half of Saturday (160) lost, all of Sunday and Monday: 80 + 160 + 100. With a gap Saturday is not counted."""
    values = np.outer([1, 2, 5], weeks(8))[:, :50]
    values[0, 47] /= 2
    values[0, 48:] = 0
    whole, gapped = ask(values[0], values[1:], 47), ask(values[0], values[1:], 48, gap=1)
    assert (whole.lost, gapped.lost) == pytest.approx((340, 260))


def test_one_day_ahead_and_a_segment_that_went_to_zero() -> None:
    values = np.outer([1, 2, 5], weeks(6))[:, :36]
    values[0, 35] = 0
    assert ask(values[0], values[1:], 35).lost == pytest.approx(100)


def test_values_below_zero_are_answered_from_their_own_history() -> None:
    """Net of refunds: a week of -10 + 60 = 50, and half of each day after."""
    net = np.tile([-10.0, 10, 10, 10, 10, 10, 10], 7)
    net[42:] /= 2
    found = ask(net, np.outer([1, 2], weeks(7)), 42)
    assert (found.lost, found.method) == (pytest.approx(25), "own history")


def test_a_ratio_s_loss_is_in_units_of_its_numerator() -> None:
    """Half of 800 views are completed, then two fifths: .1 x 800 = 80 completions, a rate lower by .1."""
    views = np.outer([1, 2, 5], weeks(7))
    done = views * 0.5
    done[0, 42:] = 0.4 * views[0, 42:]
    found = loss_of_ratio(done[0], views[0], done[1:], views[1:], days(done[0]), 42, 49)
    assert found.numerator.method == "controls"
    assert (found.numerator.lost, found.rate, found.rate_low, found.rate_high) == pytest.approx((80, 0.1, 0.1, 0.1))
    assert found.numerator.expected[42:] == pytest.approx(0.5 * WEEK)


def test_fewer_views_at_the_same_rate_are_no_loss_of_the_ratio_and_days_without_views_do_not_count() -> None:
    views = weeks(5)
    views[28:] *= 0.5
    views[[10, 30]] = 0
    found = loss_of_ratio(views / 2, views, NONE, NONE, days(views), 28, 35)
    assert (found.numerator.lost, found.rate) == pytest.approx((0, 0))
    assert found.numerator.days_counted == 6


def test_pretended_onsets_lose_about_nothing() -> None:
    for seed in range(4):
        values = noisy(20 + seed)
        values[0, 56:] *= 0.8
        found = ask(values[0], values[1:], 56)
        assert abs(found.placebo_center) < 2 * found.placebo_spread < 0.7 * found.lost


def test_questions_without_an_answer_say_why() -> None:
    values = weeks(3)
    with pytest.raises(QueryError, match="follow one another"):
        loss(values, NONE, np.zeros(21, int), 14, 21)
    with pytest.raises(QueryError, match="two known days"):
        ask(values, NONE, 1)
    with pytest.raises(QueryError, match="gap of 0"):
        loss(values, NONE, days(values), 14, 22)
    with pytest.raises(QueryError, match="No day from the fall on"):
        ask(np.where(np.arange(21) < 14, values, np.nan), NONE, 14)


def test_forecast_of_two_weeks_by_hand() -> None:
    """Weeks weigh 1 and .7; the same weekday adds (1 - 1/7) / 2, each other day takes 1 / 14."""
    found = forecast_weights(14, (0,))[:, 0]
    older, newer = 0.7 / 1.7 / 7, 1 / 1.7 / 7
    worked = [older + 3 / 7, *[older - 1 / 14] * 6, newer + 3 / 7, *[newer - 1 / 14] * 6]
    assert found == pytest.approx(worked)


def test_gaps_are_filled_by_weekday_and_outliers_teach_nothing() -> None:
    values = weeks(5)
    known = np.ones(35, bool)
    known[[8, 16]] = False
    assert filled(np.where(known, values, -1.0), known) == pytest.approx(values)
    wild = values.copy()
    wild[17] *= 3
    assert taught(wild[None, :], 35)[0] == pytest.approx(values)


def test_the_chosen_segment_s_interval_solves_the_truncated_normal() -> None:
    """Mean at which a change of 4 or more has 5 % chance, given more than 2.2, by scipy's truncated normal."""
    placebo = np.array([2.2, 0.1, -0.4, 1.0, -1.2])
    found = low_end(4.0, placebo, 0.9)
    assert truncnorm.sf(4.0 - found, 2.2 - found, np.inf) == pytest.approx(0.05, rel=1e-6)
    assert 4 - norm.isf(0.05 / 6) < found < 4 - norm.isf(0.05)


def test_far_from_the_others_choice_costs_nothing_and_beside_them_all_are_covered_at_once() -> None:
    placebo = np.array([0.5, -1.0, 1.0, 0.2, -0.3])
    assert low_end(12.0, placebo, 0.9) == pytest.approx(12 - norm.isf(0.05), abs=1e-6)
    assert low_end(1.0, placebo, 0.9) == pytest.approx(1 - norm.isf(0.05 / 6))
    assert interval(-12.0, placebo, 0.9) == pytest.approx((-12 - norm.isf(0.05), -12 + norm.isf(0.05)), abs=1e-6)


def test_without_placebo_segments_the_width_is_student_s() -> None:
    """Three degrees of freedom and four horizons that do not overlap."""
    worked = np.sqrt(1.15) * t.ppf(0.95, 7) / norm.ppf(0.95)
    assert widening(np.empty(0), 4, 0.9, uneven=0.0) == pytest.approx(worked)


def test_coverage_is_that_of_the_nearest_length_measured_on_the_careful_side() -> None:
    assert coverage_of_own_history(30, 10) == OWN_HISTORY[28, 14]
    assert coverage_of_own_history(3, 90) == OWN_HISTORY[7, 28]


def test_stated_coverage_of_the_own_history_is_found_again() -> None:
    """150 questions on other seeds: two standard errors are .06."""
    assert own_history(14, 7, 150, 2) == pytest.approx(OWN_HISTORY[14, 7], abs=0.1)


@pytest.mark.parametrize(
    "setting",
    [
        Setting(6, 42, 7),
        Setting(6, 42, 7, shock=0.15, uneven=0.2),
        Setting(10, 42, 7, 0.0, choice="week before"),
    ],
)
def test_intervals_with_controls_hold_the_truth(setting: Setting) -> None:
    """40 questions at .90: below .75 one time in two hundred."""
    assert measured(setting, 40, 3)["coverage"] > 0.75


def test_the_same_question_has_the_same_answer() -> None:
    one, two = (list(questions(Setting(4, 42, 7), 2, 5)) for _ in range(2))
    assert [(a[2].low, a[2].high, a[2].note) for a in one] == [(b[2].low, b[2].high, b[2].note) for b in two]


@pytest.mark.slow
@pytest.mark.parametrize("segments", [2, 6, 20])
@pytest.mark.parametrize("shock", [0.0, 0.15])
def test_coverage_over_many_series(segments: int, shock: float) -> None:
    """300 questions: three standard errors are .05."""
    found = measured(Setting(segments, 56, 7, shock=shock, uneven=0.2), 300, 11)
    assert 0.83 < found["coverage"] < 0.97
    assert found["by_controls"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("fall", [0.0, 0.06, 0.2])
@pytest.mark.parametrize("choice", ["week before", "month before", "units"])
def test_coverage_of_the_worst_of_many_over_many_series(fall: float, choice: str) -> None:
    assert measured(Setting(20, 56, 7, fall, choice=choice), 300, 12)["coverage"] > 0.85


@pytest.mark.slow
def test_every_stated_coverage_is_found_again() -> None:
    for (before, ahead), stated in OWN_HISTORY.items():
        assert own_history(before, ahead, 300, 13) == pytest.approx(stated, abs=0.1)
    for controls, stated in CONTROLS.items():
        assert measured(Setting(controls + 1, 56, 7), 300, 13)["coverage"] == pytest.approx(stated, abs=0.06)
