"""Inactive actors written a second time, from METRICS section 6 b: every actor, every date."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from tests.checks.active import Active
from tests.checks.events import Coverage, Event, by_actor, default_active


def active_days(events: Iterable[Event], active: Active = default_active) -> dict[str, list[date]]:
    """Each actor's active dates in order."""
    found = {
        actor: sorted({item.local_date for item in own if active(item)}) for actor, own in by_actor(events).items()
    }
    return {actor: days for actor, days in found.items() if days}


def inactive(events: Iterable[Event], coverage: Coverage, *, k: int = 28) -> dict[date, dict[str, Any]]:
    """ "`inactive_k(t)`: no activity in `(t−k,t]`", of the actors that were active on or before t."""
    days_of = active_days(events)
    found = {}
    for at in coverage.days():
        known = [days for days in days_of.values() if days[0] <= at]
        silent = sum(not any(at - timedelta(days=k) < day <= at for day in days) for days in known)
        found[at] = {
            "value": silent / len(known) if known else None,
            "numerator": silent if known else None,
            "denominator": len(known) if known else None,
            "status": coverage.window_status(at - timedelta(days=back) for back in range(k)),
        }
    return found


def automatic_k(events: Iterable[Event], last: date) -> int | None:
    """ "`auto`: the 95 % point of the Kaplan–Meier curve of gaps between active days, each actor weighing 1 in all, the
    last gap censored". Gaps that end come before those censored at the same length."""
    gaps: list[tuple[int, bool, float]] = []
    for days in active_days(events).values():
        own = [day for day in days if day <= last]
        lengths = [(two - one).days for one, two in pairwise(own)]
        gaps += [(length, False, 1 / len(own)) for length in lengths]
        gaps += [((last - own[-1]).days, True, 1 / len(own))] if own else []
    survival = 1.0
    for at in sorted({length for length, is_censored, _ in gaps if not is_censored}):
        running = sum(weight for length, _, weight in gaps if length >= at)
        ended = sum(weight for length, is_censored, weight in gaps if length == at and not is_censored)
        survival *= 1 - ended / running
        if survival <= 0.05 + 1e-9:
            return at
    return None
