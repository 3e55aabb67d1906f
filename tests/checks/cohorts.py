"""Saved cohorts written a second time, from the page on `cohorts/*.yml`: every actor's events before a date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from tests.checks.events import Event, by_actor, default_active, text

HISTORY = date.min


def in_cohort(own: Iterable[Event], condition: Mapping[str, Any], first: date) -> bool:
    """Whether an actor with these events met a condition before the question's first date.

    Args:
        own: Its events that count, in order, up to the day before.
        condition: As in a file; understands all, any, not, did, did_not, was, first, window `last N days` and `before`.
    """
    own = list(own)
    if "all" in condition:
        return all(in_cohort(own, {**_window(condition), **one}, first) for one in condition["all"])
    if "any" in condition:
        return any(in_cohort(own, {**_window(condition), **one}, first) for one in condition["any"])
    if "not" in condition:
        return not in_cohort(own, {**_window(condition), **condition["not"]}, first)
    begin = HISTORY
    if condition.get("window", "before") != "before":
        begin = first - timedelta(days=int(condition["window"].split()[1]))
    within = [item for item in own if begin <= item.local_date < first]
    if "first" in condition:
        named = [item for item in own if item.name == condition["first"]]
        return bool(named) and named[0].local_date >= begin
    if "did_not" in condition:
        return all(item.name != condition["did_not"] for item in within)
    if "did" in condition:
        is_any = condition["did"] == "*"  # any event by which an actor is active
        found = [item for item in within if (default_active(item) if is_any else item.name == condition["did"])]
    else:
        found = [
            item for item in within if all(text(item.props[name]) == value for name, value in condition["was"].items())
        ]
    if "exactly" in condition:
        return len(found) == condition["exactly"]
    if len({item.local_date for item in found}) < condition.get("on_days", 0):
        return False
    least = condition.get("at_least", 0 if {"at_most", "on_days"} & set(condition) else 1)
    return bool(least <= len(found) <= condition.get("at_most", len(found)))


def _window(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {"window": condition["window"]} if "window" in condition else {}


def members(events: Iterable[Event], condition: Mapping[str, Any], first: date) -> set[str]:
    """Who is in: "an actor who was not seen by the last date that the cohort looks at is in no cohort"."""
    before = by_actor(item for item in events if item.local_date < first)
    return {actor for actor, own in before.items() if in_cohort(own, condition, first)}
