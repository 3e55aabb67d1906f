"""Builds that are killed between any two commits, and builds in many small passes: the same gold."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import tidelake.gold.dates as dates
from tests.gold.test_bracket import RULE as BRACKET
from tests.gold.test_bracket import random_story
from tests.gold.test_entities import Sites, day
from tests.gold.test_sessions_random import COLUMNS, random_events, tiny_of
from tests.gold.test_watch_random import COLUMNS as PLAY_COLUMNS
from tests.gold.test_watch_random import random_plays
from tests.gold.tiny import Tiny, watched
from tidelake.errors import LedgerError


class KilledError(Exception):
    """Stands for a process that ends here."""


def killed_builds(tiny: Tiny) -> int:
    """Build with a kill after 0, 1, 2, 4 ... commits, each time after the last; the number of kills."""
    kills = 0
    for writes in (0, 1, 2, 4, 7, 11, 16, 22, 29, 60):
        left = iter(range(writes))

        def tell(table: str, left: Iterator[int] = left) -> None:
            if not table.startswith("temp.") and next(left, None) is None:
                raise KilledError

        try:
            with watched(tiny, tell):
                tiny.build()
        except KilledError:
            kills += 1
        else:
            return kills
        finally:
            tiny.lake.refresh()
    raise AssertionError("the build never ended")


@pytest.mark.parametrize(
    "rule", [{"mode": "ignore"}, {"mode": "verify"}, {"mode": "ignore", "timeout": "26h", "cap": "60h"}]
)
def test_a_killed_build_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: dict[str, Any]
) -> None:
    events = random_events(11, "Europe/Berlin", count=80)
    arriving = random.Random(3).sample(events, len(events))
    settings = tiny_of("Europe/Berlin", rule)
    with (
        Tiny(tmp_path / "once", settings, columns=COLUMNS) as once,
        Tiny(tmp_path / "killed", settings, columns=COLUMNS) as killed,
    ):
        once.add(events)
        once.build()
        monkeypatch.setattr(dates, "CHUNK_ROWS", 25)
        kills = 0
        for part in range(2):
            killed.add(arriving[part * 40 : (part + 1) * 40])
            kills += killed_builds(killed)
        assert kills > 3
        assert killed.everything() == once.everything()
        assert {run.reason for run in killed.build()} == {"nothing new"}


@pytest.mark.parametrize("mode", ["ignore", "trust"])
def test_a_killed_build_of_watch_time_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    events = random_plays(4, "UTC", actors=6, count=12)
    arriving = random.Random(5).sample(events, len(events))
    settings = {"session": {"mode": mode}}
    with (
        Tiny(tmp_path / "once", settings, columns=PLAY_COLUMNS) as once,
        Tiny(tmp_path / "killed", settings, columns=PLAY_COLUMNS) as killed,
    ):
        once.add(events)
        once.build()
        monkeypatch.setattr(dates, "CHUNK_ROWS", 15)
        for part in range(2):
            killed.add(arriving[part::2])
            assert killed_builds(killed) > 1
        assert killed.everything() == once.everything()


def test_a_killed_build_of_bracket_sessions_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = random_story(5, 80)
    with Tiny(tmp_path / "once", BRACKET) as once, Tiny(tmp_path / "killed", BRACKET) as killed:
        once.add(events)
        once.build()
        monkeypatch.setattr(dates, "CHUNK_ROWS", 25)
        for part in range(2):
            killed.add(events[part * 40 : (part + 1) * 40])
            killed_builds(killed)
        assert killed.everything() == once.everything()


def test_a_killed_build_of_entities_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(1)
    counts = [(name, day(number), rng.randrange(9)) for number in range(40) for name in "abc" if rng.random() < 0.5]
    late = rng.sample(counts, len(counts))
    with Sites(tmp_path / "once") as once, Sites(tmp_path / "killed") as killed:
        once.count(counts)
        once.build()
        monkeypatch.setattr(dates, "CHUNK_ROWS", 15)
        for part in range(2):
            killed.count(late[part * len(late) // 2 : (part + 1) * len(late) // 2])
            killed_builds(killed)
        assert killed.days() == once.days()


def test_rows_that_do_not_add_up_stop_the_build(tmp_path: Path) -> None:
    with Tiny(tmp_path) as tiny:
        tiny.add([{"event_time": "2025-03-01 10:00"}, {"event_time": "2025-03-01 10:01"}])
        tiny.build()
        tiny.engine.write(
            "SELECT * FROM gold.user_day WHERE FALSE", "gold.user_day", "replace",
            replace={"activity_date": [date(2025, 3, 1)]}, note=tiny.lake.note("gold.user_day"),
        )  # fmt: skip
        with pytest.raises(LedgerError, match="2025-03-01: silver has 2 rows"):
            tiny.build(select=["event_day"], full_refresh=True)
