"""Sessions between start and end events, which can overlap (METRICS section 7, bracket mode)."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.checks.sessions import bracket_sessions
from tests.gold.tiny import Tiny
from tidelake.errors import DefinitionError

RULE = {"session": {"mode": "bracket", "start": "open", "end": "close"}, "measures": {"plays": {"event": "play"}}}


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    with Tiny(tmp_path, RULE) as made:
        yield made


def story(text: str, **more: Any) -> list[dict[str, Any]]:
    """Events from `10:00 open, 10:05 play`."""
    found = []
    for part in text.split(","):
        clock, name = part.split()
        found.append({"event_time": f"2025-03-01 {clock}", "event_name": name, **more})
    return found


def shown(tiny: Tiny) -> list[tuple[str, str, int]]:
    return [
        (f"{row['started_at']:%H:%M}-{row['ended_at']:%H:%M}", "closed" if row["is_closed"] else "open", row["plays"])
        for row in tiny.sessions()
    ]


def test_the_first_opened_is_the_first_closed(tiny: Tiny) -> None:
    tiny.add(story("10:00 open, 10:10 open, 10:20 close, 10:30 close"))
    tiny.build()
    assert shown(tiny) == [("10:00-10:20", "closed", 0), ("10:10-10:30", "closed", 0)]


APART = [("10:00-10:20", "closed", 1), ("11:00-11:10", "closed", 1), ("23:00-23:10", "closed", 0)]
AT_ONCE = [("10:00-10:20", "closed", 0), ("10:00-11:10", "closed", 1)]
AT_ONCE += [("11:00-23:10", "closed", 0), ("23:00-23:10", "open", 0)]  # each takes the end after the one before it


@pytest.mark.parametrize("event_id", ["same", None])
@pytest.mark.parametrize(("second", "wanted"), [("10:05 play", APART), ("10:00 open", AT_ONCE)])
def test_starts_whose_ids_are_equal_are_sessions_of_their_own(
    tmp_path: Path, event_id: str | None, second: str, wanted: list[tuple[str, str, int]]
) -> None:
    """Where nothing is deduplicated a client may give one id to all that it sends, or none: each start still opens a
    session (METRICS section 7), with an id of its own, also in a build of a day that comes later."""
    with Tiny(tmp_path, RULE, dedup="none") as tiny:
        tiny.add(story(f"10:00 open, {second}, 10:20 close, 11:00 open, 11:05 play, 11:10 close", event_id=event_id))
        tiny.build()
        tiny.add(story("23:00 open, 23:10 close", event_id=event_id))
        tiny.build()
        assert shown(tiny) == wanted
        ids = [row["session_id"] for row in tiny.sessions()]
        assert len(set(ids)) == len(ids)
        stepped = tiny.everything()
        tiny.build(full_refresh=True)
        assert tiny.everything() == stepped


def test_no_timeout_ends_a_session(tiny: Tiny) -> None:
    tiny.add(story("10:00 open, 15:00 play, 20:00 close"))
    tiny.build()
    assert shown(tiny) == [("10:00-20:00", "closed", 1)]


def test_without_an_end_it_ends_at_the_last_event_before_the_next_start(tiny: Tiny) -> None:
    tiny.add(story("10:00 open, 10:05 play, 10:30 open, 10:40 play, 10:50 play"))
    tiny.build()
    assert shown(tiny) == [("10:00-10:05", "open", 1), ("10:30-10:50", "open", 2)]


def test_an_event_goes_to_the_oldest_session_without_one_of_its_name_else_to_the_latest(tiny: Tiny) -> None:
    tiny.add(story("10:00 open, 10:05 open, 10:10 play, 10:11 play, 10:12 play, 10:20 close, 10:30 close"))
    tiny.build()
    assert shown(tiny) == [("10:00-10:20", "closed", 1), ("10:05-10:30", "closed", 2)]
    assert [row["ambiguous_event_count"] for row in tiny.sessions()] == [1, 2]


def test_at_equal_times_starts_come_first_and_ends_last(tiny: Tiny) -> None:
    tiny.add(story("10:00 close, 10:00 play, 10:00 open"))
    tiny.build()
    assert shown(tiny) == [("10:00-10:00", "closed", 1)]
    assert tiny.sessions()[0]["event_count"] == 3
    assert tiny.sessions()[0]["first_event_id"] == "e00002"


def test_events_outside_of_every_session_belong_to_none(tiny: Tiny) -> None:
    tiny.add(story("09:00 play, 09:30 close, 10:00 open, 10:05 close, 10:06 play"))
    tiny.build()
    assert [row["event_count"] for row in tiny.sessions()] == [2]


def test_a_late_end_closes_the_session_of_an_earlier_day(tiny: Tiny) -> None:
    tiny.add(story("23:50 open"))
    tiny.add([{"event_time": "2025-03-03 10:00", "event_name": "open", "event_id": "o2"}])
    tiny.build()
    assert [row["is_closed"] for row in tiny.sessions()] == [False, False]
    tiny.add([{"event_time": "2025-03-02 00:05", "event_name": "close", "event_id": "late"}])
    tiny.build()
    assert [row["is_closed"] for row in tiny.sessions()] == [True, False]
    assert tiny.sessions()[0]["duration_seconds"] == 15 * 60


def test_bracket_mode_needs_its_two_events(tmp_path: Path) -> None:
    with Tiny(tmp_path, {"session": {"mode": "bracket", "start": "open"}}) as tiny:
        tiny.add(story("10:00 open"))
        with pytest.raises(DefinitionError, match="needs `start:` and `end:`"):
            tiny.build()


def random_story(seed: int, count: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    first = datetime(2025, 3, 1, tzinfo=UTC)
    return [
        {
            "event_id": f"{rng.randrange(10**6):06d}-{number}",
            "event_time": first + timedelta(hours=rng.randrange(120), minutes=rng.choice([0, 0, 1, 30])),
            "actor_id": rng.choice(["ann", "bob", "cyd", "dan", None]),
            "event_name": rng.choice(["open", "open", "close", "close", "play", "play", "like"]),
            "seq": rng.choice([None, 1, 2]),
            "traffic_class": rng.choice(["human", "human", "human", "bot"]),
        }
        for number in range(count)
    ]


def rows(tiny: Tiny) -> list[tuple[Any, ...]]:
    return sorted(
        (
            row["actor_id"],
            row["started_at"],
            row["ended_at"],
            row["is_closed"],
            row["event_count"],
            row["plays"],
            row["ambiguous_event_count"],
            row["first_event_id"],
        )
        for row in tiny.sessions()
    )


def expected(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted(
        (
            session["actor_id"],
            session["started_at"],
            session["ended_at"],
            session["is_closed"],
            len(session["events"]),
            sum(event["event_name"] == "play" for event in session["events"]),
            session["ambiguous"],
            session["events"][0]["event_id"],
        )
        for session in bracket_sessions(events, start="open", end="close")
    )


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), parts=st.integers(1, 5))
def test_any_split_into_builds_equals_the_plain_implementation(seed: int, parts: int) -> None:
    events = random_story(seed, 90)
    arriving = random.Random(seed).sample(events, len(events))
    with tempfile.TemporaryDirectory() as root, Tiny(Path(root), RULE) as tiny:
        for part in range(parts):
            tiny.add(arriving[part * len(arriving) // parts : (part + 1) * len(arriving) // parts])
            tiny.build(select=["sessions"])
        assert rows(tiny) == expected(events)
