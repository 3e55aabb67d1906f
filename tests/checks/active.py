"""Active users written a second time, from METRICS section 1: a set of actors for every date, and unions of sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any

from tests.checks.activity import active_sets
from tests.checks.events import Coverage, Event, default_active, order, period_days, text

Active = Callable[[Event], bool]


def actives_of(events: Iterable[Event], days: Iterable[date], active: Active = default_active) -> set[str]:
    """`A` of some dates: "set of actors with ≥1 active event on local date d"."""
    wanted = set(days)
    return {item.actor for item in events if item.actor is not None and item.local_date in wanted and active(item)}


def sets_by_day(events: Iterable[Event], active: Active = default_active) -> dict[date, set[str]]:
    """`A(d)` of every date that has one."""
    return active_sets((item.actor, item.local_date) for item in events if item.actor is not None and active(item))


def window_days(day: date, length: int) -> list[date]:
    """The dates `d−k` for k = 0 .. length − 1."""
    return [day - timedelta(days=offset) for offset in range(length)]


def _row(value: int | None, status: str, actors: set[str]) -> dict[str, Any]:
    return {"value": value, "numerator": value, "denominator": None, "status": status, "actors": actors}


def daily(
    events: Iterable[Event], coverage: Coverage, *, active: Active = default_active
) -> dict[date, dict[str, Any]]:
    """`DAU(d)=|A(d)|`, for every date of a calendar without gaps. "`missing` ⇒ null"."""
    sets = sets_by_day(events, active)
    found = {}
    for day in coverage.days():
        actors = sets.get(day, set())
        status = coverage.day_status(day)
        found[day] = _row(None if status == "missing" else len(actors), status, actors)
    return found


def rolling(
    events: Iterable[Event], coverage: Coverage, *, length: int, active: Active = default_active
) -> dict[date, dict[str, Any]]:
    """`WAU_7`, `MAU_28`, `MAU_30`: distinct actors of the window that ends on d; worst status of its days.

    "Zero is a value only when the source was received": a window of which no day was is null.
    """
    sets = sets_by_day(events, active)
    found = {}
    for day in coverage.days():
        days = window_days(day, length)
        actors = set().union(*(sets.get(one, set()) for one in days))
        is_received = any(coverage.first <= one and one not in coverage.missing for one in days)
        found[day] = _row(len(actors) if is_received else None, coverage.window_status(days), actors)
    return found


def calendar(
    events: Iterable[Event], coverage: Coverage, *, grain: str, active: Active = default_active
) -> dict[date, dict[str, Any]]:
    """`WAU_cal`, `MAU_cal`: "distinct in calendar week/month", keyed by the period's first date."""
    sets = sets_by_day(events, active)
    found = {}
    for first in coverage.periods(grain):
        days = period_days(first, grain, week_start=coverage.week_start)
        actors = set().union(*(sets.get(day, set()) for day in days))
        status = coverage.period_status(first, grain)
        found[first] = _row(None if status == "missing" else len(actors), status, actors)
    return found


def rolling_by_period(
    events: Iterable[Event], coverage: Coverage, *, length: int, grain: str, active: Active = default_active
) -> dict[date, dict[str, Any] | None]:
    """ "A rolling metric asked at week/month grain returns the value of the last complete day in the period".

    Null where the period has no such day. `day` is that day, the latest whose own status is complete. `status` is
    that of the window that ends there, `period_status` that of the period.
    """
    rows = rolling(events, coverage, length=length, active=active)
    found: dict[date, dict[str, Any] | None] = {}
    for first in coverage.periods(grain):
        days = period_days(first, grain, week_start=coverage.week_start)
        day = max((day for day in days if day in rows and coverage.day_status(day) == "complete"), default=None)
        period = {"day": day, "period_status": coverage.period_status(first, grain)}
        found[first] = None if day is None else {**rows[day], **period}
    return found


def by_segment(
    events: Iterable[Event],
    days: Iterable[date],
    *,
    dimension: str,
    rule: str = "any",
    keep: set[str] | None = None,
    active: Active = default_active,
) -> dict[str, Any]:
    """Distinct actors of some dates by a dimension.

    Args:
        rule: `any`: "value at event time: an actor may count in several segments"; `first`, `last`: the value at the
            actor's first or last active event of these dates.
        keep: The values that are named; others are `(other)`. Null: all.

    Returns:
        `segments` (value to actors), `total`, `sum_of_segments`, `overlap` (sum − total).
    """
    wanted = set(days)
    own = [item for item in sorted(events, key=order) if item.local_date in wanted and active(item)]
    own = [item for item in own if item.actor is not None]
    segments: dict[str, set[str]] = {}
    for actor in {item.actor for item in own}:
        values = [text(item.props.get(dimension)) for item in own if item.actor == actor]
        picked = {"any": set(values), "first": {values[0]}, "last": {values[-1]}}[rule]
        for value in picked:
            name = value if keep is None or value in keep else "(other)"
            segments.setdefault(name, set()).add(str(actor))
    counts = {value: len(actors) for value, actors in segments.items()}
    total = len({item.actor for item in own})
    return {
        "segments": counts,
        "total": total,
        "sum_of_segments": sum(counts.values()),
        "overlap": sum(counts.values()) - total,
    }


def average_daily(events: Iterable[Event], coverage: Coverage, *, active: Active = default_active) -> dict[str, Any]:
    """`average_dau`, section 12: "mean over complete days of a gap-free calendar"."""
    complete = [row["value"] for row in daily(events, coverage, active=active).values() if row["status"] == "complete"]
    value = sum(complete) / len(complete) if complete else None
    return {"value": value, "numerator": sum(complete), "denominator": len(complete)}


def events_without_actor(events: Iterable[Event]) -> int:
    """ "Null actor: excluded from distinct metrics, counted as `events_without_actor`"."""
    return sum(1 for item in events if item.actor is None)


def only_by(events: Iterable[Event], name: str, *, active: Active = default_active) -> dict[str, Any]:
    """The share of actives who are so only through events of one name: above 20 % for `heartbeat` the product warns."""
    own = [item for item in events if item.actor is not None and active(item)]
    all_of_them = {item.actor for item in own}
    others = {item.actor for item in own if item.name != name}
    only = len(all_of_them - others)
    return {
        "value": only / len(all_of_them) if all_of_them else None,
        "numerator": only,
        "denominator": len(all_of_them),
    }
