"""The collapse example from its simulated logs to gold, against the truth that the simulator counted by itself."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pytest
from deltalake import DeltaTable

from tidelake import session as tl
from tidelake.sources.simulate import simulate
from tidelake.sources.simulate.clickstream import Period, clickstream
from tidelake.sources.simulate.collapse import DAYS, FIRST_DATE
from tidelake.sources.simulate.planted import PLANTS

EXAMPLE = Path(__file__).parents[1] / "examples" / "collapse"
UNENDED_MS = 300_000  # what the example's `watch: cap:` adds to a play without an end
USERS, SEED = 500, 9
PERIOD = Period(FIRST_DATE, DAYS, FIRST_DATE + timedelta(days=DAYS // 2))


class Happened(NamedTuple):
    """One session and what was watched in it."""

    actor: str
    start_ms: int
    end_ms: int
    plays: int
    watched_ms: int
    unended: int


@dataclass(frozen=True)
class Built:
    root: Path
    truth: Any

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Bare DuckDB over the files that the Delta log names; `{layer.table}` stands for a table."""
        tables = {name: self._files(name) for name in ("silver.clickstream", "silver.quarantine", "silver.duplicates")}
        tables |= {name: self._files(name) for name in ("gold.sessions", "gold.user_day")}
        for name, files in tables.items():
            sql = sql.replace("{" + name + "}", f"read_parquet({files}, hive_partitioning = true)")
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def _files(self, name: str) -> list[str]:
        return list(DeltaTable(str(self.root / "lake" / Path(*name.split(".")))).file_uris())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("collapse") / "project"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "lake", "target"))
    made = simulate("collapse", root / "data", users=USERS, seed=SEED)
    with tl.open(root) as session:
        result = session.build()
    assert result.exit_code == 0
    assert result.verdict == "balanced"
    return Built(root, json.loads(made.truth.read_text()))


def nonzero(counts: dict[str, int]) -> dict[str, int]:
    return {name: n for name, n in counts.items() if n}


def test_every_line_is_accepted_quarantined_or_a_duplicate(built: Built) -> None:
    lines = built.truth["lines"]
    assert built.rows("SELECT count(*) FROM {silver.clickstream}") == [(lines["events"],)]
    assert built.rows("SELECT count(*) FROM {silver.duplicates}") == [(lines["duplicates"],)]
    quarantined = dict(
        built.rows("SELECT reasons[1], count(*) FROM {silver.quarantine} WHERE len(reasons) = 1 GROUP BY 1")
    )
    damaged = lines["damaged"]
    assert quarantined == {
        "invalid_json": damaged["cut_off"],
        "missing_required:user_id": damaged["user_id_missing"],
        "not_allowed:event_type": damaged["event_type_unknown"],
        "wrong_time:timestamp": damaged["timestamp_unreadable"],
        "clock_skew:event_time": damaged["timestamp_1970"],
        "wrong_type:app_version": damaged["app_version_a_number"],
        "wrong_type:seek_seconds": damaged["seek_seconds_a_word"],
    }
    assert sum(quarantined.values()) + lines["events"] + lines["duplicates"] == lines["total"]


def test_events_by_type_and_date(built: Built) -> None:
    found = built.rows(
        "SELECT event_name, strftime(event_time, '%Y-%m-%d'), count(*) FROM {silver.clickstream} GROUP BY 1, 2"
    )
    planted = {
        (kind, day): n
        for kind, days in built.truth["logged"]["events_by_type_and_date"].items()
        for day, n in days.items()
        if n
    }
    assert {(kind, day): n for kind, day, n in found} == planted


def test_versions_stay_text(built: Built) -> None:
    versions = {row[0] for row in built.rows("SELECT DISTINCT app_version FROM {silver.clickstream}")}
    assert versions == {"1.8", "1.9", "1.10"}


def test_daily_active_users_and_plays(built: Built) -> None:
    logged = built.truth["logged"]
    found = built.rows(
        "SELECT CAST(activity_date AS VARCHAR), count(*), sum(plays), sum(opens) FROM {gold.user_day} GROUP BY 1"
    )
    assert {day: users for day, users, _, _ in found} == logged["users_by_date"]
    assert {day: plays for day, _, plays, _ in found} == logged["events_by_type_and_date"]["video_play"]
    assert {day: opens for day, _, _, opens in found} == logged["events_by_type_and_date"]["app_open"]


def test_sessions_are_brackets(built: Built) -> None:
    found = dict(built.rows("SELECT CAST(session_date AS VARCHAR), count(*) FROM {gold.sessions} GROUP BY 1"))
    assert found == nonzero(built.truth["happened"]["sessions_by_date"])


def happened() -> list[Happened]:
    """Every session of the simulation, from what it knows and no log shows."""
    stream = clickstream(PLANTS["regional_model_failure"], PERIOD, USERS, SEED)
    session, play = stream.session, stream.play
    watched = np.zeros(len(session["user"]), np.int64)
    np.add.at(watched, play["session"], play["shown_ms"] + np.where(play["ended"], 0, UNENDED_MS))
    unended = np.bincount(play["session"][~play["ended"]], minlength=len(watched))
    columns = (session["start_ms"], session["end_ms"], session["plays"], watched, unended)
    numbers = zip(*(column.tolist() for column in columns), strict=True)
    return [Happened(f"u_{user:06d}", *row) for user, row in zip(session["user"].tolist(), numbers, strict=True)]


def found_sessions(built: Built) -> list[Happened]:
    columns = "epoch_ms(started_at), epoch_ms(ended_at), plays, round(watch_seconds * 1000), watch_open_ended_count"
    return [Happened(*row) for row in built.rows(f"SELECT actor_id, {columns} FROM {{gold.sessions}}")]


def test_everybodys_watch_time_is_what_was_played(built: Built) -> None:
    """To the millisecond and the missing end, also of those whose sessions overlap."""

    def by_actor(sessions: list[Happened]) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for one in sessions:
            seconds, unended = found[one.actor]
            found[one.actor] = (seconds + one.watched_ms, unended + one.unended)
        return found

    truth = by_actor(happened())
    assert sum(unended for _, unended in truth.values()) > 200
    assert by_actor(found_sessions(built)) == truth
    days = (
        "SELECT actor_id, sum(round(watch_seconds * 1000)), sum(watch_open_ended_count) FROM {gold.user_day} GROUP BY 1"
    )
    assert {actor: (watched, unended) for actor, watched, unended in built.rows(days)} == truth


def test_sessions_that_overlap_no_other_are_what_happened(built: Built) -> None:
    """Start, end, plays, watch time and missing ends; where two are open at once no log tells which has an event."""
    by_actor: dict[str, list[Happened]] = defaultdict(list)
    for session in happened():
        by_actor[session.actor].append(session)
    alone = {
        one
        for own in by_actor.values()
        for one in own
        if sum(other.start_ms <= one.end_ms and one.start_ms <= other.end_ms for other in own) == 1
    }
    assert len(alone) > 9000
    assert any(session.plays == 0 for session in alone)
    assert alone <= set(found_sessions(built))


def test_a_second_build_takes_nothing(built: Built) -> None:
    before = built.rows("SELECT count(*) FROM {silver.clickstream}")
    with tl.open(built.root) as session:
        assert session.build().verdict == "unchanged"
    assert built.rows("SELECT count(*) FROM {silver.clickstream}") == before
