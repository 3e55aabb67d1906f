"""The trend of daily values: planted slopes are found, nothing is found in nothing, and little data says little."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.metrics.kinds.slopes import Slope, weekly_slope
from tidelake.metrics.trend import TrendResult, trend, verdict_of

START = date(2025, 3, 3)
RHYTHM = np.log([1.0, 0.9, 0.95, 1.0, 1.2, 1.5, 1.4])


def days(number: int) -> list[date]:
    return [START + timedelta(days=offset) for offset in range(number)]


def noisy(number: int, weekly: float, *, seed: int, likeness: float = 0.0, noise: float = 0.03) -> list[float]:
    """Values with a slope, a weekly rhythm, and noise of which neighbours resemble each other."""
    rng = np.random.default_rng(seed)
    errors = [rng.normal() * noise / (1 - likeness**2) ** 0.5]
    for _ in range(number - 1):
        errors.append(likeness * errors[-1] + rng.normal() * noise)
    return [exp(log(2000) + log(1 + weekly) / 7 * d + RHYTHM[d % 7] + errors[d]) for d in range(number)]


def test_an_exact_slope_is_found_below_a_rhythm_of_the_week() -> None:
    """2 % more a week, times a factor a weekday: no noise, so the slope is 2 % and its interval has no width."""
    found = weekly_slope(days(28), noisy(28, 0.02, seed=0, noise=0))
    assert found is not None
    assert found.weekly == pytest.approx(0.02)
    assert found.bounds[0.95] == (pytest.approx(0.02), pytest.approx(0.02))
    assert verdict_of(found, found.p_value, 0.01) == "rising"


def test_days_that_are_left_out_keep_their_place() -> None:
    chosen = [number for number in range(40) if number % 5]
    values = noisy(40, -0.03, seed=0, noise=0)
    found = weekly_slope([days(40)[n] for n in chosen], [values[n] for n in chosen])
    assert found is not None
    assert found.weekly == pytest.approx(-0.03)
    assert verdict_of(found, found.p_value, 0.01) == "falling"


def test_one_day_of_nothing_or_of_ten_times_as_much_changes_little() -> None:
    values = noisy(56, 0.02, seed=3)
    whole = weekly_slope(days(56), values)
    values[20], values[40] = 0.0, values[40] * 10
    spoilt = weekly_slope(days(56), values)
    assert whole is not None
    assert spoilt is not None
    assert spoilt.weekly == pytest.approx(whole.weekly, abs=0.002)


def test_constant_values_have_no_trend() -> None:
    found = weekly_slope(days(28), [7.0] * 28)
    assert found is not None
    assert (found.weekly, found.level) == (0, pytest.approx(7))
    assert verdict_of(found, found.p_value, 0.01) == "no trend"


def test_too_few_days_cannot_be_told() -> None:
    assert weekly_slope(days(13), [1.0] * 13) is None
    assert verdict_of(None, None, 0.01) == "cannot be told"


@pytest.mark.parametrize(
    ("weekly", "q_value", "narrow", "verdict"),
    [
        (0.02, 0.05, (0.001, 0.036), "rising"),
        (-0.02, 0.01, (-0.036, -0.004), "falling"),
        (0.02, 0.06, (0.002, 0.037), "cannot be told"),  # so sure by itself, not among all that were looked at
        (0.005, 0.001, (0.002, 0.008), "no trend"),  # surely more than 0, and too little to call a trend
        (0.0, 1.0, (-0.009, 0.009), "no trend"),
        (0.0, 1.0, (-0.025, 0.009), "cannot be told"),
    ],
)
def test_verdicts(weekly: float, q_value: float, narrow: tuple[float, float], verdict: str) -> None:
    assert verdict_of(Slope(weekly, 100, {0.9: narrow}, q_value, 56), q_value, 0.01) == verdict


@pytest.mark.parametrize("likeness", [0.0, 0.5])
def test_the_interval_holds_the_planted_slope_as_often_as_it_says(likeness: float) -> None:
    """Of 150 series of 56 days 95 % is 142.5; the normal range of a binomial count is 137 to 148."""
    held = 0
    for seed in range(150):
        found = weekly_slope(days(56), noisy(56, 0.01, seed=seed, likeness=likeness))
        assert found is not None
        low, high = found.bounds[0.95]
        held += low <= 0.01 <= high
    assert 135 <= held <= 150


def test_the_p_value_and_the_interval_say_the_same_but_at_the_edge() -> None:
    """Both come from one count and one variance; the interval's end is a slope, so that only its rounding differs."""
    for seed in range(40):
        found = weekly_slope(days(56), noisy(56, 0.004, seed=seed))
        assert found is not None
        low, high = found.bounds[0.95]
        if abs(found.p_value - 0.05) > 0.01:
            assert (found.p_value < 0.05) == (not low <= 0 <= high)


# --- as a metric


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    """Five weeks: 20 actors of the north on the first day and one more each day; always 10 of the south."""
    with Tiny(tmp_path_factory.mktemp("trend"), {"dimensions": ["region"]}, columns={"region": pa.string()}) as made:
        made.add(
            {
                "event_time": datetime(2025, 3, 3, 10, tzinfo=UTC) + timedelta(days=day),
                "actor_id": f"{region}{actor}",
                "region": region,
                "event_id": f"{day}{region}{actor}",
            }
            for day in range(36)
            for region, actors in (("north", 20 + day), ("south", 10))
            for actor in range(actors)
        )
        made.build()
        yield made


def ask(tiny: Tiny, *given: Any, **options: Any) -> TrendResult:
    return tiny.ask(trend, *given, **options)


def test_a_growing_region_is_told_from_one_that_stays(tiny: Tiny) -> None:
    rows = {row["region"]: row for row in ask(tiny, by="region", days=35).to_dicts()}
    assert {region: row["verdict"] for region, row in rows.items()} == {"north": "rising", "south": "no trend"}
    north, south = rows["north"], rows["south"]
    assert north["period_end"] == date(2025, 4, 6)  # the last day, the 7th, is open
    assert (north["n"], north["status"]) == (35, "complete")
    assert 0.15 < north["value"] < 0.25  # seven more a week on 20 to 54
    assert north["change"] == pytest.approx(north["level"] * north["value"])
    assert (south["value"], south["level"]) == (0, pytest.approx(10))


def test_the_range_is_said_and_days_before_the_data_are_not_made_up(tiny: Tiny) -> None:
    row = ask(tiny).to_dicts()[0]
    assert (row["metric"], row["n"], row["status"]) == ("dau_trend", 35, "partial_left")
    early = ask(tiny, at=date(2025, 3, 10)).to_dicts()[0]
    assert (early["n"], early["value"], early["verdict"]) == (8, None, "cannot be told")


def test_any_metric_of_a_day_has_a_trend_and_others_say_why_not(tiny: Tiny) -> None:
    assert ask(tiny, "events", days=28).to_dicts()[0]["verdict"] == "rising"
    with pytest.raises(UnknownNameError, match="evnts"):
        ask(tiny, "evnts")
    with pytest.raises(DefinitionError, match="average_dau is a metric of a week"):
        ask(tiny, "average_dau")
    with pytest.raises(DefinitionError, match="days 13"):
        ask(tiny, days=13)


def test_an_empty_project_says_so(tmp_path: Path) -> None:
    with Tiny(tmp_path) as empty:
        empty.add([])
        empty.build()
        row = ask(empty).to_dicts()
        assert [(one["value"], one["verdict"]) for one in row] in ([], [(None, "cannot be told")])
