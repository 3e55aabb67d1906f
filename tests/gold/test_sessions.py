"""Sessions by hand (METRICS section 7) and against a second implementation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny, at
from tidelake.gold.checks import kept_active_by_heartbeats
from tidelake.gold.context import open_gold


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    with Tiny(tmp_path) as made:
        yield made


def times(*texts: str, **more: Any) -> list[dict[str, Any]]:
    return [{"event_time": text, **more} for text in texts]


def spans(tiny: Tiny) -> list[tuple[str, str]]:
    return [(f"{row['started_at']:%d %H:%M:%S}", f"{row['ended_at']:%d %H:%M:%S}") for row in tiny.sessions()]


def test_mixpanel_example_one_has_sessions_of_ten_and_thirty_five_minutes(tiny: Tiny) -> None:
    # Mixpanel docs, "Sessions", timeout-based example 1: 30 minute timeout.
    tiny.add(times("2025-03-01 10:00", "2025-03-01 10:05", "2025-03-01 10:10"))
    tiny.add([{"event_time": f"2025-03-01 11:{minute:02d}", "event_id": f"b{minute}"} for minute in (0, 15, 35)])
    tiny.build()
    assert [row["duration_seconds"] for row in tiny.sessions()] == [600.0, 2100.0]


MIDNIGHT = times("2025-03-01 23:40", "2025-03-01 23:50", "2025-03-02 00:00", "2025-03-02 00:15", "2025-03-02 00:20")


def test_mixpanel_example_two_is_one_session_over_midnight_by_default(tiny: Tiny) -> None:
    tiny.add(MIDNIGHT)
    tiny.build()
    (session,) = tiny.sessions()
    assert session["duration_seconds"] == 40 * 60
    assert session["session_date"] == date(2025, 3, 1)


def test_split_at_midnight_cuts_where_the_local_date_changes(tmp_path: Path) -> None:
    with Tiny(tmp_path, {"session": {"split_at_midnight": True}}) as tiny:
        tiny.add(times("2025-03-01 23:40", "2025-03-01 23:59:59", "2025-03-02 00:00", "2025-03-02 00:05"))
        tiny.build()
        assert [row["duration_seconds"] for row in tiny.sessions()] == [19 * 60 + 59, 5 * 60]


def test_a_gap_of_exactly_the_timeout_stays(tiny: Tiny) -> None:
    tiny.add(times("2025-03-01 10:00", "2025-03-01 10:30"))
    tiny.build()
    assert spans(tiny) == [("01 10:00:00", "01 10:30:00")]


def test_a_gap_of_a_microsecond_more_ends_the_session(tiny: Tiny) -> None:
    tiny.add(times("2025-03-01 10:00", "2025-03-01 10:30:00.000001"))
    tiny.build()
    assert [row["event_count"] for row in tiny.sessions()] == [1, 1]


def test_a_session_of_exactly_twenty_four_hours_stays_and_a_longer_one_is_cut(tiny: Tiny) -> None:
    start = at("2025-03-01 10:00")
    tiny.add([{"event_time": start + timedelta(minutes=20 * step)} for step in range(74)])
    tiny.build()
    # 72 steps of 20 minutes are 24 h: the 73rd event still belongs, the 74th starts anew.
    assert [row["event_count"] for row in tiny.sessions()] == [73, 1]
    assert tiny.sessions()[0]["duration_seconds"] == 24 * 3600


def test_the_cap_is_greedy_from_each_new_start(tiny: Tiny) -> None:
    start = at("2025-03-01 00:00")
    tiny.add([{"event_time": start + timedelta(minutes=25 * step)} for step in range(200)])
    tiny.build()
    # 57 x 25 min = 23:45 h is the last that fits: pieces of 58 events.
    assert [row["event_count"] for row in tiny.sessions()] == [58, 58, 58, 26]


@pytest.mark.parametrize("event_id", ["same", None])
@pytest.mark.parametrize("rule", [{"mode": "trust"}, {"mode": "verify"}, {"split_by": ["device"]}], ids=str)
def test_sessions_that_begin_at_once_with_one_id_have_ids_of_their_own(
    tmp_path: Path, rule: dict[str, Any], event_id: str | None
) -> None:
    """Where nothing is deduplicated two devices of one actor can send events of one id at one instant."""
    settings = {"session": rule}
    with Tiny(tmp_path, settings, columns={"device": pa.string()}, dedup="none") as tiny:
        tiny.add(
            {"event_time": "2025-03-01 10:00", "event_id": event_id, "session_id": name, "device": name}
            for name in ("tv", "phone")
        )
        tiny.build()
        assert len({row["session_id"] for row in tiny.sessions()}) == 2
        assert [row["event_count"] for row in tiny.sessions()] == [1, 1]


def test_split_by_makes_sessions_per_device(tmp_path: Path) -> None:
    with Tiny(tmp_path, {"session": {"split_by": ["device"]}}, columns={"device": pa.string()}) as tiny:
        minutes = [(0, "phone"), (5, "tv"), (10, "phone"), (20, "tv"), (35, None), (38, "phone")]
        tiny.add([{"event_time": f"2025-03-01 10:{minute:02d}", "device": device} for minute, device in minutes])
        tiny.build()
        assert spans(tiny) == [
            ("01 10:00:00", "01 10:38:00"),
            ("01 10:05:00", "01 10:20:00"),
            ("01 10:35:00", "01 10:35:00"),
        ]


def test_null_actors_and_bots_have_no_session(tiny: Tiny) -> None:
    tiny.add(
        [
            {"event_time": "2025-03-01 10:00", "actor_id": None},
            {"event_time": "2025-03-01 10:01", "traffic_class": "bot"},
            {"event_time": "2025-03-01 10:02"},
        ]
    )
    tiny.build()
    (session,) = tiny.sessions()
    assert session["event_count"] == 1
    (day,) = tiny.query("SELECT * FROM gold.event_day")
    counts = [day[name] for name in ("row_count", "event_count", "events_without_actor", "filtered_count")]
    assert counts == [3, 2, 1, 1]
    assert [row["event_count"] for row in tiny.query("SELECT * FROM gold.user_day")] == [1]


def test_engaged_seconds_cap_every_gap_at_five_minutes(tiny: Tiny) -> None:
    tiny.add(times("2025-03-01 10:00", "2025-03-01 10:02", "2025-03-01 10:12", "2025-03-01 10:13"))
    tiny.build()
    assert tiny.sessions()[0]["engaged_seconds"] == 120 + 300 + 60


def test_engaged_seconds_from_heartbeats(tmp_path: Path) -> None:
    """Snowplow's heartbeat * (pings - 1) + min_visit, 0 without pings: 10 * (3 - 1) + 5 = 25 of the 40 seconds.

    Three pings within 9 s count the 9 s that the session lasts, and an hour of them no more than the cap.
    """
    rule = {"event": "ping", "interval": "10s", "first": "5s", "cap": "2m"}
    beats = [
        *[("ann", f"10:00:{second:02d}", "ping") for second in (5, 15, 25)],
        *[("ann", f"10:00:{second:02d}", "view") for second in (0, 40)],
        *[("ben", f"10:0{minute}:00", "view") for minute in (0, 4)],
        *[("cat", f"10:00:0{second}", "ping") for second in (0, 4, 9)],
        *[("dan", f"10:{minute:02d}:{second}", "ping") for minute in range(30) for second in ("00", "10", "20")],
    ]
    with Tiny(tmp_path, {"session": {"heartbeat": rule}}) as made:
        made.add(
            {"actor_id": actor, "event_time": f"2025-03-01 {time}", "event_name": name, "event_id": f"{actor}{time}"}
            for actor, time, name in beats
        )
        made.build()
        found = {row["actor_id"]: (row["heartbeat_count"], row["engaged_seconds"]) for row in made.sessions()}
        assert found == {"ann": (3, 25), "ben": (0, 0), "cat": (3, 9), "dan": (90, 120)}
        days = made.query("SELECT actor_id, engaged_seconds FROM gold.user_day")
        assert {row["actor_id"]: row["engaged_seconds"] for row in days} == {"ann": 25, "ben": 0, "cat": 9, "dan": 120}


def test_first_event_is_the_one_with_the_lowest_seq_then_id(tiny: Tiny) -> None:
    same = "2025-03-01 10:00"
    tiny.add(
        [
            {"event_time": same, "event_id": "a", "seq": None},
            {"event_time": same, "event_id": "z", "seq": 1},
            {"event_time": same, "event_id": "b", "seq": 2},
        ]
    )
    tiny.build()
    assert tiny.sessions()[0]["first_event_id"] == "z"


def test_session_id_is_the_md5_of_actor_start_and_first_event(tiny: Tiny) -> None:
    import hashlib

    tiny.add(times("2025-03-01 10:00"))
    tiny.build()
    micros = int(at("2025-03-01 10:00").timestamp()) * 1_000_000
    expected = hashlib.md5(f"ann|{micros}|e00000".encode()).hexdigest()
    assert tiny.sessions()[0]["session_id"] == expected


def test_a_late_event_joins_two_sessions_across_midnight(tiny: Tiny) -> None:
    tiny.add(times("2025-03-01 23:20", "2025-03-02 00:10", "2025-03-02 00:30"))
    tiny.build()
    assert len(tiny.sessions()) == 2
    tiny.add([{"event_time": "2025-03-01 23:45", "event_id": "late"}])
    tiny.build()
    (session,) = tiny.sessions()
    assert session["event_count"] == 4
    assert session["session_date"] == date(2025, 3, 1)
    assert [row["session_count"] for row in tiny.query("SELECT * FROM gold.user_day ORDER BY activity_date")] == [1, 0]


def test_taking_rows_away_cuts_the_session_again(tiny: Tiny) -> None:
    tiny.add(times("2025-03-01 23:20", "2025-03-01 23:45", "2025-03-02 00:10"))
    tiny.build()
    assert len(tiny.sessions()) == 1
    tiny.replace([date(2025, 3, 1)], [{"event_time": "2025-03-01 23:20"}])
    tiny.build()
    assert [row["session_date"] for row in tiny.sessions()] == [date(2025, 3, 1), date(2025, 3, 2)]


def test_a_second_build_has_nothing_to_do(tiny: Tiny) -> None:
    tiny.add(times("2025-03-01 10:00"))
    assert {run.reason for run in tiny.build()} == {"new"}
    assert {run.reason for run in tiny.build()} == {"nothing new"}


def test_one_new_day_leaves_older_dates_alone(tiny: Tiny) -> None:
    tiny.add([{"event_time": f"2025-03-{day:02d} 10:00", "event_id": f"d{day}"} for day in range(1, 11)])
    tiny.build()
    tiny.add([{"event_time": "2025-03-11 10:00", "event_id": "new"}])
    runs = tiny.build()
    assert {run.dates for run in runs} == {(date(2025, 3, 11),)}


def test_a_build_says_where_heartbeats_alone_make_active(tmp_path: Path) -> None:
    """On the last day one of four and then one of five actors does nothing but send heartbeats: more than a fifth?"""
    with Tiny(tmp_path) as made:
        names = [("ann", "play"), ("ann", "heartbeat"), ("ben", "play"), ("cat", "play"), ("dan", "heartbeat")]
        made.add(
            {"actor_id": actor, "event_name": name, "event_time": f"2025-03-01 10:0{number}", "event_id": f"e{number}"}
            for number, (actor, name) in enumerate(names)
        )
        gold = open_gold(made.engine, made.lake, made.project, made.sources)
        (said,) = kept_active_by_heartbeats(gold)
        assert said.startswith("activity: 25% of the 4 actors that were active on 2025-03-01 did nothing but")
        made.add([{"actor_id": "eve", "event_name": "play", "event_time": "2025-03-01 11:00", "event_id": "e9"}])
        gold = open_gold(made.engine, made.lake, made.project, made.sources)
        assert kept_active_by_heartbeats(gold) == []
