"""The collapse example from its simulated logs to gold, against the truth that the simulator counted by itself."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from tidelake import session as tl
from tidelake.sources.simulate import simulate

EXAMPLE = Path(__file__).parents[1] / "examples" / "collapse"
UNENDED_SECONDS = 300  # what the example's `watch: cap:` adds to a play without an end


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
    made = simulate("collapse", root / "data", users=500, seed=9)
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


def played(events: list[tuple[str, str, int]]) -> int:
    """Net microseconds of one person's plays: the state machine of METRICS section 12, written once more."""
    total = 0
    for title in {content for _, content, _ in events}:
        since = None
        mine = [(name, at) for name, content, at in events if content == title]
        for (name, at), (following, after) in zip(mine, [*mine[1:], ("video_play", 0)], strict=True):
            if name in ("video_play", "video_resume", "buffer_end") or (name == "video_seek" and since is not None):
                since = at
                total += UNENDED_SECONDS * 1_000_000 if following == "video_play" else after - at
            else:
                since = None
    return total


def test_watch_time_of_everybody_whose_sessions_never_overlap(built: Built) -> None:
    events = built.rows(
        "SELECT actor_id, event_name, content_id, epoch_us(event_time) FROM {silver.clickstream} ORDER BY event_time"
    )
    by_actor: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    depth: Counter[str] = Counter()
    overlapping = set()
    for actor, name, content, at in events:
        depth[actor] += {"app_open": 1, "app_close": -1}.get(name, 0)
        if depth[actor] > 1:
            overlapping.add(actor)
        if content is not None:
            by_actor[actor].append((name, content, at))
    found = built.rows("SELECT actor_id, sum(watch_seconds) FROM {gold.user_day} GROUP BY 1")
    alone = {actor: seconds for actor, seconds in found if actor not in overlapping}
    assert len(alone) > 100
    for actor, seconds in alone.items():
        assert seconds == pytest.approx(played(by_actor[actor]) / 1_000_000, abs=1e-3), actor


def test_watch_time_of_all_is_what_was_played(built: Built) -> None:
    """Within a thousandth: where two sessions of a person overlap, an event can go to the wrong one."""
    happened = built.truth["happened"]
    ended = sum(happened["watch_milliseconds_by_session_date"].values()) / 1000
    unended = sum(happened["unended_plays_by_session_date"].values())
    shown = happened["unended_watch_milliseconds_until_last_event"] / 1000
    ((seconds,),) = built.rows("SELECT sum(watch_seconds) FROM {gold.user_day}")
    assert seconds == pytest.approx(ended + shown + UNENDED_SECONDS * unended, rel=0.001)


def test_bounced_sessions_are_those_without_a_play(built: Built) -> None:
    """Within one in two hundred, for the same reason: the older of two open sessions gets the first play."""
    ((bounced, sessions),) = built.rows("SELECT count(*) FILTER (WHERE plays = 0), count(*) FROM {gold.sessions}")
    happened = built.truth["happened"]["sessions_without_play_by_date"]
    assert bounced == pytest.approx(sum(happened.values()), abs=0.005 * sessions)


def test_a_second_build_takes_nothing(built: Built) -> None:
    before = built.rows("SELECT count(*) FROM {silver.clickstream}")
    with tl.open(built.root) as session:
        assert session.build().verdict == "unchanged"
    assert built.rows("SELECT count(*) FROM {silver.clickstream}") == before
