"""Sessions written a second time, from METRICS section 7 alone: plain loops over one actor's events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

Event = Mapping[str, Any]


def order(event: Event) -> tuple[Any, ...]:
    """The total order of an actor's events; a missing seq comes last."""
    seq = event.get("seq")
    return (event["event_time"], seq is None, seq or 0, event["event_id"])


def cut(events: Iterable[Event], *, timeout: timedelta, cap: timedelta, midnight: bool, day: Any) -> list[list[Event]]:
    """Cut one actor's events: a gap above the timeout, a length above the cap, or another local date."""
    found: list[list[Event]] = []
    for event in sorted(events, key=order):
        if found:
            session = found[-1]
            gap = event["event_time"] - session[-1]["event_time"]
            length = event["event_time"] - session[0]["event_time"]
            other_day = midnight and day(event["event_time"]) != day(session[-1]["event_time"])
            if gap <= timeout and length <= cap and not other_day:
                session.append(event)
                continue
        found.append([event])
    return found


def naive_sessions(
    events: Iterable[Event],
    *,
    mode: str = "ignore",
    timeout: timedelta = timedelta(minutes=30),
    cap: timedelta = timedelta(hours=24),
    midnight: bool = False,
    split_by: tuple[str, ...] = (),
    day: Any = datetime.date,
) -> list[list[Event]]:
    """The sessions of all actors, each a list of its events in order."""
    rule = {"timeout": timeout, "cap": cap, "midnight": midnight, "day": day}
    groups: dict[tuple[Any, ...], list[Event]] = defaultdict(list)
    for event in events:
        if event["actor_id"] is None or event.get("traffic_class", "human") not in (None, "human"):
            continue
        if mode == "ignore":
            groups[event["actor_id"], *(event.get(name) for name in split_by)].append(event)
        elif event.get("session_id") is not None:
            groups[event["actor_id"], event["session_id"]].append(event)
    found: list[list[Event]] = []
    for group in groups.values():
        group = sorted(group, key=order)
        if mode == "ignore" or (mode == "verify" and group[-1]["event_time"] - group[0]["event_time"] > cap):
            found += cut(group, **rule)
        else:
            found.append(group)
    return found


def engaged_seconds(session: list[Event], cap: timedelta) -> float:
    """Sum of the gaps, each at most the cap."""
    gaps = [b["event_time"] - a["event_time"] for a, b in pairwise(session)]
    return sum((min(gap, cap) for gap in gaps), timedelta()).total_seconds()
