"""Weekday profile and gaps written a second time, from METRICS section 13."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from tests.checks.events import days_between, period_first, period_index
from tests.checks.streaks import Days


def weekday_profile(values: Mapping[date, float | None], *, week_start: str = "monday") -> dict[int, dict[str, Any]]:
    """ "`weekday_profile`: mean over complete weeks of v(day) / mean of its week".

    Args:
        values: Of complete days; null or absent: not received. A week is complete when all seven have a value. A week
            whose mean is 0 has no shape and is left out.

    Returns:
        By ISO weekday, 1 = Monday: `value`, `weeks`.
    """
    shapes: list[dict[int, float]] = []
    for number in sorted({period_index(day, "week", week_start=week_start) for day in values}):
        first = period_first(number, "week", week_start=week_start)
        week = {day: values.get(day) for day in days_between(first, first + timedelta(days=6))}
        known = {day: value for day, value in week.items() if value is not None}
        if len(known) < 7 or not sum(known.values()):
            continue
        middle = sum(known.values()) / 7
        shapes.append({day.isoweekday(): value / middle for day, value in known.items()})
    return {
        weekday: {
            "value": sum(shape[weekday] for shape in shapes) / len(shapes) if shapes else None,
            "weeks": len(shapes),
        }
        for weekday in range(1, 8)
    }


def gaps(days: Days, *, first: date, last: date) -> dict[str, int]:
    """ "`zero_days`, `missing_days`, longest gap".

    Returns:
        `zero_days`, `missing_days`, and the longest runs of each (`longest_zero`, `longest_missing`) and of days that
        are one or the other (`longest_gap`).
    """
    kinds = []
    for day in days_between(first, last):
        status, value = days.get(day, ("none", None))
        kinds.append("missing" if status == "missing" else "zero" if value == 0 else "other")

    def longest(*names: str) -> int:
        return max((len(list(run)) for is_in, run in groupby(kind in names for kind in kinds) if is_in), default=0)

    return {
        "zero_days": kinds.count("zero"),
        "missing_days": kinds.count("missing"),
        "longest_zero": longest("zero"),
        "longest_missing": longest("missing"),
        "longest_gap": longest("zero", "missing"),
    }
