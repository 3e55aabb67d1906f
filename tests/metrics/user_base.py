"""A small user base over eleven weeks with every kind of actor, and what is true of it, worked out in plain Python."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Set
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

FIRST = date(2024, 12, 2)  # a Monday; the weeks cross New Year
DAYS = 77
REGIONS = ("north", "south", None)
COLUMNS = {"region": pa.string(), "interactive": pa.bool_()}
SETTINGS = {"dimensions": ["region"]}
Activity = dict[str, dict[date, list[str]]]  # by actor and date: the values of its events in order


def random_activity(seed: int, actors: int = 40) -> Activity:
    """Actors that come often, seldom, once, early, late, or in two stretches; some change their region."""
    rng = random.Random(seed)
    found: Activity = {}
    for number in range(actors):
        start, end = sorted(rng.sample(range(DAYS), 2))
        share = rng.choice((0.03, 0.1, 0.3, 0.9))
        days = [day for day in range(start, end + 1) if rng.random() < share] or [start]
        if rng.random() < 0.3:
            days = [day for day in days if not 20 <= day < 50] or [start]
        home = rng.choice(REGIONS)
        found[f"a{number:03d}"] = {
            FIRST + timedelta(days=day): [
                (home if rng.random() < 0.8 else rng.choice(REGIONS)) or "(unknown)"
                for _ in range(rng.choice((1, 1, 2)))
            ]
            for day in days
        }
    return found


def events_of(activity: Activity) -> Iterator[dict[str, Any]]:
    """The activity as events; one passive event a day makes every date received without anybody active."""
    for offset in range(DAYS):
        day = FIRST + timedelta(days=offset)
        yield {"event_time": f"{day} 12:00", "event_id": f"p{offset}", "actor_id": "ghost", "interactive": False}
    yield {"event_time": f"{FIRST + timedelta(days=DAYS)} 00:00", "event_id": "end", "actor_id": None}
    for actor, days in activity.items():
        for day, values in days.items():
            for place, value in enumerate(values):
                yield {
                    "event_time": f"{day} {8 + place:02d}:00",
                    "event_id": f"{actor}-{day}-{place}",
                    "actor_id": actor,
                    "region": None if value == "(unknown)" else value,
                }


def dates() -> list[date]:
    return [FIRST + timedelta(days=offset) for offset in range(DAYS)]


def active_on(activity: Activity, rule: str | None) -> dict[str, dict[str, set[date]]]:
    """Active dates by segment and actor; None = without segments."""
    found: dict[str, dict[str, set[date]]] = {}
    for actor, days in activity.items():
        for day, values in days.items():
            ordered = sorted(days)
            own = {
                None: [""],
                "any": values,
                "first": [days[ordered[0]][0]],
                "last": [days[ordered[-1]][-1]],
            }[rule]
            for value in own:
                found.setdefault(value, {}).setdefault(actor, set()).add(day)
    return found


def period_of(day: date, grain: str) -> date:
    if grain == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if grain == "month" else day


def states_of(active: Mapping[str, Set[date]], grain: str, warmup: int = 28) -> dict[date, dict[str, set[str]]]:
    """The actors of every state by period, as METRICS section 4 says it in words."""
    periods = sorted({period_of(day, grain) for day in dates()})
    of = {
        period: {a for a, days in active.items() if any(period_of(d, grain) == period for d in days)}
        for period in periods
    }
    found: dict[date, dict[str, set[str]]] = {}
    ever: set[str] = set()
    before: set[str] = set()
    for period in periods:
        now = of[period]
        firsts = now - ever
        late = {actor for actor in firsts if min(active[actor]) >= FIRST + timedelta(days=warmup)}
        found[period] = {
            "active": now,
            "new": late,
            "new_or_existing": firsts - late,
            "returning": now & before,
            "resurrected": (now & ever) - before,
            "churned": before - now,
        }
        ever |= now
        before = now
    return found
