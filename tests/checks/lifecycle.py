"""Growth accounting written a second time, from METRICS section 4: every actor, every period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from tests.checks.active import Active
from tests.checks.events import Coverage, Event, by_actor, default_active, period_index


def first_kind(
    own: list[Event],
    coverage: Coverage,
    *,
    signup: date | None = None,
    new_by: str = "first_activity",
    warmup: int = 28,
    active: Active = default_active,
) -> str:
    """Whether an actor's first activity is `new` or `new_or_existing`.

    "An actor whose first observed activity is within `warmup` (default 28 days) of the start of history and has no
    signup date is `new_or_existing`". "`signup_date`: a first is new iff it signed up within the history". A signup
    date speaks for an early first only where it lies within the history ("each new iff not within the warmup, or else
    signed up within the history"): who signed up before the data begin may have been active then. By signup alone, "a
    first whose signup is not known is `new_or_existing`".

    Args:
        own: All events of the actor, in order.
        new_by: `first_activity`, `signup_date` or `first_any_event` (its first event of any kind takes the place of the
            first active one).
    """
    signed_up_within = signup is not None and signup >= coverage.first
    if new_by == "signup_date":
        return "new" if signed_up_within else "new_or_existing"
    if signed_up_within:
        return "new"
    counted = own if new_by == "first_any_event" else [item for item in own if active(item)]
    is_early = counted[0].local_date - coverage.first < timedelta(days=warmup)
    return "new_or_existing" if is_early else "new"


def lifecycle(
    events: Iterable[Event],
    coverage: Coverage,
    *,
    grain: str,
    new_by: str = "first_activity",
    warmup: int = 28,
    signup: Mapping[str, date] | None = None,
    active: Active = default_active,
) -> dict[date, dict[str, Any]]:
    """ "A partition by activity": what each actor is in each period, with both identities checked.

    Returns:
        By first date of the period: `active`, `previous`, `new`, `new_or_existing`, `returning`, `resurrected`,
        `churned`, `quick_ratio` ("null if churned=0 or new_or_existing>0 in P"), `churn_rate` (churned / previous),
        `status` of the period, `previous_status` of the one before.
    """
    actors = by_actor(events)
    periods_of: dict[str, set[int]] = {}
    kinds: dict[str, str] = {}
    for actor, own in actors.items():
        actives = [item for item in own if active(item)]
        if not actives:
            continue
        periods_of[actor] = {period_index(item.local_date, grain, week_start=coverage.week_start) for item in actives}
        kinds[actor] = first_kind(
            own, coverage, signup=(signup or {}).get(actor), new_by=new_by, warmup=warmup, active=active
        )
    found: dict[date, dict[str, Any]] = {}
    earlier: str = "partial_left"  # the period before history
    for first in coverage.periods(grain):
        number = period_index(first, grain, week_start=coverage.week_start)
        counts = dict.fromkeys(("new", "new_or_existing", "returning", "resurrected", "churned"), 0)
        for actor, periods in periods_of.items():
            if number in periods and number - 1 in periods:
                counts["returning"] += 1
            elif number in periods and any(one < number for one in periods):
                counts["resurrected"] += 1
            elif number in periods:
                counts[kinds[actor]] += 1
            elif number - 1 in periods:
                counts["churned"] += 1
        now = sum(number in periods for periods in periods_of.values())
        before = sum(number - 1 in periods for periods in periods_of.values())
        come = counts["new"] + counts["new_or_existing"] + counts["resurrected"]
        assert now == come + counts["returning"]
        assert now == before + come - counts["churned"]
        has_quick_ratio = counts["churned"] > 0 and counts["new_or_existing"] == 0
        status = coverage.period_status(first, grain)
        found[first] = {
            **counts,
            "active": now,
            "previous": before,
            "quick_ratio": (counts["new"] + counts["resurrected"]) / counts["churned"] if has_quick_ratio else None,
            "churn_rate": counts["churned"] / before if before else None,
            "status": status,
            "previous_status": earlier,
        }
        earlier = status
    return found
