"""Watch time from play states (METRICS section 12)."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.checks.sessions import naive_sessions, order
from tests.checks.watch import watch
from tests.gold.tiny import Tiny

COLUMNS = {"content_id": pa.string()}
RULE = {"session": {"mode": "trust"}}


def story(text: str, content: str = "film") -> list[dict[str, Any]]:
    found = []
    for number, part in enumerate(text.split(",")):
        clock, name = part.split()
        found.append(
            {
                "event_time": f"2025-03-01 {clock}",
                "event_name": name,
                "content_id": content,
                "session_id": "s",
                "event_id": f"{content}{number:03d}",
            }
        )
    return found


@pytest.mark.parametrize(
    ("text", "net", "wall", "open_ended"),
    [
        ("10:00 play, 10:10 stop", 600, 600, 0),
        ("10:00 play, 10:05 pause, 10:20 resume, 10:25 complete", 600, 1500, 0),
        ("10:00 play, 10:02 seek, 10:03 seek, 10:10 stop", 600, 600, 0),
        ("10:00 play, 10:05 buffer_start, 10:06 buffer_end, 10:10 stop", 540, 600, 0),
        # A pause inside a buffer ends when both have ended, in either order.
        ("10:00 play, 10:01 buffer_start, 10:02 pause, 10:03 buffer_end, 10:05 resume, 10:06 stop", 120, 360, 0),
        ("10:00 play, 10:01 pause, 10:02 buffer_start, 10:03 resume, 10:05 buffer_end, 10:06 stop", 120, 360, 0),
        # A missing end closes five minutes after the content's last event.
        ("10:00 play", 300, 300, 1),
        ("10:00 play, 10:01 heartbeat, 10:02 heartbeat", 420, 420, 1),
        ("10:00 play, 10:01 pause", 60, 360, 0),
        # Without a play there is a playing state all the same, but no wall time.
        ("10:00 resume, 10:04 stop", 240, 0, 0),
        ("10:00 play, 10:04 stop, 10:10 play, 10:11 stop", 300, 300, 0),
        ("10:00 stop, 10:10 pause", 0, 0, 0),
    ],
)
def test_watch_time_by_hand(tmp_path: Path, text: str, net: float, wall: float, open_ended: int) -> None:
    with Tiny(tmp_path, RULE, columns=COLUMNS) as tiny:
        tiny.add(story(text))
        tiny.build()
        (session,) = tiny.sessions()
        found = (session["watch_seconds"], session["watch_seconds_wall"], session["watch_open_ended_count"])
        assert found == (net, wall, open_ended)
        (day,) = tiny.query("SELECT * FROM gold.user_day")
        assert (day["watch_seconds"], day["watch_seconds_wall"], day["watch_open_ended_count"]) == found


def test_contents_are_measured_apart(tmp_path: Path) -> None:
    with Tiny(tmp_path, RULE, columns=COLUMNS) as tiny:
        tiny.add([*story("10:00 play, 10:10 stop", "a"), *story("10:02 play, 10:04 stop", "b")])
        tiny.build()
        assert tiny.sessions()[0]["watch_seconds"] == 720


def test_watch_time_belongs_to_the_date_on_which_its_session_starts(tmp_path: Path) -> None:
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        tiny.add(
            [
                {"event_time": "2025-03-01 23:50", "event_name": "play", "content_id": "a"},
                {"event_time": "2025-03-02 00:10", "event_name": "stop", "content_id": "a"},
            ]
        )
        tiny.build()
        days = tiny.query("SELECT watch_seconds FROM gold.user_day ORDER BY activity_date")
        assert [day["watch_seconds"] for day in days] == [1200, 0]


def test_declared_seconds_keep_their_fractions(tmp_path: Path) -> None:
    settings = {"watch": {"column": "seconds", "event": "watch"}}
    with Tiny(tmp_path, settings, columns={"seconds": pa.float64()}) as tiny:
        tiny.add(
            [
                {"event_time": "2025-03-01 10:00", "event_name": "watch", "seconds": 0.1},
                {"event_time": "2025-03-01 10:01", "event_name": "watch", "seconds": 0.2},
                {"event_time": "2025-03-01 10:02", "event_name": "like", "seconds": 7.0},
            ]
        )
        tiny.build()
        assert tiny.sessions()[0]["watch_seconds"] == 0.3
        assert tiny.sessions()[0]["watch_seconds_wall"] is None


def test_random_stories_equal_the_plain_walk(tmp_path: Path) -> None:
    rng = random.Random(5)
    names = ["play", "pause", "resume", "buffer_start", "buffer_end", "stop", "complete", "seek", "heartbeat"]
    first = datetime(2025, 3, 1, tzinfo=UTC)
    events = [
        {
            "event_id": f"{rng.randrange(10**6):06d}-{number}",
            "event_time": first + timedelta(seconds=rng.randrange(200_000)),
            "actor_id": rng.choice(["ann", "bob"]),
            "event_name": rng.choice(names),
            "content_id": rng.choice(["a", "b", None]),
            "seq": rng.choice([None, 1, 2]),
            "traffic_class": "human",
        }
        for number in range(600)
    ]
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        tiny.add(events)
        tiny.build()
        found = {
            (row["actor_id"], row["started_at"]): (
                row["watch_seconds"],
                row["watch_seconds_wall"],
                row["watch_open_ended_count"],
            )
            for row in tiny.sessions()
        }
    expected = {}
    for session in naive_sessions(events):
        contents: dict[str, list[Any]] = defaultdict(list)
        for event in sorted(session, key=order):
            if event["content_id"] is not None:
                contents[event["content_id"]].append(event)
        parts = [watch(part, timedelta(minutes=5)) for part in contents.values()]
        sums = tuple(sum(part[index] for part in parts) for index in range(3))
        expected[session[0]["actor_id"], session[0]["event_time"]] = sums
    assert found == expected
