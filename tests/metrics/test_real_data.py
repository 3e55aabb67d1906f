"""Real logs through gold and `measure`, against plain counting of the same files."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from tests.checks.activity import active_sets, window
from tests.checks.sessions import naive_sessions
from tests.gold.tiny import Tiny
from tidelake.metrics.measure import measure

EMPTY: dict[str, Any] = {}
ZONE = "America/Los_Angeles"  # the campus of CollegeMsg; its data cross no change of the clocks but span both sides


def messages(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.rglob("CollegeMsg.txt")
    return [
        {
            "event_time": datetime.fromtimestamp(int(when), UTC),
            "actor_id": sender,
            "event_name": "message",
            "event_id": f"{number:06d}",
        }
        for number, (sender, _, when) in enumerate(line.split() for line in path.read_text().splitlines())
    ]


@pytest.fixture(scope="module")
def college(
    tmp_path_factory: pytest.TempPathFactory, shared_data: Callable[[str], Path]
) -> Iterator[tuple[Tiny, list[dict[str, Any]]]]:
    events = messages(shared_data("collegemsg"))
    with Tiny(tmp_path_factory.mktemp("college"), {"timezone": ZONE}) as tiny:
        half = len(events) // 2
        tiny.add(events[:half])
        tiny.build()
        tiny.add(events[half:])
        tiny.build()
        yield tiny, events


def values(tiny: Tiny, metric: str, **options: Any) -> dict[date, float | None]:
    result = tiny.ask(measure, metric, **options)
    return {row["period_start"]: row["value"] for row in result.to_dicts()}


def active_by_date(events: list[dict[str, Any]], zone: str) -> dict[date, set[str]]:
    local = ZoneInfo(zone)
    return active_sets((event["actor_id"], event["event_time"].astimezone(local).date()) for event in events)


def test_active_users_of_a_campus_network(college: tuple[Tiny, list[dict[str, Any]]]) -> None:
    tiny, events = college
    active = active_by_date(events, ZONE)
    dau = values(tiny, "dau")
    assert {day: value for day, value in dau.items() if value is not None} == {
        day: float(len(actors)) for day, actors in active.items()
    }
    for metric, length in (("wau", 7), ("mau_28", 28), ("mau", 30)):
        found = values(tiny, metric)
        assert found == {day: float(window(active, day, length)) for day in found}, metric
    weeks: dict[date, set[str]] = defaultdict(set)
    for day, actors in active.items():
        weeks[day - timedelta(days=day.weekday())] |= actors
    assert values(tiny, "active_users", grain="week") == {week: float(len(actors)) for week, actors in weeks.items()}


def test_sessions_of_a_campus_network(college: tuple[Tiny, list[dict[str, Any]]]) -> None:
    tiny, events = college
    local = ZoneInfo(ZONE)
    starts: dict[date, int] = defaultdict(int)
    seconds = 0.0
    sessions = naive_sessions(events)
    for session in sessions:
        starts[session[0]["event_time"].astimezone(local).date()] += 1
        seconds += (session[-1]["event_time"] - session[0]["event_time"]).total_seconds()
    found = {day: value for day, value in values(tiny, "sessions").items() if value}
    assert found == {day: float(count) for day, count in starts.items()}
    assert tiny.query("SELECT sum(duration_seconds) AS total FROM gold.sessions") == [{"total": seconds}]
    assert tiny.query("SELECT sum(event_count) AS n FROM gold.sessions") == [{"n": len(events)}]


def test_sessions_and_watch_time_of_streampro(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    (path,) = shared_data("streampro_events").rglob("events.jsonl")
    events = []
    for number, line in enumerate(path.read_text().splitlines()):
        row = json.loads(line)
        events.append(
            {
                "event_time": datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC),
                "actor_id": row["user_id"],
                "event_name": row["event_name"],
                "session_id": row["session_id"],
                "event_id": f"{number:06d}",
                "seconds": row["value"],
                "device_os": row["device_os"],
                "video_id": row["video_id"],
            }
        )
    settings = {
        "session": {"mode": "trust"},
        "dimensions": ["device_os"],
        "watch": {"column": "seconds", "event": "watch_time", "content": "video_id"},
        "measures": {"likes": {"event": ["like", "heart"]}},
    }
    columns = {"seconds": pa.float64(), "device_os": pa.string(), "video_id": pa.string()}
    with Tiny(tmp_path, settings, columns=columns) as tiny:
        tiny.add(events)
        tiny.build()
        sessions = naive_sessions(events, mode="trust")
        expected = {}
        for session in sessions:
            watched = [
                event for event in session if event["event_name"] == "watch_time" and event["seconds"] is not None
            ]
            expected[session[0]["actor_id"], session[0]["session_id"]] = (
                session[0]["event_time"],
                len(session),
                round(sum(event["seconds"] for event in watched), 6),
                sum(event["event_name"] in ("like", "heart") for event in session),
                session[0]["device_os"],
                watched[0]["video_id"] if watched else None,
            )
        found = {
            (row["actor_id"], row["source_session_id"]): (
                row["started_at"],
                row["event_count"],
                round(row["watch_seconds"], 6),
                row["likes"],
                row["first_device_os"],
                row["first_watch_content"],
            )
            for row in tiny.sessions()
        }
        assert found == expected
        total = sum(seconds for _, _, seconds, *_ in expected.values())
        by_system = tiny.ask(measure, "watch_time", by=["device_os"])
        assert sum(row["value"] or 0 for row in by_system.to_dicts()) == pytest.approx(total)


def test_sessions_of_sparkify(tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    events = []
    for path in sorted(shared_data("sparkify_log_2018_11").rglob("log_data/**/*.json")):
        for number, line in enumerate(path.read_text().splitlines()):
            row = json.loads(line)
            events.append(
                {
                    "event_time": datetime.fromtimestamp(row["ts"] / 1000, UTC),
                    "actor_id": str(row["userId"]) or None,
                    "event_name": row["page"],
                    "session_id": str(row["sessionId"]),
                    "seq": row["itemInSession"],
                    "event_id": f"{path.stem}-{number:06d}",
                }
            )
    assert len(events) == 8056  # DATA.md
    for mode in ("trust", "verify", "ignore"):
        with Tiny(tmp_path / mode, {"session": {"mode": mode}}) as tiny:
            tiny.add(events)
            tiny.build()
            expected = sorted(
                (session[0]["actor_id"], session[0]["event_time"], session[-1]["event_time"], len(session))
                for session in naive_sessions(events, mode=mode)
            )
            assert (
                sorted(
                    (row["actor_id"], row["started_at"], row["ended_at"], row["event_count"]) for row in tiny.sessions()
                )
                == expected
            )
            (counts,) = tiny.query(
                "SELECT sum(row_count) AS r, sum(event_count) AS e, sum(events_without_actor) AS w "
                "FROM gold.event_day WHERE dimension = '(all)'"
            )
            nobody = sum(event["actor_id"] is None for event in events)
            assert (counts["r"], counts["e"], counts["w"]) == (8056, 8056, nobody)
