"""The power curve and stickiness: by hand, and against sets in plain Python."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from tests.gold.tiny import Tiny
from tests.metrics.user_base import COLUMNS, DAYS, FIRST, SETTINGS, active_on, dates, events_of, random_activity
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.metrics.measure import measure
from tidelake.metrics.power_curve import PowerCurve, PowerCurveResult, power_curve, power_curve_members
from tidelake.metrics.stickiness import StickinessResult, Window, numbers_of, stickiness, stickiness_members

LAST = FIRST + timedelta(days=DAYS - 1)


def curve(tiny: Tiny, **options: Any) -> PowerCurveResult:
    return tiny.ask(power_curve, **options)


def sticky(tiny: Tiny, **options: Any) -> StickinessResult:
    return tiny.ask(stickiness, **options)


def window(active: dict[str, set[date]], day: date, length: int) -> dict[str, int]:
    """Active days of each actor in the window, in plain Python; who has none is left out."""
    first = day - timedelta(days=length - 1)
    found = {actor: sum(first <= one <= day for one in days) for actor, days in active.items()}
    return {actor: number for actor, number in found.items() if number}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tiny, Any]]:
    activity = random_activity(11)
    with Tiny(tmp_path_factory.mktemp("base"), SETTINGS, columns=COLUMNS) as made:
        made.add(events_of(activity))
        made.build()
        yield made, activity


@pytest.fixture
def four(tmp_path: Path) -> Iterator[Tiny]:
    """Monday 3 to Thursday 6 March 2025: ann on all four days, bob on two, cyd on one; then the 7th, which is open."""
    days = {"ann": (3, 4, 5, 6), "bob": (3, 6), "cyd": (5,)}
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as made:
        made.add(
            {"event_time": f"2025-03-0{day} 10:00", "actor_id": actor, "event_id": f"{actor}{day}"}
            for actor, own in days.items()
            for day in own
        )
        made.add([{"event_time": "2025-03-07 00:00", "actor_id": None, "event_id": "end"}])
        made.build()
        yield made


def test_four_days_by_hand(four: Tiny) -> None:
    """n = 1, 1, 0, 1; at least 1 to 4 days: 3, 2, 1, 1 of 3. Three quarters of four days are three: ann."""
    result = curve(four, window_days=4)
    rows = result.to_dicts()
    assert [(row["active_days"], row["actors"], row["numerator"]) for row in rows] == [
        (1, 1, 3),
        (2, 1, 2),
        (3, 0, 1),
        (4, 1, 1),
    ]
    assert [row["value"] for row in rows] == [1, 2 / 3, 1 / 3, 1 / 3]
    assert {(row["period_start"], row["period_end"], row["status"]) for row in rows} == {
        (date(2025, 3, 3), date(2025, 3, 6), "complete")
    }
    assert result.power is not None
    power = result.power.to_pylist()[0]
    assert (power["actors"], power["power_users"], power["power_share"]) == (3, 1, 1 / 3)
    assert power["mean_active_days"] == pytest.approx(7 / 3)
    assert power["stickiness_avg"] == pytest.approx(7 / 3 / 4)


def test_stickiness_of_four_days_by_hand(four: Tiny) -> None:
    """DAU 2, 1, 2, 2. avg of the 6th: mean 7/4 of 3 actors, shares 1, .5, .25 with standard deviation .3819.

    day of the 6th: 2 of 3. Its interval is Wilson's: z² = 3.8415, middle (2/3 + z²/6) / (1 + z²/3) = .5731.
    """
    rows = {row["period_start"].day: row for row in sticky(four, window_days=4).to_dicts()}
    last = rows[6]
    assert (last["numerator"], last["denominator"], last["n"]) == (7 / 4, 3, 3)
    assert last["value"] == pytest.approx(7 / 12)
    deviation = sqrt(((1 - 7 / 12) ** 2 + (0.5 - 7 / 12) ** 2 + (0.25 - 7 / 12) ** 2) / 2)
    assert last["ci_low"] == pytest.approx(7 / 12 - 1.959963984540054 * deviation / sqrt(3))
    assert (last["status"], rows[5]["status"], rows[7]["status"]) == ("complete", "partial_left", "open")
    assert rows[4]["value"] == pytest.approx((2 + 1) / 2 / 2)  # two received days; those before are not days of 0
    row = next(row for row in sticky(four, method="day", window_days=4).to_dicts() if row["period_start"].day == 6)
    assert (row["metric"], row["value"], row["numerator"], row["denominator"]) == ("stickiness_day", 2 / 3, 2, 3)
    assert (row["ci_low"] + row["ci_high"]) / 2 == pytest.approx(0.5731, abs=1e-4)


def test_of_a_week_it_is_the_last_complete_day(four: Tiny) -> None:
    week = sticky(four, grain="week", window_days=4).to_dicts()
    assert [(row["period_start"], row["value"]) for row in week] == [(date(2025, 3, 3), pytest.approx(7 / 12))]
    assert week[0]["status"] == "open"


def test_a_missing_day_is_not_a_day_of_nobody(tmp_path: Path) -> None:
    """The 4th was not received: the mean of the 3rd and 5th is over two days, and the status says missing."""
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add({"event_time": f"2025-03-0{day} 10:00", "event_id": f"e{day}"} for day in (3, 5, 6))
        tiny.build()
        row = next(row for row in sticky(tiny, window_days=3).to_dicts() if row["period_start"].day == 5)
        assert (row["value"], row["numerator"], row["status"]) == (1, 1, "missing")
        day = next(row for row in sticky(tiny, window_days=3, method="day").to_dicts() if row["period_start"].day == 4)
        assert (day["value"], day["status"]) == (None, "missing")
        result = curve(tiny, window_days=3)
        assert any("Only 2 of the 3 days" in note for note in result.notes)


def test_nobody_is_null_and_no_data_is_no_row(tmp_path: Path) -> None:
    assert numbers_of(Window(), "avg", 28)["value"] is None
    assert numbers_of(Window(), "day", 30)["value"] is None
    assert numbers_of(Window(1, 28, 784, 1), "avg", 28) == {
        "value": 1,
        "numerator": 1,
        "denominator": 1,
        "n": 1,
        "ci_low": None,
        "ci_high": None,
    }
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add([])
        tiny.build()
        assert (len(curve(tiny)), len(sticky(tiny))) == (0, 0)


def test_wrong_questions_say_what_next(four: Tiny) -> None:
    with pytest.raises(UnknownNameError, match="mean"):
        sticky(four, method="mean")
    with pytest.raises(DefinitionError, match="window days 0"):
        curve(four, window_days=0)
    with pytest.raises(DefinitionError, match="must not be more than the window's 7"):
        curve(four, window_days=7, power_days=8)


# --- against sets in plain Python


@pytest.mark.parametrize("length", [7, 28, 30])
@pytest.mark.parametrize("rule", [None, "any", "first", "last"])
def test_the_curve_is_that_of_sets(base: tuple[Tiny, Any], length: int, rule: str | None) -> None:
    tiny, activity = base
    options = {} if rule is None else {"by": "region", "segment": rule}
    rows = curve(tiny, window_days=length, **options).to_dicts()
    for value, active in active_on(activity, rule).items():
        held = window(active, LAST, length)
        own = [row for row in rows if row.get("region", "") == value]
        assert [row["actors"] for row in own] == (
            [sum(n == j for n in held.values()) for j in range(1, length + 1)] if held else []
        )
        assert [row["numerator"] for row in own] == (
            [sum(n >= j for n in held.values()) for j in range(1, length + 1)] if held else []
        )


@pytest.mark.parametrize("rule", [None, "any", "first", "last"])
def test_stickiness_is_that_of_sets_on_every_date(base: tuple[Tiny, Any], rule: str | None) -> None:
    tiny, activity = base
    options = {} if rule is None else {"by": "region", "segment": rule}
    found = {
        method: {
            (row["period_start"], row.get("region", "")): row
            for row in sticky(tiny, method=method, **options).to_dicts()
        }
        for method in ("avg", "day")
    }
    for value, active in active_on(activity, rule).items():
        for day in dates():
            held = window(active, day, 28)
            row = found["avg"][day, value]
            received = min(28, (day - FIRST).days + 1)
            assert row["denominator"] == len(held)
            assert row["numerator"] == pytest.approx(sum(held.values()) / received)
            month = window(active, day, 30)
            of_day = sum(day in days for days in active.values())
            row = found["day"][day, value]
            assert (row["numerator"], row["denominator"]) == (of_day, len(month))
            assert row["value"] == (of_day / len(month) if month else None)


def test_the_invariants_between_the_metrics_hold(base: tuple[Tiny, Any]) -> None:
    """max DAU <= WAU_7 <= sum DAU, DAU <= WAU <= MAU, sum n_j = MAU_28, sum j n_j = sum DAU, mean(L28)/28 = avg."""
    tiny, _ = base

    def values(metric: str) -> dict[date, float]:
        rows = tiny.ask(measure, metric).to_dicts()
        return {row["period_start"]: row["value"] for row in rows}

    dau, wau, mau, mau_28 = (values(name) for name in ("dau", "wau", "mau", "mau_28"))
    for day in dates():
        week = [dau[day - timedelta(days=back)] for back in range(7) if day - timedelta(days=back) in dau]
        assert max(week) <= wau[day] <= sum(week)
        assert dau[day] <= wau[day] <= mau_28[day] <= mau[day]
    average = {row["period_start"]: row["value"] for row in sticky(tiny).to_dicts()}
    for day in (LAST, LAST - timedelta(days=20)):
        rows = curve(tiny, at=day).to_dicts()
        assert sum(row["actors"] for row in rows) == mau_28[day]
        month = sum(dau[day - timedelta(days=back)] for back in range(28))
        assert sum(row["actors"] * row["active_days"] for row in rows) == month
        assert month / mau_28[day] / 28 == pytest.approx(average[day])
        assert rows[20]["value"] == rows[20]["numerator"] / mau_28[day]


def test_members_are_as_many_as_the_number(base: tuple[Tiny, Any]) -> None:
    tiny, _ = base
    for rule in ("any", "first", "last"):
        options: dict[str, Any] = {"by": "region", "segment": rule}
        result = curve(tiny, **options)
        assert result.power is not None
        members = tiny.ask(power_curve_members, **options).to_dicts()
        for row in result.power.to_pylist():
            own = [member for member in members if member["region"] == row["region"]]
            assert len(own) == row["actors"]
            assert sum(member["is_in_numerator"] for member in own) == row["power_users"]
        options["method"] = "day"
        day = LAST - timedelta(days=3)
        members = tiny.ask(stickiness_members, day, **options).to_dicts()
        for row in sticky(tiny, start=day, end=day, **options).to_dicts():
            own = [member for member in members if member["region"] == row["region"]]
            assert len(own) == row["denominator"]
            assert sum(member["is_in_numerator"] for member in own) == row["numerator"]
    whole = tiny.ask(stickiness_members, LAST).to_dicts()
    row = sticky(tiny, start=LAST, end=LAST).to_dicts()[0]
    assert sum(member["active_days"] for member in whole) / 28 == pytest.approx(row["numerator"])


def test_small_segments_are_put_together(base: tuple[Tiny, Any]) -> None:
    tiny, activity = base
    result = curve(tiny, by="region", segment_limit=1)
    regions = {row["region"] for row in result.to_dicts()}
    assert len(regions) == 2
    assert "(other)" in regions
    kept = (regions - {"(other)"}).pop()
    others: dict[str, set[date]] = {}
    for value, active in active_on(activity, "any").items():
        for actor, days in active.items() if value != kept else ():
            others.setdefault(actor, set()).update(days)
    held = window(others, LAST, 28)
    own = [row["actors"] for row in result.to_dicts() if row["region"] == "(other)"]
    assert own == [sum(number == j for number in held.values()) for j in range(1, 29)]
    assert any("(other)" in note for note in result.notes)


def test_a_power_user_is_active_on_three_quarters_of_the_days() -> None:
    assert [PowerCurve(window_days=days).power for days in (28, 7, 30, 1)] == [21, 6, 23, 1]
