"""Periods of local dates: days, weeks named by their first date, calendar months."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Literal, get_args

import pyarrow as pa

from tidelake.errors import UnknownNameError

Grain = Literal["day", "week", "month"]


def grain_named(name: str) -> Grain:
    """The grain of a name.

    Raises:
        UnknownNameError: There is none.
    """
    grains: tuple[Grain, ...] = get_args(Grain)
    for grain in grains:
        if grain == name:
            return grain
    raise UnknownNameError("grain", name, grains)


def period_start(day: date, grain: Grain, week_start: str = "monday") -> date:
    """First date of the period that a date lies in."""
    if grain == "day":
        return day
    if grain == "week":
        offset = day.weekday() if week_start == "monday" else (day.weekday() + 1) % 7
        return day - timedelta(days=offset)
    return day.replace(day=1)


def next_period(start: date, grain: Grain) -> date:
    """First date after the period that begins on `start`."""
    if grain == "day":
        return start + timedelta(days=1)
    if grain == "week":
        return start + timedelta(days=7)
    return date(start.year + start.month // 12, start.month % 12 + 1, 1)


def whole_periods(first: date, last: date, grain: Grain, week_start: str) -> tuple[date, date]:
    """First and last date of the periods that hold two dates."""
    after = next_period(period_start(last, grain, week_start), grain)
    return period_start(first, grain, week_start), after - timedelta(days=1)


def days_table(days: Sequence[date], grain: Grain, week_start: str) -> pa.Table:
    """Which dates make which period: `day`, `period_start`."""
    starts = [period_start(day, grain, week_start) for day in days]
    return pa.table({"day": pa.array(days, pa.date32()), "period_start": pa.array(starts, pa.date32())})


def dates_between(first: date, last: date) -> Iterator[date]:
    """Every date from first to last; none where last is before first."""
    for offset in range((last - first).days + 1):
        yield first + timedelta(days=offset)
