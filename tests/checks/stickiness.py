"""Stickiness written a second time, from METRICS section 2."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from tests.checks.active import Active, daily, rolling, window_days
from tests.checks.events import Coverage, Event, default_active


def stickiness_avg(
    events: Iterable[Event], coverage: Coverage, *, length: int = 28, active: Active = default_active
) -> dict[date, dict[str, Any]]:
    """`stickiness_avg(d) = mean_{k=0..27} DAU(d−k) / MAU_28(d)`; "null when MAU=0".

    "The mean is over the received days of the window (the status says that others are missing): a day that was not
    received is not a day of 0." Where all were received it "equals mean active days / 28". `active_days` is Σ over
    actors of their active days.
    """
    events = list(events)
    by_day = daily(events, coverage, active=active)
    found = {}
    for day, row in rolling(events, coverage, length=length, active=active).items():
        days = window_days(day, length)
        received = [by_day[one]["value"] for one in days if one in by_day and by_day[one]["value"] is not None]
        mean = sum(received) / len(received) if received else None
        found[day] = {
            "value": mean / row["value"] if row["value"] and mean is not None else None,
            "numerator": mean,
            "denominator": row["value"],
            "active_days": sum(len(by_day[one]["actors"]) for one in days if one in by_day),
            "status": row["status"],
        }
    return found


def stickiness_day(
    events: Iterable[Event], coverage: Coverage, *, length: int = 30, active: Active = default_active
) -> dict[date, dict[str, Any]]:
    """`stickiness_day = DAU/MAU` of one date; "null when MAU=0". A date that was not received has no numbers at all."""
    events = list(events)
    by_day = daily(events, coverage, active=active)
    found = {}
    for day, row in rolling(events, coverage, length=length, active=active).items():
        today = by_day[day]["value"]
        found[day] = {
            "value": today / row["value"] if row["value"] and today is not None else None,
            "numerator": today,
            "denominator": None if today is None else row["value"],
            "status": row["status"],
        }
    return found
