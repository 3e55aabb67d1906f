"""Funnels of which every entry, held value or actor counts, by any touch, written a second time (METRICS 8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from statistics import median, quantiles
from typing import Any

from tests.checks.events import Coverage, Event, by_actor, order, text
from tests.checks.funnels import Attempt, Exclusion, attempt_at
from tests.checks.intervals import wilson
from tests.checks.measures import ratio


def attempts(
    events: Iterable[Event],
    coverage: Coverage,
    *,
    steps: Sequence[str],
    kind: str,
    window: timedelta,
    hold: Sequence[str] = (),
    exclusions: Sequence[Exclusion] = (),
) -> list[tuple[tuple[Any, ...], Attempt]]:
    """What every entry reached, with its actor and held values: "events without a value of the key make no attempt"."""
    own_of: dict[tuple[Any, ...], list[Event]] = {}
    for actor, own in by_actor(events).items():
        for item in own:
            if all(item.props[name] is not None for name in hold):
                own_of.setdefault((actor, *(item.props[name] for name in hold)), []).append(item)
    found = []
    for key, own in own_of.items():
        for place, item in enumerate(own):
            if item.name in (steps if kind == "any" else steps[:1]):
                rule: dict[str, Any] = {"steps": steps, "kind": kind, "window": window, "exclusions": exclusions}
                rule |= {"simultaneity": timedelta(), "observed_until": coverage.observed_until}
                found.append((key, attempt_at(own, place, **rule)))
    return found


def value_of(one: Attempt, by: str | None, touch: str | int) -> str:
    """The segment: at the entry, "the first or last known value among the steps reached", or at a step.

    Of an open entry nothing but the entry is known.
    """
    if by is None:
        return ""
    values = [item.props[by] for item in one.chain]
    if isinstance(touch, int):
        return "(open)" if one.is_open else text(values[touch - 1]) if len(values) >= touch else "(not reached)"
    if touch == "entry" or one.is_open:
        return text(one.entry.props[by])
    known = [value for value in values if value is not None] or [None]
    return text(known[0] if touch == "first" else known[-1])


def counted(
    tried: Iterable[tuple[tuple[Any, ...], Attempt]],
    *,
    steps: int,
    count: str,
    attempt: str,
    by: str | None = None,
    touch: str | int = "entry",
) -> dict[tuple[str, int], dict[str, Any]]:
    """ "What counts once is the actor (its `best` or `first` attempt), each held value of an actor, or every entry"."""
    groups: dict[Any, list[Attempt]] = {}
    actor_of: dict[Any, str] = {}
    for number, (key, one) in enumerate(tried):
        group = {"actor": key[0], "held": key, "entry": number}[count]
        groups.setdefault(group, []).append(one)
        actor_of[group] = key[0]
    chosen: list[tuple[str, Attempt]] = []
    opened: dict[str, int] = {}
    for group, own in groups.items():
        own = sorted(own, key=lambda one: order(one.entry))
        own = own[:1] if attempt == "first" else own
        for one in own:
            if one.is_open:
                opened[value_of(one, by, touch)] = opened.get(value_of(one, by, touch), 0) + 1
        ended = [one for one in own if not one.is_open]
        if ended:
            chosen.append((actor_of[group], max(ended, key=lambda one: one.depth)))
    found = {}
    for value in {value_of(one, by, touch) for _, one in chosen} | set(opened):
        mine = [(actor, one) for actor, one in chosen if value_of(one, by, touch) == value]
        for step in range(1, steps + 1):
            found[value, step] = _row(mine, step, count) | {"open_entries": opened.get(value, 0)}
    return found


def _row(own: Sequence[tuple[str, Attempt]], step: int, count: str) -> dict[str, Any]:
    reached = [one for _, one in own if one.depth >= step]
    before = sum(one.depth >= step - 1 for _, one in own)
    share = ratio(((actor, one.depth >= step, 1) for actor, one in own), is_share=True)
    row = {name: share[name] for name in ("value", "numerator", "denominator", "ci_low", "ci_high")}
    if step == 1:
        none = dict.fromkeys(("ci_low", "ci_high", "seconds_median", "seconds_p90"))
        return row | none | {"step_value": row["value"]}
    if count == "actor":
        low, high = wilson(len(reached), len(own)) or (None, None)
        row |= {"ci_low": None if low is None else max(0, low), "ci_high": None if high is None else min(1, high)}
    seconds = sorted((one.chain[step - 1].at - one.entry.at).total_seconds() for one in reached)
    p90 = seconds[0] if len(seconds) == 1 else quantiles(seconds, n=10, method="inclusive")[8] if seconds else None
    told = {"seconds_median": median(seconds) if seconds else None, "seconds_p90": p90}
    return row | told | {"step_value": len(reached) / before if before else None}
