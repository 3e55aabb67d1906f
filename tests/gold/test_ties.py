"""Rows that share time, seq and event id: their content orders them, in whatever order they arrive."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny

COLUMNS = {"device": pa.string(), "amount": pa.float64(), "content_id": pa.string()}
TIED = [
    {"event_time": "2025-03-01 10:00", "event_id": "same", "device": "tv", "amount": 1.0},
    {"event_time": "2025-03-01 10:00", "event_id": "same", "device": "phone", "amount": 3.0},
    {"event_time": "2025-03-01 10:00", "event_id": "same", "device": "phone", "amount": 2.0},
]


@pytest.mark.parametrize("session", [{"mode": "ignore"}, {"mode": "bracket", "start": "open", "end": "close"}])
def test_the_content_orders_rows_with_the_same_id(tmp_path: Path, session: dict[str, Any]) -> None:
    settings = {"session": session, "dimensions": ["device", "amount"]}
    around = [
        {"event_time": "2025-03-01 10:00", "event_name": "open", "event_id": "same", "device": "zx", "amount": 9.0},
        {"event_time": "2025-03-01 10:01", "event_name": "close", "event_id": "last", "device": "tv", "amount": 4.0},
    ]
    found = []
    for number, rows in enumerate(permutations(TIED)):
        with Tiny(tmp_path / str(number), settings, columns=COLUMNS, dedup="none") as tiny:
            for row in (*rows, *around) if number % 2 else (*around, *rows):
                tiny.add([row])
                if number == 0:
                    tiny.build()
            tiny.build()
            found.append(tiny.everything())
    assert all(rows == found[0] for rows in found)
    # By column name: `amount` decides before `device`; the bracket's start comes first of those at its time.
    first = ("zx", 9.0) if session["mode"] == "bracket" else ("tv", 1.0)
    (row,) = found[0]["gold.sessions"]
    assert (row["first_device"], row["first_amount"]) == first
    (day,) = found[0]["gold.user_day"]
    assert (day["first_device"], day["first_amount"], day["last_device"]) == ("tv", 1.0, "tv")


def test_another_column_does_not_change_the_tables_of_rows_before(tmp_path: Path) -> None:
    settings = {"dimensions": ["device"]}
    with Tiny(tmp_path, settings, columns=COLUMNS, dedup="none") as tiny:
        tiny.add(TIED)
        tiny.build()
        before = tiny.everything()
        tiny.columns["added"] = pa.string()
        tiny.add([{"event_time": "2025-03-04 10:00", "device": "tv", "added": "x"}])
        runs = tiny.build()
        assert {run.reason for run in runs} == {"inputs changed"}
        day = tiny.query("SELECT * FROM gold.sessions WHERE session_date = DATE '2025-03-01'")
        assert [{name: row[name] for name in sorted(row)} for row in day] == before["gold.sessions"]
