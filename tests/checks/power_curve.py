"""The power-user curve written a second time, from METRICS section 3."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from tests.checks.active import Active, actives_of, window_days
from tests.checks.events import Coverage, Event, default_active


def power_curve(
    events: Iterable[Event],
    coverage: Coverage,
    *,
    length: int = 28,
    at: date | None = None,
    consecutive: bool = True,
    active: Active = default_active,
) -> dict[str, Any]:
    """`n_j` = "number of actors active on exactly j of the last 28 complete days".

    Args:
        at: The last day to look at; null = the end of the data. The window ends on the last complete day up to it.
        consecutive: Whether the days are the 28 dates that end there, as `Σ n_j = MAU_28` asks; otherwise the last 28
            dates that are complete, however far apart.

    Returns:
        `exactly` and `at_least` by j (value, denominator, share), `days`, `actives`, `active_days`, `mean`,
        `share_of_21` ("share with L28≥21"), `status`.
    """
    events = list(events)
    complete = [day for day in coverage.days() if coverage.day_status(day) == "complete"]
    complete = [day for day in complete if at is None or day <= at]
    if not complete:
        return {"days": [], "status": "open", "exactly": {}, "at_least": {}}
    days = window_days(max(complete), length) if consecutive else sorted(complete)[-length:]
    days_of: dict[str, int] = {}
    for day in days:
        for actor in actives_of(events, [day], active):
            days_of[actor] = days_of.get(actor, 0) + 1
    actives = len(days_of)

    def row(count: int) -> dict[str, Any]:
        return {
            "value": count,
            "numerator": count,
            "denominator": actives,
            "share": count / actives if actives else None,
        }

    numbers = range(1, length + 1)
    exactly = {j: row(sum(1 for own in days_of.values() if own == j)) for j in numbers}
    at_least = {k: row(sum(1 for own in days_of.values() if own >= k)) for k in numbers}
    status = coverage.window_status(days)
    return {
        "exactly": exactly,
        "at_least": at_least,
        "days": sorted(days),
        "actives": actives,
        "active_days": sum(days_of.values()),
        "mean": sum(days_of.values()) / actives if actives else None,
        "share_of_21": row(sum(1 for own in days_of.values() if own >= 21))["share"],
        "status": "partial_left" if len(days) < length and status == "complete" else status,
    }
