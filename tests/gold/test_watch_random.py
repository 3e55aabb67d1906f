"""Random plays across sessions: watch time equals a plain second implementation, however the build was split."""

from __future__ import annotations

import random
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.checks.sessions import bracket_sessions, naive_sessions, order
from tests.checks.watch import NONE, human_contents, stretches, watch_of_sessions
from tests.gold.tiny import Tiny

Rows = list[dict[str, Any]]
COLUMNS = {"content_id": pa.string(), "device": pa.string()}
# Around a change of the clocks.
STARTS = {"UTC": datetime(2025, 3, 1, tzinfo=UTC), "Europe/Berlin": datetime(2025, 3, 28, tzinfo=UTC)}
NAMES = ["play", "play", "pause", "resume", "buffer_start", "buffer_end", "stop", "complete", "seek", None]
GAPS = [0, 1, 30, 240, 300, 301, 1200, 1800, 1801, 3600, 7200, 7201, 10800, 20000, 50000, 86399, 86400, 86401]
RULES: list[dict[str, Any]] = [
    {"session": {"mode": "ignore"}},
    {"session": {"mode": "ignore", "cap": "2h"}},
    {"session": {"mode": "ignore", "split_at_midnight": True}},
    {"session": {"mode": "ignore", "split_by": ["device"], "cap": "26h"}},
    {"session": {"mode": "ignore", "cap": "2h"}, "watch": {"cap": "5h"}},
    {"session": {"mode": "trust"}},
    {"session": {"mode": "trust", "cap": "3h"}, "watch": {"cap": "30h"}},
    {"session": {"mode": "verify"}},
    {"session": {"mode": "verify", "cap": "2h"}},
    {"session": {"mode": "bracket", "start": "open", "end": "close"}},
    {"session": {"mode": "bracket", "start": "open", "end": "close", "cap": "3h"}},
    {"session": {"mode": "bracket", "start": "play", "end": "stop"}},
]


def random_plays(seed: int, zone: str, *, actors: int, count: int) -> Rows:
    """Short stories of many actors with few contents, in sessions that overlap, with silences near every limit."""
    rng = random.Random(seed)
    events = []
    for actor in [f"a{number}" for number in range(actors)] + [None]:
        clock = STARTS[zone] + timedelta(minutes=rng.randrange(6000))
        gaps = rng.sample(GAPS, 4)
        for step in range(count):
            clock += timedelta(seconds=rng.choice(gaps))
            name = rng.choice(NAMES + ["open", "close"] * 2)
            events.append(
                {
                    "event_id": f"{rng.randrange(10**6):06d}-{len(events)}",
                    "event_time": clock,
                    "actor_id": actor,
                    "event_name": name,
                    "content_id": None if name in ("open", "close") else rng.choice(["a", "a", "a", "b", None]),
                    "seq": rng.choice([None, 1, 2]),
                    "traffic_class": rng.choice(["human", "human", "human", "human", "human", "bot", None]),
                    "device": rng.choice(["phone", "phone", "tv"]),
                    "session_id": rng.choice([f"{actor}{step // 3}", f"{actor}{step // 3 + 1}", "shared", None]),
                }
            )
    return events


def span(text: str | None, default: timedelta) -> timedelta:
    if text is None:
        return default
    return timedelta(**{{"h": "hours", "m": "minutes"}[text[-1]]: int(text[:-1])})


def expected(events: Rows, zone: str, rule: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """(actor, start, first event, net, wall, open-ended, plays) of every session, from METRICS alone."""
    session, local = rule["session"], ZoneInfo(zone)
    cap = span(rule.get("watch", {}).get("cap"), timedelta(minutes=5))
    longest = span(session.get("cap"), timedelta(hours=24))
    key = order
    if session["mode"] == "bracket":
        ranks = {session["start"]: 0, session["end"]: 2}

        def key(event: Mapping[str, Any]) -> tuple[Any, ...]:
            return event["event_time"], ranks.get(event["event_name"], 1), *order(event)[1:]

        found = [made["events"] for made in bracket_sessions(events, start=session["start"], end=session["end"])]
    else:
        found = naive_sessions(
            events,
            mode=session["mode"],
            cap=longest,
            midnight=session.get("split_at_midnight", False),
            split_by=tuple(session.get("split_by", ())),
            day=lambda instant: instant.astimezone(local).date(),
        )
    sums = watch_of_sessions(events, found, cap=cap, longest=longest, key=key)
    if session["mode"] == "ignore":  # where every event lies in a session, no second is lost or counted twice
        played = [part for own in human_contents(events) for part in stretches(own, cap=cap, longest=longest)]
        total = sum((part.net for part in played), NONE)
        assert total.total_seconds() == pytest.approx(sum(net for net, *_ in sums))
    return sorted(
        (made[0]["actor_id"], made[0]["event_time"], made[0]["event_id"], *own)
        for made, own in zip(found, sums, strict=True)
    )


def shown(tiny: Tiny) -> list[tuple[Any, ...]]:
    figures = ("watch_seconds", "watch_seconds_wall", "watch_open_ended_count", "play_count")
    return sorted(
        (row["actor_id"], row["started_at"], row["first_event_id"], *(row[name] for name in figures))
        for row in tiny.sessions()
    )


def by_day(sessions: list[tuple[Any, ...]], zone: str) -> dict[tuple[str, date], list[float]]:
    """Net seconds, wall seconds and open-ended states by actor and the date on which their session starts."""
    found: dict[tuple[str, date], list[float]] = defaultdict(lambda: [0.0, 0.0, 0])
    for actor, started_at, _, *figures in sessions:
        day = found[actor, started_at.astimezone(ZoneInfo(zone)).date()]
        for index in range(3):
            day[index] += figures[index]
    return {key: day for key, day in found.items() if any(day)}


def shown_days(tiny: Tiny) -> dict[tuple[str, date], list[float]]:
    figures = ("watch_seconds", "watch_seconds_wall", "watch_open_ended_count")
    rows = tiny.query("SELECT * FROM gold.user_day")
    found = {(row["actor_id"], row["activity_date"]): [row[name] for name in figures] for row in rows}
    return {key: day for key, day in found.items() if any(day)}


def days_of(events: Rows, zone: str) -> list[date]:
    return sorted({event["event_time"].astimezone(ZoneInfo(zone)).date() for event in events})


def batches(events: Rows, zone: str, rng: random.Random) -> list[Rows]:
    """The events in the order in which they come: whole dates, in order or not, or any part of all."""
    how = rng.choice(["dates", "dates in order", "parts"])
    if how == "parts":
        arriving, count = rng.sample(events, len(events)), rng.randrange(2, 5)
        return [arriving[part::count] for part in range(count)]
    days = days_of(events, zone)
    if how == "dates":
        rng.shuffle(days)
    edges = [0, *sorted(rng.sample(range(1, len(days)), min(3, len(days) - 1))), len(days)]
    return [on_days(events, days[first:last], zone) for first, last in pairwise(edges)]


def strangers(events: Rows, zone: str, rng: random.Random) -> Rows:
    """Events of one date, up to a day after others of their actors, in other sessions or in none."""
    found = []
    for number in range(40):
        event = rng.choice(events)
        later = event["event_time"] + timedelta(seconds=rng.choice(GAPS))
        found.append({**event, "event_id": f"x{number}", "event_time": later, "content_id": "a"})
        found[-1] |= {"event_name": rng.choice(NAMES), "session_id": rng.choice(["other", None, None])}
    return on_days(found, [rng.choice(days_of(found, zone))], zone)


def on_days(events: Rows, days: list[date], zone: str) -> Rows:
    return [event for event in events if event["event_time"].astimezone(ZoneInfo(zone)).date() in days]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_watch_time_equals_the_plain_implementation(tmp_path: Path, rule: dict[str, Any]) -> None:
    zone = list(STARTS)[RULES.index(rule) % 2]
    events = random_plays(RULES.index(rule), zone, actors=12, count=25)
    with Tiny(tmp_path, {"timezone": zone, **rule}, columns=COLUMNS) as tiny:
        tiny.add(events)
        tiny.build()
        wanted = expected(events, zone, rule)
        assert shown(tiny) == wanted
        assert shown_days(tiny) == by_day(wanted, zone)


def agree(seed: int, zone: str, rule: dict[str, Any]) -> None:
    """Late events, events by the day, and events that are taken away: in the end the same gold as in one build."""
    rng = random.Random(seed)
    events = random_plays(seed, zone, actors=30, count=7)
    with tempfile.TemporaryDirectory() as root:
        options = {"timezone": zone, **rule}
        once = Tiny(Path(root) / "once", options, columns=COLUMNS)
        steps = Tiny(Path(root) / "steps", options, columns=COLUMNS)
        with once, steps:
            once.add(events)
            once.build()
            arrived: Rows = []
            for batch in batches(events, zone, rng):
                steps.add(batch)
                steps.build()
                arrived += batch
                if rng.random() < 0.5:
                    extra = strangers(arrived, zone, rng)
                    steps.add(extra)
                    steps.build()
                    days = days_of(extra, zone)
                    steps.replace(days, on_days(arrived, days, zone))
                    steps.build()
            assert shown(once) == expected(events, zone, rule)
            assert steps.everything() == once.everything()


cases = {"seed": st.integers(0, 10**6), "zone": st.sampled_from(list(STARTS)), "rule": st.sampled_from(RULES)}


@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(**cases)
def test_any_split_into_builds_gives_the_same_watch_time(seed: int, zone: str, rule: dict[str, Any]) -> None:
    agree(seed, zone, rule)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(**cases)
def test_campaign_of_splits(seed: int, zone: str, rule: dict[str, Any]) -> None:
    agree(seed, zone, rule)
