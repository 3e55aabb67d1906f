"""Activation written a second time, from METRICS section 9."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from tests.checks.active import Active
from tests.checks.events import Coverage, Event, by_actor, default_active, period_first, period_index
from tests.checks.intervals import wilson
from tests.checks.lifecycle import first_kind

Criterion = Callable[[Sequence[Event]], bool]


def does(name: str) -> Criterion:
    """The criterion "has an event of this name"."""
    return lambda own: any(item.name == name for item in own)


def sums_to(field: str, least: float, *, name: str | None = None) -> Criterion:
    """The criterion "a field adds up to at least so much", such as 30 s of watch time."""

    def judge(own: Sequence[Event]) -> bool:
        values = [item.props.get(field) for item in own if name is None or item.name == name]
        return sum(value for value in values if value is not None) >= least

    return judge


def activation(
    events: Iterable[Event],
    coverage: Coverage,
    *,
    criterion: Criterion,
    within: timedelta | None,
    first_session: Callable[[Sequence[Event]], tuple[Sequence[Event], datetime]] | None = None,
    grain: str = "month",
    new_by: str = "first_activity",
    warmup: int = 28,
    signup: Mapping[str, date] | None = None,
    active: Active = default_active,
) -> dict[date | str, dict[str, Any]]:
    """ "Activation = new actors doing criterion within X of first activity / new actors observed ≥ X".

    The first activity's own event counts, and one exactly X after it.

    Args:
        criterion: Of the events from the first activity to X after it, or of the first session.
        within: X. Null with `first_session`.
        first_session: Gives an actor's first session and the instant from which it is known to have ended.
        grain: Of the cohorts, by date of the first activity; `all` is every new actor.

    Returns:
        `value`, `numerator`, `denominator` (observed), `size` (new actors), `new_or_existing` (left out), `interval`.
    """
    cells: dict[date | str, list[tuple[bool, bool]]] = {"all": []}
    existing: dict[date | str, int] = {"all": 0}
    for actor, own in by_actor(events).items():
        begun = next((place for place, item in enumerate(own) if active(item)), None)
        if begun is None:
            continue
        first = own[begun]
        index = period_index(first.local_date, grain, week_start=coverage.week_start)
        cohort = period_first(index, grain, week_start=coverage.week_start)
        kind = first_kind(own, coverage, signup=(signup or {}).get(actor), new_by=new_by, warmup=warmup, active=active)
        if kind != "new":
            existing["all"] += 1
            existing[cohort] = existing.get(cohort, 0) + 1
            continue
        if first_session is not None:
            looked_at, until = first_session(own)
        else:
            assert within is not None
            until = first.at + within
            looked_at = [item for item in own[begun:] if item.at <= until]
        row = (until <= coverage.observed_until, criterion(looked_at))
        cells["all"].append(row)
        cells.setdefault(cohort, []).append(row)
    found = {}
    for cohort in {**cells, **existing}:
        rows = cells.get(cohort, [])
        observed = [does_it for is_observed, does_it in rows if is_observed]
        found[cohort] = {
            "value": sum(observed) / len(observed) if observed else None,
            "numerator": sum(observed),
            "denominator": len(observed),
            "size": len(rows),
            "new_or_existing": existing.get(cohort, 0),
            "interval": wilson(sum(observed), len(observed)),
        }
    return found
