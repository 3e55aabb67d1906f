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


def bracket_sessions(events: Iterable[Event], *, start: str, end: str) -> list[dict[str, Any]]:
    """Bracket mode: a session is a start with the earliest end that no earlier start has taken.

    Each result has `actor_id`, `started_at`, `ended_at`, `is_closed`, `ambiguous` and its `events`.
    """
    ranks = {start: 0, end: 2}
    actors: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event["actor_id"] is not None and event.get("traffic_class", "human") in (None, "human"):
            actors[event["actor_id"]].append(event)
    return [session for own in actors.values() for session in _brackets_of(own, ranks, start, end)]


def _brackets_of(own: list[Event], ranks: dict[str, int], start: str, end: str) -> list[dict[str, Any]]:
    own = sorted(own, key=lambda event: (event["event_time"], ranks.get(event["event_name"], 1), *order(event)[1:]))
    taken: set[int] = set()
    sessions = []
    for place, event in enumerate(own):
        if event["event_name"] != start:
            continue
        later = range(place + 1, len(own))
        close = next((i for i in later if own[i]["event_name"] == end and i not in taken), None)
        if close is not None:
            taken.add(close)
        following = next((i for i in later if own[i]["event_name"] == start), len(own))
        last = close if close is not None else following - 1
        sessions.append(
            {"first": place, "last": last, "close": close, "events": [place], "names": set(), "ambiguous": 0}
        )
    for place, event in enumerate(own):
        if event["event_name"] == start:
            continue
        if event["event_name"] == end:
            for session in sessions:
                if session["close"] == place:
                    session["events"].append(place)
            continue
        opened = [session for session in sessions if session["first"] < place <= session["last"]]
        if not opened:
            continue
        without = [session for session in opened if event["event_name"] not in session["names"]]
        chosen = without[0] if without else opened[-1]
        chosen["names"].add(event["event_name"])
        chosen["events"].append(place)
        chosen["ambiguous"] += len(opened) > 1
    return [
        {
            "actor_id": own[session["first"]]["actor_id"],
            "started_at": own[session["first"]]["event_time"],
            "ended_at": own[session["last"]]["event_time"],
            "is_closed": session["close"] is not None,
            "ambiguous": session["ambiguous"],
            "events": [own[i] for i in sorted(session["events"])],
        }
        for session in sessions
    ]
