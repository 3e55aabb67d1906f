"""Feature adoption written a second time, from METRICS section 9."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from statistics import median
from typing import Any

from tests.checks.active import Active
from tests.checks.events import Choice, Coverage, Event, by_actor, chosen, default_active, period_days
from tests.checks.intervals import wilson


def version_at_least(least: str, *, field: str = "app_version") -> Callable[[Event], bool]:
    """ "`app_version ≥ introduced_in`", part by part as numbers: 1.10 comes after 1.9."""

    def parts(version: str) -> list[int]:
        return [int(part) for part in version.split(".")]

    return lambda item: item.props.get(field) is not None and parts(item.props[field]) >= parts(least)


def adoption(
    events: Iterable[Event],
    coverage: Coverage,
    *,
    feature: Choice,
    grain: str = "week",
    eligible: Callable[[Event], bool] | None = None,
    active: Active = default_active,
) -> dict[date, dict[str, Any]]:
    """ "Feature adoption(P) = eligible actives using f / eligible actives"; depth = "uses/adopter".

    Args:
        eligible: Which active events of the period make their actor eligible; null: "default all actives, flagged".

    Returns:
        By first date of the period: `value`, `numerator`, `denominator`, `uses` (of eligible actives), `depth`,
        `is_default_eligibility`, `status`, `interval`.
    """
    actors = by_actor(events)
    found = {}
    for first in coverage.periods(grain):
        days = set(period_days(first, grain, week_start=coverage.week_start))
        actives, adopters, uses = 0, 0, 0
        for own in actors.values():
            here = [item for item in own if item.local_date in days]
            if not any(active(item) and (eligible is None or eligible(item)) for item in here):
                continue
            own_uses = sum(chosen(feature, item) for item in here)
            actives += 1
            adopters += own_uses > 0
            uses += own_uses
        found[first] = {
            "value": adopters / actives if actives else None,
            "numerator": adopters,
            "denominator": actives,
            "uses": uses,
            "depth": uses / adopters if adopters else None,
            "is_default_eligibility": eligible is None,
            "status": coverage.period_status(first, grain),
            "interval": wilson(adopters, actives),
        }
    return found


def time_to_adopt(events: Iterable[Event], *, feature: Choice, active: Active = default_active) -> dict[str, Any]:
    """Seconds from each adopter's first activity to its first use; median over adopters."""
    found: dict[str, float] = {}
    for actor, own in by_actor(events).items():
        start = next((item for item in own if active(item)), None)
        use = next((item for item in own if chosen(feature, item)), None)
        if start is not None and use is not None:
            found[actor] = (use.at - start.at).total_seconds()
    return {"value": median(found.values()) if found else None, "n": len(found), "seconds": found}


def retained_adoption(events: Iterable[Event], coverage: Coverage, *, feature: Choice, weeks: int) -> dict[str, Any]:
    """ "Retained adoption (still using after n weeks / triers)": a use in the n-th elapsed week after the first use.

    Triers whose n-th week, `[first use + n·7 d, first use + (n+1)·7 d)`, has not ended are not eligible.
    """
    size, eligible, kept = 0, 0, 0
    for own in by_actor(events).values():
        uses = [item.at for item in own if chosen(feature, item)]
        if not uses:
            continue
        size += 1
        begin = uses[0] + weeks * timedelta(days=7)
        end = begin + timedelta(days=7)
        if end <= coverage.observed_until:
            eligible += 1
            kept += any(begin <= at < end for at in uses)
    return {
        "value": kept / eligible if eligible else None,
        "numerator": kept,
        "denominator": eligible,
        "size": size,
        "interval": wilson(kept, eligible),
    }
