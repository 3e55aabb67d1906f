"""Since when a series stands at another level: planted steps, hand-worked series, symmetries, a real fall."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidelake.analyses.change.expected import expected
from tidelake.analyses.change.leaves import Floats
from tidelake.analyses.change.onset import Onset, onset, onset_at, onsets
from tidelake.errors import DefinitionError

ROOT = Path(__file__).parents[3]
WEEK = np.array([1.0, 0.98, 0.96, 0.99, 1.05, 1.2, 1.15])


def days(count: int) -> np.ndarray:
    return np.arange(count) % 7


def noisy(seed: int, count: int, *, at: int | None = None, change: float = 0.0, noise: float = 0.03) -> Floats:
    """A week's pattern with independent noise and, from `at` on, a level changed by `change`."""
    rng = np.random.default_rng(seed)
    values: Floats = 1000 * WEEK[days(count)] * np.exp(rng.normal(0, noise, count))
    if at is not None:
        values[at:] *= 1 + change
    return values


def told(found: Onset | None) -> Onset:
    assert found is not None
    return found


@pytest.mark.parametrize("change", [-0.17, 0.2, -0.3, 0.5])
def test_planted_step_is_found_on_its_day_with_its_size(change: float) -> None:
    found = told(onset(noisy(1, 56, at=44, change=change, noise=0.02), days(56)))
    assert found.at == 44
    assert found.low <= 44 <= found.high
    assert found.effect == pytest.approx(change, abs=0.03)


def test_series_without_noise_has_its_step_by_hand() -> None:
    """100 a day, from the fifteenth day on 90: a change by -10 % exactly, and no doubt of the day."""
    values = np.array([100.0] * 14 + [90.0] * 7)
    found = told(onset(values, days(21)))
    assert (found.at, found.low, found.high) == (14, 14, 14)
    assert found.effect == pytest.approx(-0.1)


def test_constant_series_has_no_onset() -> None:
    for level in (0.0, 5.0, -3.0, 1e9):
        assert onset(np.full(40, level), days(40)) is None


def test_too_short_or_empty_series_has_no_onset() -> None:
    assert onset(np.full(8, 5.0), days(8)) is None
    assert onset(np.full(20, np.nan), days(20)) is None
    assert onset(np.zeros(0), np.zeros(0, dtype=np.int64)) is None


def test_one_day_is_not_a_step() -> None:
    for day in (20, 40, 54, 55):
        values = noisy(3, 56)
        values[day] *= 0.5
        assert onset(values, days(56)) is None


def test_second_day_of_the_new_level_tells_it() -> None:
    values = noisy(4, 56, at=40, change=-0.3, noise=0.02)
    assert onset(values[:41], days(41)) is None
    assert told(onset(values[:42], days(42))).at == 40


def test_weekly_pattern_alone_is_no_change() -> None:
    """A product used at work: weekends at a tenth, no other noise than 1 %."""
    rng = np.random.default_rng(5)
    values = np.array([10, 10, 10, 10, 10, 1, 1.0])[days(60)] * np.exp(rng.normal(0, 0.01, 60))
    assert onset(values, days(60)) is None


def test_steady_trend_is_no_step_and_a_step_on_it_is() -> None:
    rng = np.random.default_rng(6)
    values = np.exp(0.02 * np.arange(60) + rng.normal(0, 0.03, 60))
    assert onset(values, days(60)) is None
    values[48:] *= 0.7
    found = told(onset(values, days(60)))
    assert found.at == 48
    assert found.effect == pytest.approx(-0.3, abs=0.06)


def test_last_of_several_steps_is_told() -> None:
    values = noisy(7, 84, at=30, change=-0.3, noise=0.02)
    values[66:] *= 0.8
    found = told(onset(values, days(84)))
    assert found.at == 66
    assert found.effect == pytest.approx(-0.2, abs=0.03)


def test_change_in_stages_begins_with_its_first_day() -> None:
    """By 20 %, three days later by 25 % more: one change of 1 - .8 x .75 = 40 %."""
    values = noisy(8, 70, at=50, change=-0.2, noise=0.02)
    values[53:] *= 0.75
    found = told(onset(values, days(70)))
    assert found.at == 50
    assert found.effect == pytest.approx(-0.4, abs=0.04)


def test_fall_that_is_over_is_no_onset() -> None:
    for length in (4, 7, 12):
        values = noisy(9, 70, noise=0.02)
        values[40 : 40 + length] *= 0.75
        assert onset(values, days(70)) is None


def test_recovery_in_part_leaves_what_remains_since_the_fall() -> None:
    values = noisy(10, 70, noise=0.02)
    values[40:50] *= 0.6
    values[50:] *= 0.85
    found = told(onset(values, days(70)))
    assert found.at == 40
    assert found.effect == pytest.approx(-0.15, abs=0.03)


def test_day_in_which_the_change_began_is_its_first() -> None:
    """At noon 40 % are gone: that day has lost 20 %."""
    values = noisy(11, 56, at=42, change=-0.4, noise=0.02)
    values[41] *= 0.8
    found = told(onset(values, days(56)))
    assert found.at == 41
    assert found.low <= 41


def test_days_that_do_not_count_are_not_read() -> None:
    values = noisy(12, 56, at=42, change=-0.2, noise=0.02)
    holed = values.copy()
    holed[[5, 17, 30, 44]] = np.nan
    assert told(onset(holed, days(56))).at == 42
    known = np.isfinite(holed)
    wrong = values.copy()
    wrong[~known] = 1e9
    assert onset(wrong, days(56), known=known) == onset(holed, days(56))


def test_interval_holds_the_missing_days_before_the_new_level() -> None:
    values = noisy(13, 56, at=40, change=-0.3, noise=0.01)
    values[38:42] = np.nan
    found = told(onset(values, days(56)))
    assert (found.at, found.low, found.high) == (42, 38, 42)


def test_outage_to_zero_is_found() -> None:
    values = np.round(noisy(14, 40))
    values[35:] = 0
    found = told(onset(values, days(40)))
    assert found.at == 35
    assert found.effect == pytest.approx(-1.0, abs=0.02)


def test_negative_values_are_taken_as_they_are() -> None:
    """Around 0 no ratio holds: a plain step from 20 to -30 is -50, by -250 % of what was expected."""
    values = 20 + np.random.default_rng(15).normal(0, 5, 56)
    values[0] = -1.0
    values[42:] -= 50
    found = told(onset(values, days(56)))
    assert found.at == 42
    assert found.effect == pytest.approx(-2.5, abs=0.4)


def test_shares_fall_and_days_of_few_are_believed_less() -> None:
    """A conversion of .2: weekends have 20 visitors, other days 20,000."""
    rng = np.random.default_rng(16)
    visitors = np.where(days(56) >= 5, 20, 20_000)
    rate = np.where(np.arange(56) < 42, 0.2, 0.16)
    buyers = rng.binomial(visitors, rate)
    shares = (buyers + 0.0) / visitors
    found = told(onset(shares, days(56), counts=buyers))
    assert found.low <= 42 <= found.high
    assert 40 <= found.at <= 42  # 40 and 41 are a weekend, of which nearly nothing is known
    assert found.effect == pytest.approx(-0.2, abs=0.03)


def test_small_counts_that_only_chance_moves_raise_no_alarm() -> None:
    rng = np.random.default_rng(17)
    alarms = sum(onset(rng.poisson(4, 56).astype(float), days(56)) is not None for _ in range(50))
    assert alarms <= 2  # looks that are 1 % each give more than 2 of 50 with a probability of .014
    found = told(onset(np.append(rng.poisson(20, 42), rng.poisson(5, 14)).astype(float), days(56)))
    assert abs(found.at - 42) <= 1
    assert found.effect == pytest.approx(-0.75, abs=0.12)


def test_named_day_is_judged_and_no_other() -> None:
    values = noisy(18, 35, at=28, change=-0.08)
    found = told(onset_at(values, days(35), 28))
    assert (found.at, found.low, found.high) == (28, 28, 28)
    assert found.effect == pytest.approx(-0.08, abs=0.04)
    assert onset_at(noisy(19, 35), days(35), 28) is None
    assert onset_at(values, days(35), 0) is None
    with pytest.raises(DefinitionError, match="outside of a series of 35 days"):
        onset_at(values, days(35), 35)


def test_fourteen_days_are_enough_for_a_clear_fall() -> None:
    assert told(onset(noisy(20, 14, at=7, change=-0.3, noise=0.02), days(14))).at == 7


def test_many_series_raise_few_false_alarms() -> None:
    """Twelve families of twenty series without a step: at 5 % each more than 3 with any alarm has probability .002."""
    false = 0
    for family in range(12):
        rows = np.array([noisy(1000 * family + i, 35) for i in range(20)])
        false += any(one is not None for one in onsets(rows, days(35)))
    assert false <= 3
    rows = np.array([noisy(i, 56, at=42 if i < 5 else None, change=-0.3) for i in range(20)])
    assert [told(one).at for one in onsets(rows, days(56))[:5]] == [42] * 5
    with pytest.raises(DefinitionError, match="series, days"):
        onsets(rows[0], days(56))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.sampled_from([1e-3, 0.5, 7.0, 1e6]), turn=st.integers(0, 6))
def test_scale_and_name_of_weekday_move_nothing(seed: int, factor: float, turn: int) -> None:
    values = noisy(seed, 49, at=38, change=-0.2) + 0.5
    found = told(onset(values, days(49)))
    scaled = told(onset(values * factor, days(49)))
    turned = told(onset(values, (days(49) + turn) % 7))
    for other in (scaled, turned):
        assert (other.at, other.low, other.high) == (found.at, found.low, found.high)
        assert other.effect == pytest.approx(found.effect, rel=1e-3)
        assert other.score == pytest.approx(found.score, rel=1e-3)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rise_mirrors_fall(seed: int) -> None:
    """On the logarithm 1 / values is the same series upside down: 1 + effect is inverted."""
    values = noisy(seed, 49, at=38, change=-0.2) / 10_000
    fall, rise = told(onset(values, days(49))), told(onset(1 / values, days(49)))
    assert (rise.at, rise.low, rise.high) == (fall.at, fall.low, fall.high)
    assert rise.score == pytest.approx(fall.score, rel=1e-4)
    assert rise.effect > 0 > fall.effect


def test_expected_goes_on_with_weekdays_and_level() -> None:
    """No noise: four weeks of a pattern; what followed had half of it, and the expectation does not see it."""
    values = 1000 * WEEK[days(42)]
    fallen = values.copy()
    fallen[28:] /= 2
    fallen[30] = np.nan
    assert expected(fallen, days(42), 28) == pytest.approx(values, rel=1e-3)


def test_expected_follows_trend_newest_level_and_no_outlier() -> None:
    values = noisy(21, 70, at=30, change=-0.3, noise=0.02) * np.exp(0.001 * np.arange(70))
    truth = 700 * WEEK[days(70)] * np.exp(0.001 * np.arange(70))
    values[45] *= 3
    assert expected(values, days(70), 56)[56:] == pytest.approx(truth[56:], rel=0.04)


def test_expected_of_one_week_is_that_week() -> None:
    values = 1000 * WEEK[days(14)]
    assert expected(values, days(14), 7) == pytest.approx(values, rel=0.01)


def test_expected_needs_a_history() -> None:
    with pytest.raises(DefinitionError, match="No day before 3 counts"):
        expected(np.array([np.nan, np.nan, np.nan, 4.0]), days(4), 3)
    with pytest.raises(DefinitionError, match="3 values and 4 weekdays"):
        expected(np.array([1.0, 2, 3]), days(4), 3)


@pytest.mark.parametrize("last", [23, 28, 31])
def test_block_of_chinese_wikipedia_is_found_in_its_daily_views(last: int) -> None:
    """zh.wikipedia.org was blocked in mainland China on 19 May 2015; the data begin on 1 May."""
    path = ROOT / "examples" / "wikimedia" / "data" / "daily" / "views_2015.parquet"
    table = pq.read_table(
        path,
        filters=[("site", "=", "zhwiki"), ("date", "<=", datetime.date(2015, 5, last))],
        columns=["date", "total"],
    ).sort_by("date")
    dates = table["date"].to_pylist()
    values = table["total"].to_numpy().astype(np.float64)
    found = told(onset(values, np.array([date.weekday() for date in dates])))
    assert datetime.date(2015, 5, 18) <= dates[found.at] <= datetime.date(2015, 5, 20)
    assert found.effect < -0.25
