"""Weekday profiles by hand (METRICS section 13)."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.metrics.counts import Sites
from tidelake.metrics.weekdays import weekdays

MONDAY = date(2024, 12, 30)  # its week ends in the next year


def test_each_complete_week_weighs_the_same(tmp_path: Path) -> None:
    """Week 1: Monday 14, others 7 each: mean 8, Monday 1.75, others .875. Week 2, ten times as many views, all the
    same: 1 each. Week 3 has a missing Wednesday and week 4 an open Sunday: left out. Monday (1.75 + 1) / 2 = 1.375.
    """
    with Sites(tmp_path) as sites:
        third = [None if n == 2 else 5 for n in range(7)]
        sites.series("en", MONDAY, [14, *[7] * 6, *[80] * 7, *third, *[5] * 7])
        sites.build()
        rows = sites.ask(weekdays, "views", by=["entity"]).to_dicts()
        assert [row["weekday"] for row in rows] == [
            *("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
        ]
        assert [row["value"] for row in rows] == [pytest.approx(1.375), *[pytest.approx(0.9375)] * 6]
        assert {row["n"] for row in rows} == {2}
        assert sum(row["value"] for row in rows) == pytest.approx(7)
        assert [row["value"] for row in sites.ask(weekdays, "views").to_dicts()] == [row["value"] for row in rows]


def test_weeks_begin_as_the_project_says(tmp_path: Path) -> None:
    """Sunday 5 to Saturday 11 January 2025 is the only whole week that begins on a Sunday: Sunday 8, then 1 each:
    mean 2, Sunday 4, others .5.
    """
    with Sites(tmp_path, {"week_start": "sunday"}) as sites:
        sites.series("en", date(2025, 1, 3), [9, 9, 8, 1, 1, 1, 1, 1, 1, 3])
        sites.build()
        rows = sites.ask(weekdays, "views").to_dicts()
    assert [(row["weekday"], row["value"], row["n"]) for row in rows[:2]] == [("Sunday", 4, 1), ("Monday", 0.5, 1)]


def test_a_week_of_zeros_has_no_profile(tmp_path: Path) -> None:
    """`de` has a view before the week and none in it; `fr` begins on its second day: no row of either."""
    with Sites(tmp_path) as sites:
        sites.series("en", MONDAY - timedelta(days=1), [1] * 9)
        sites.series("de", MONDAY - timedelta(days=1), [1])
        sites.series("fr", MONDAY + timedelta(days=1), [1] * 7)
        sites.build()
        result = sites.ask(weekdays, "views", by=["entity"])
    assert {row["entity"] for row in result.to_dicts()} == {"en"}
    assert "2 without a complete week" in result.notes[-1]
