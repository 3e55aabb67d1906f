"""Watch time from play states (METRICS section 12)."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.errors import DefinitionError

COLUMNS = {"content_id": pa.string()}
RULE = {"session": {"mode": "trust"}}
PLAYED = (("00", "play"), ("05", "stop"))


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
        # A content that is played anew has no end of what was played before: five minutes, or until then.
        ("10:00 play, 10:02 heartbeat, 10:30 play, 10:40 stop", 120 + 300 + 600, 120 + 300 + 600, 1),
        ("10:00 play, 10:03 play, 10:10 stop", 600, 600, 1),
        ("10:00 play, 10:01 pause, 10:31 play, 10:40 stop", 60 + 540, 60 + 300 + 540, 0),
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


def watched(tiny: Tiny) -> list[tuple[str, float, float, int]]:
    names = ("watch_seconds", "watch_seconds_wall", "watch_open_ended_count")
    return [(f"{row['started_at']:%d %H:%M}", *(row[name] for name in names)) for row in tiny.sessions()]


def plays(*texts: str, **more: Any) -> list[dict[str, Any]]:
    """Events from `01 10:00 play`, with what follows the name as their session."""
    found = []
    for number, text in enumerate(texts):
        day, clock, name, *session = text.split()
        row = {"event_time": f"2025-03-{day} {clock}", "event_name": name, "content_id": "a"}
        found.append({**row, "session_id": session[0] if session else None, "event_id": f"{day}{number:03d}", **more})
    return found


def test_a_film_without_heartbeats_plays_on_where_its_session_has_timed_out(tmp_path: Path) -> None:
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        tiny.add(plays("01 10:00 play", "01 12:00 complete"))
        tiny.build()
        assert watched(tiny) == [("01 10:00", 7200, 7200, 0), ("01 12:00", 0, 0, 0)]


def test_a_stretch_belongs_to_the_session_of_the_event_that_begins_it(tmp_path: Path) -> None:
    with Tiny(tmp_path, RULE, columns=COLUMNS) as tiny:
        tiny.add(
            plays("01 10:00 play s", "01 10:10 pause t", "01 10:30 resume s", "01 10:35 seek t", "01 10:50 stop s")
        )
        tiny.build()
        assert watched(tiny) == [("01 10:00", 600 + 300, 600 + 300, 0), ("01 10:10", 900, 1200 + 900, 0)]


def test_an_event_outside_of_sessions_counts_for_the_session_that_the_content_was_in(tmp_path: Path) -> None:
    with Tiny(tmp_path, RULE, columns=COLUMNS) as tiny:
        tiny.add(plays("01 09:59 heartbeat", "01 10:00 play s", "01 10:10 heartbeat", "01 10:30 stop"))
        tiny.build()
        assert watched(tiny) == [("01 10:00", 1800, 1800, 0)]


BRACKET = {"session": {"mode": "bracket", "start": "open", "end": "close"}}


def test_in_overlapping_sessions_an_end_that_is_given_to_the_other_one_ends_the_play(tmp_path: Path) -> None:
    with Tiny(tmp_path, BRACKET, columns=COLUMNS) as tiny:
        tiny.add(plays("01 10:00 open", "01 10:05 open", "01 10:50 close", "01 11:00 close", content_id=None))
        # The first stop goes to the older session, which has none yet: to that of the other film's play.
        tiny.add(plays("01 10:01 play", "01 10:40 stop", event_id="a"))
        tiny.add(plays("01 10:10 play", "01 10:20 stop", event_id="b", content_id="b"))
        tiny.build()
        assert watched(tiny) == [("01 10:00", 39 * 60, 39 * 60, 0), ("01 10:05", 600, 600, 0)]


@pytest.mark.parametrize("rule", [RULE, {"session": {"mode": "verify"}}, BRACKET], ids=str)
def test_an_end_outside_of_sessions_that_is_taken_away_leaves_the_play_without(
    tmp_path: Path, rule: dict[str, Any]
) -> None:
    with Tiny(tmp_path, rule, columns=COLUMNS) as tiny:
        tiny.add(plays("01 20:00 open s", "01 20:09 close s", content_id=None))
        tiny.add(plays("01 20:01 play s", "02 09:01 stop"))
        tiny.build()
        assert watched(tiny) == [("01 20:00", 13 * 3600, 13 * 3600, 0)]
        tiny.replace([date(2025, 3, 2)], plays("02 10:00 seek", actor_id="bob"))
        tiny.build()
        assert watched(tiny) == [("01 20:00", 300, 300, 1)]
        tiny.add(plays("02 09:01 stop"))
        tiny.build()
        assert watched(tiny) == [("01 20:00", 13 * 3600, 13 * 3600, 0)]


@pytest.mark.parametrize(
    ("end", "net", "open_ended"), [("02 10:00 stop", 86400, 0), ("02 10:01 stop", 300, 1), ("02 10:00 play", 300, 2)]
)
def test_an_end_that_comes_later_than_a_session_may_last_is_none(
    tmp_path: Path, end: str, net: float, open_ended: int
) -> None:
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        tiny.add(plays("01 10:00 play", end))
        tiny.build()
        assert watched(tiny)[0] == ("01 10:00", net, net, min(open_ended, 1))
        assert sum(row[3] for row in watched(tiny)) == open_ended


def test_what_runs_for_ever_plays_as_long_as_a_session_may_last(tmp_path: Path) -> None:
    """A screen that nobody switches off: the first heartbeat after 24 hours finds the play forgotten."""
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        texts = [f"{1 + hour // 24:02d} {hour % 24:02d}:00 heartbeat" for hour in range(1, 40)]
        tiny.add(plays("01 00:00 play", *texts))
        tiny.build()
        assert sum(row[1] for row in watched(tiny)) == 24 * 3600 + 300
        assert sum(row[3] for row in watched(tiny)) == 1


def test_a_later_event_changes_the_watch_time_of_a_session_of_the_day_before(tmp_path: Path) -> None:
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        tiny.add(plays("01 20:00 play", "05 20:00 play"))
        tiny.build()
        assert watched(tiny) == [("01 20:00", 300, 300, 1), ("05 20:00", 300, 300, 1)]
        tiny.add(plays("02 09:00 stop"))
        assert {run.name: run.dates for run in tiny.build()}["gold.sessions"] == (date(2025, 3, 1), date(2025, 3, 2))
        assert watched(tiny)[:2] == [("01 20:00", 13 * 3600, 13 * 3600, 0), ("02 09:00", 0, 0, 0)]
        days = tiny.query("SELECT watch_seconds FROM gold.user_day ORDER BY activity_date")
        assert [day["watch_seconds"] for day in days] == [13 * 3600, 0, 300]


@pytest.mark.parametrize("mode", ["ignore", "trust", "verify"])
def test_a_late_play_changes_the_watch_time_of_a_session_of_the_day_after(tmp_path: Path, mode: str) -> None:
    with Tiny(tmp_path, {"session": {"mode": mode}}, columns=COLUMNS) as tiny:
        tiny.add(plays("02 10:00 heartbeat t", "02 10:05 pause t"))
        tiny.build()
        assert watched(tiny) == [("02 10:00", 0, 0, 0)]
        tiny.add(plays("01 20:00 play s"))
        tiny.build()
        assert watched(tiny) == [("01 20:00", 14 * 3600, 14 * 3600, 0), ("02 10:00", 300, 300 + 300, 0)]


def test_an_event_can_change_a_session_that_ended_two_days_before(tmp_path: Path) -> None:
    """What a player does without a session counts for the last one, a day later too; and ends a day after that."""
    with Tiny(tmp_path, RULE, columns=COLUMNS) as tiny:
        tiny.add(plays("01 10:00 play s", "01 10:10 pause s", "02 10:00 resume"))
        tiny.build()
        assert watched(tiny) == [("01 10:00", 600 + 300, 24 * 3600 + 300, 1)]
        tiny.add(plays("03 09:59 stop"))
        tiny.build()
        assert watched(tiny) == [("01 10:00", 600 + 24 * 3600 - 60, 24 * 3600 + 300, 0)]


def test_a_session_made_anew_sees_an_end_two_dates_after_its_start(tmp_path: Path) -> None:
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        tiny.add(plays("01 23:50 seek", "02 00:10 play", "03 00:05 stop"))
        tiny.build()
        tiny.add(plays("01 23:45 seek", event_id="late"))
        tiny.build()
        assert watched(tiny)[0] == ("01 23:45", 24 * 3600 - 300, 24 * 3600 - 300, 0)


@pytest.mark.parametrize(
    ("rule", "later"), [({}, "03 10:00 open"), (RULE, "03 10:00 open u"), (BRACKET, "04 10:00 open")]
)
def test_a_session_made_anew_remembers_the_play_of_the_day_before(
    tmp_path: Path, rule: dict[str, Any], later: str
) -> None:
    with Tiny(tmp_path, rule, columns=COLUMNS) as tiny:
        tiny.add(plays("01 20:00 open s", "01 20:09 close s", "02 19:00 open t", "02 19:40 close t", content_id=None))
        tiny.add(plays("01 20:00 play s", "02 19:00 heartbeat t", "02 19:30 pause t"))
        tiny.build()
        assert watched(tiny)[1:] == [("02 19:00", 1800, 1800 + 300, 0)]
        tiny.add(plays(later, content_id=None))
        tiny.build()
        assert watched(tiny)[1:-1] == [("02 19:00", 1800, 1800 + 300, 0)]


def test_a_day_whose_plays_have_ended_is_left_alone_by_the_next(tmp_path: Path) -> None:
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        tiny.add(plays("01 20:00 play", "01 20:30 stop"))
        tiny.build()
        tiny.add(plays("02 09:00 play"))
        assert {run.dates for run in tiny.build()} == {(date(2025, 3, 2),)}


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


@pytest.mark.parametrize("is_tied", [False, True])
def test_a_dimension_that_is_called_content(tmp_path: Path, is_tied: bool) -> None:
    """It is the watched content, or it is refused: both would be first_watch_content."""
    events = [
        {"event_time": f"2025-03-01 10:{minute}", "event_name": name, "content": "film"} for minute, name in PLAYED
    ]
    settings = {"dimensions": ["content"], "watch": {"play": ["play"], "end": ["stop"], "content": "content"}}
    with Tiny(tmp_path / "a", settings, columns={"content": pa.string()}) as tiny:
        tiny.add([*events, *events[:1]] if is_tied else events)
        tiny.build()
        (row,) = tiny.sessions()
        assert (row["first_content"], row["first_watch_content"]) == ("film", "film")
        assert not [name for name in row if name.endswith("_1")]
    settings["watch"] = {**settings["watch"], "content": "video"}
    with Tiny(tmp_path / "b", settings, columns={"content": pa.string(), "video": pa.string()}) as tiny:
        tiny.add([{**event, "video": "v"} for event in events])
        with pytest.raises(DefinitionError, match="first_watch_content"):
            tiny.build()
