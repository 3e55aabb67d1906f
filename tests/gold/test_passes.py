"""Tables by day go through the passes together: what they share is made once a pass, and steps are not kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import tidelake.gold.dates as dates
from tests.gold.tiny import Tiny, watched

SETTINGS = {"dimensions": ["device"], "measures": {"devices": {"distinct": "device"}}}
COLUMNS = {"device": pa.string()}
BY_DAY = ("gold.user_day", "gold.user_day_value", "gold.event_day")


def counted_build(tiny: Tiny, **options: Any) -> Counter[str]:
    """What a build wrote, by table."""
    written: Counter[str] = Counter()
    with watched(tiny, lambda table: written.update([table])):
        tiny.build(**options)
    return written


def two_a_day(days: range) -> list[dict[str, Any]]:
    return [
        {"event_time": f"2025-03-{day:02d} {hour}:00", "event_id": f"{day}-{hour}", "device": device}
        for day in days
        for hour, device in ((10, "tv"), (11, "phone"))
    ]


def test_what_tables_share_is_made_once_a_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dates, "CHUNK_ROWS", 4)  # two days a pass
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add(two_a_day(range(1, 7)))
        first = counted_build(tiny)
        assert [first[table] for table in BY_DAY] == [3, 3, 3]
        assert [first[f"temp.{name}"] for name in ("event_groups", "day_edges", "distinct_devices")] == [3, 3, 3]
        # Days 4 to 7 get a row: three each in 4 to 6, one in 7. 4 alone, 5 alone, then 6 and 7.
        tiny.add([{**event, "event_id": "late"} for event in two_a_day(range(4, 8))[::2]])
        second = counted_build(tiny)
        assert [second[table] for table in BY_DAY] == [3, 3, 3]
        assert second["temp.event_groups"] == 3
        counts = tiny.query("SELECT event_count FROM gold.user_day ORDER BY activity_date")
        assert [row["event_count"] for row in counts] == [2, 2, 2, 3, 3, 3, 1]


def test_tables_that_have_different_dates_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some begin anew, one is ahead: each does its own dates, with the rows of one build of everything."""
    events = two_a_day(range(1, 9))
    with (
        Tiny(tmp_path / "once", SETTINGS, columns=COLUMNS) as once,
        Tiny(tmp_path / "parts", SETTINGS, columns=COLUMNS) as parts,
    ):
        once.add(events)
        once.build()
        monkeypatch.setattr(dates, "CHUNK_ROWS", 4)
        parts.add(events[:4])
        parts.build(select=["user_day_value"])
        parts.add(events[4:12])
        written = counted_build(parts)
        # user_day and event_day begin with days 1 to 6; user_day_value has 1 and 2 already.
        assert [written[table] for table in BY_DAY] == [3, 2, 3]
        assert written["temp.event_groups"] == 3
        parts.add(events[12:])
        parts.build(select=["user_day_value"])
        parts.build()
        assert parts.everything() == once.everything()


@pytest.mark.parametrize(
    "session", [{"mode": "ignore"}, {"mode": "verify"}, {"mode": "bracket", "start": "open", "end": "close"}]
)
def test_the_steps_of_sessions_are_not_kept(tmp_path: Path, session: dict[str, Any]) -> None:
    with Tiny(tmp_path, {"session": session}) as tiny:
        tiny.add(
            [
                {"event_time": "2025-03-01 10:00", "event_name": "open", "session_id": "a"},
                {"event_time": "2025-03-01 10:00", "event_name": "click", "session_id": "a"},
                {"event_time": "2025-03-01 10:01", "event_name": "close", "session_id": "a"},
            ]
        )
        written = counted_build(tiny, select=["sessions"])
        steps = {name for name in written if name.startswith(("temp.session_", "temp.bracket_"))}
        assert {"temp.session_bins", "temp.session_totals", "temp.session_instants", "temp.session_ties"} <= steps
        kept = {name for name in steps if tiny.engine.schema(name) is not None}
        assert kept <= {"temp.session_rows", "temp.bracket_given"}
        (row,) = tiny.sessions()
        assert (row["event_count"], row["duration_seconds"]) == (3, 60.0)
