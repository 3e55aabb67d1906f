"""Random events: sessions equal a plain second implementation, however the build was split."""

from __future__ import annotations

import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.checks.sessions import engaged_seconds, naive_sessions, order
from tests.gold.tiny import Tiny

ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo")
STARTS = {  # around a change of the clocks
    "UTC": datetime(2025, 3, 1, tzinfo=UTC),
    "Europe/Berlin": datetime(2025, 3, 28, tzinfo=UTC),
    "America/Sao_Paulo": datetime(2018, 11, 2, tzinfo=UTC),
}


def random_events(seed: int, zone: str, *, count: int) -> list[dict[str, Any]]:
    """Events of few actors with many gaps near the timeout, long chains and equal times."""
    rng = random.Random(seed)
    events = []
    clock = {actor: STARTS[zone] + timedelta(minutes=rng.randrange(600)) for actor in ("ann", "bob", "cyd")}
    for number in range(count):
        actor = rng.choice([*clock, *clock, None])
        if actor is not None:
            seconds = rng.choice([0, 1, 60, 300, 301, 1200, 1790, 1800, 1801, 3600, 20000, 90000])
            clock[actor] += timedelta(seconds=seconds if actor != "cyd" else min(seconds, 1800))
        events.append(
            {
                "event_id": f"{rng.randrange(10**6):06d}-{number}",
                "event_time": clock[actor] if actor else STARTS[zone] + timedelta(minutes=number),
                "actor_id": actor,
                "event_name": rng.choice(["click", "buy"]),
                "seq": rng.choice([None, 1, 2]),
                "traffic_class": rng.choice(["human", "human", "human", "bot", None]),
                "device": rng.choice(["phone", "tv", None]),
                "session_id": rng.choice(["s1", "s2", "s3", "s4", None]),
                "amount": rng.randrange(1000) / 8,
            }
        )
    return events


def tiny_of(zone: str, session: dict[str, Any]) -> dict[str, Any]:
    return {
        "timezone": zone,
        "session": session,
        "dimensions": ["device"],
        "measures": {"buys": {"event": "buy"}, "amount_sum": {"sum": "amount"}, "devices": {"distinct": "device"}},
    }


COLUMNS = {"device": pa.string(), "amount": pa.float64()}
RULES: list[dict[str, Any]] = [
    {"mode": "ignore"},
    {"mode": "ignore", "split_at_midnight": True},
    {"mode": "ignore", "split_by": ["device"]},
    {"mode": "ignore", "cap": "2h"},
    {"mode": "ignore", "timeout": "26h", "cap": "60h"},
    {"mode": "trust"},
    {"mode": "verify"},
    {"mode": "verify", "cap": "3h"},
]


def shown(tiny: Tiny) -> list[tuple[Any, ...]]:
    return sorted(
        (
            row["actor_id"],
            row["started_at"],
            row["ended_at"],
            row["session_date"],
            row["event_count"],
            row["first_event_id"],
            row["engaged_seconds"],
            row["buys"],
            row["amount_sum"],
            row["first_device"] or "",
        )
        for row in tiny.sessions()
    )


def expected(events: list[dict[str, Any]], zone: str, rule: dict[str, Any]) -> list[tuple[Any, ...]]:
    def span(name: str, default: timedelta) -> timedelta:
        return timedelta(hours=int(rule[name][:-1])) if name in rule else default

    local = ZoneInfo(zone)
    found = naive_sessions(
        events,
        mode=rule["mode"],
        timeout=span("timeout", timedelta(minutes=30)),
        cap=span("cap", timedelta(hours=24)),
        midnight=rule.get("split_at_midnight", False),
        split_by=tuple(rule.get("split_by", ())),
        day=lambda instant: instant.astimezone(local).date(),
    )
    return sorted(
        (
            session[0]["actor_id"],
            session[0]["event_time"],
            session[-1]["event_time"],
            session[0]["event_time"].astimezone(local).date(),
            len(session),
            session[0]["event_id"],
            engaged_seconds(session, timedelta(minutes=5)),
            sum(event["event_name"] == "buy" for event in session),
            sum(event["amount"] for event in session),
            session[0]["device"] or "",
        )
        for session in found
    )


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_sessions_equal_the_plain_implementation(tmp_path: Path, rule: dict[str, Any]) -> None:
    zone = ZONES[RULES.index(rule) % 3]
    events = random_events(7, zone, count=250)
    with Tiny(tmp_path, tiny_of(zone, rule), columns=COLUMNS) as tiny:
        tiny.add(events)
        tiny.build()
        assert shown(tiny) == expected(events, zone, rule)


@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6),
    zone=st.sampled_from(ZONES),
    rule=st.sampled_from(RULES),
    parts=st.integers(1, 5),
    in_order=st.booleans(),
)
def test_any_split_into_builds_gives_the_same_gold(
    seed: int, zone: str, rule: dict[str, Any], parts: int, in_order: bool
) -> None:
    events = random_events(seed, zone, count=60)
    rng = random.Random(seed)
    arriving = sorted(events, key=order) if in_order else rng.sample(events, len(events))
    with tempfile.TemporaryDirectory() as root:
        settings_ = tiny_of(zone, rule)
        once = Tiny(Path(root) / "once", settings_, columns=COLUMNS)
        steps = Tiny(Path(root) / "steps", settings_, columns=COLUMNS)
        with once, steps:
            once.add(events)
            once.build()
            for part in range(parts):
                batch = arriving[part * len(arriving) // parts : (part + 1) * len(arriving) // parts]
                steps.add(batch)
                steps.build()
            assert shown(once) == expected(events, zone, rule)
            assert steps.everything() == once.everything()
