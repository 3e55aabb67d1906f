"""The streampro example: every column of its session tables recomputed from the raw lines by plain Python."""

from __future__ import annotations

import csv
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidelake import session as tl
from tidelake.sources.simulate import simulate

EXAMPLE = Path(__file__).parents[1] / "examples" / "streampro"
THREE_DAYS = timedelta(hours=72)
AT_FIRST = ("device", "device_os", "app_version", "network_type", "country")
Row = dict[str, Any]


@dataclass
class Built:
    data: Path
    root: Path

    def rows(self, sql: str) -> list[Row]:
        with tl.open(self.root) as session:
            return session.sql(sql).to_dicts()


def project(root: Path, data: Path) -> Built:
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "lake", "target"))
    shutil.copytree(data, root / "data")
    users = root / "sources/users.yml"
    if "@" in (data / "users.csv").read_text():  # that form writes 31/12/2025
        users.write_text(users.read_text().replace("time_format: iso", 'time_format: "%d/%m/%Y"'))
    with tl.open(root) as session:
        result = session.build()
    assert (result.exit_code, result.verdict) == (0, "balanced")
    return Built(data, root)


@pytest.fixture(scope="module", params=["simulated", "simulated, with addresses", "streampro_events"])
def built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_data: Callable[[str], Path]
) -> Built:
    folder = tmp_path_factory.mktemp("streampro")
    if request.param == "streampro_events":
        found = next(shared_data("streampro_events").rglob("events.jsonl")).parent
        return project(folder / "project", found)
    simulate("streampro", folder / "data", users=300, seed=4, personal=request.param != "simulated")
    return project(folder / "project", folder / "data")


def raw_sessions(data: Path) -> list[Row]:
    """One row a (user, session) from the distinct lines, as the document's tables want it."""
    distinct = {
        json.dumps(json.loads(line), sort_keys=True) for line in (data / "events.jsonl").read_text().splitlines()
    }
    events = defaultdict(list)
    for line in distinct:
        event = json.loads(line)
        event["at"] = datetime.fromisoformat(event["timestamp"]).replace(tzinfo=UTC)
        events[event["user_id"], event["session_id"]].append(event)
    with (data / "videos.csv").open() as file:
        genres = {row["video_id"]: row["genre"] for row in csv.DictReader(file)}
    rows = []
    for (user, session), own in events.items():
        own.sort(key=lambda event: event["at"])
        watched = [event for event in own if event["event_name"] == "watch_time" and event["value"] is not None]
        seconds = sum(event["value"] for event in watched)
        first_videos = {e["video_id"] for e in watched if e["at"] == watched[0]["at"]} if watched else {None}
        rows.append(
            {
                "user_id": user,
                "session_id": session,
                "session_start": own[0]["at"],
                "session_end": own[-1]["at"],
                "total_watch_time_s": seconds,
                "has_like": any(event["event_name"] == "like" for event in own),
                "has_heart": any(event["event_name"] == "heart" for event in own),
                "event_count": len(own),
                "reached_30s": seconds >= 30,
                "dropoff_under_10s": seconds < 10,
                "first_video_id": first_videos,
                "first_genre": {genres.get(video) for video in first_videos},
                **{name: {e[name] for e in own if e["at"] == own[0]["at"]} for name in AT_FIRST},
            }
        )
    return with_next(rows)


def with_next(rows: list[Row]) -> list[Row]:
    end = max(row["session_end"] for row in rows)
    of_user = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["session_start"]):
        of_user[row["user_id"]].append(row)
    for own in of_user.values():
        for number, row in enumerate(own, start=1):
            after = own[number] if number < len(own) else None
            row["session_number"] = number
            row["next_session_start"] = after and after["session_start"]
            within = after is not None and after["session_start"] - row["session_start"] <= THREE_DAYS
            row["next_session_within_3d"] = within if row["session_start"] + THREE_DAYS <= end else None
    return rows


def agrees(expected: Any, found: Any) -> bool:
    if isinstance(expected, set):  # several events at the first instant: any of theirs
        return found in expected
    return found == pytest.approx(expected) if isinstance(expected, float) else found == expected


def test_every_session_of_the_mart_is_that_of_the_raw_lines(built: Built) -> None:
    expected = {(row["user_id"], row["session_id"]): row for row in raw_sessions(built.data)}
    found: Mapping[tuple[str, str], Row] = {
        (row["user_id"], row["session_id"]): row for row in built.rows("SELECT * FROM mart.fact_user_session")
    }
    assert found.keys() == expected.keys()
    wrong = [
        (key, name, value, found[key][name])
        for key, row in expected.items()
        for name, value in row.items()
        if not agrees(value, found[key][name])
    ]
    assert wrong == []


def test_sessions_carry_their_users_and_nothing_is_multiplied(built: Built) -> None:
    with (built.data / "users.csv").open() as file:
        users = {row["user_id"]: row for row in csv.DictReader(file)}
    rows = built.rows("SELECT user_id, signup_date, subscription_tier, gender FROM intermediate.user_sessions")
    for row in rows:
        told = users[row["user_id"]]
        assert (row["subscription_tier"], row["gender"]) == (told["subscription_tier"], told["gender"])
        assert (
            row["signup_date"].strftime("%d/%m/%Y" if "/" in told["signup_date"] else "%Y-%m-%d") == told["signup_date"]
        )
    [counts] = built.rows("SELECT count(*) AS n, count(DISTINCT session_id) AS ids FROM mart.fact_user_session")
    assert counts == {"n": len(rows), "ids": len(rows)}


def test_addresses_are_nowhere_in_the_lake_and_devices_are_kept_whole(built: Built) -> None:
    with (built.data / "devices.csv").open() as file:
        devices = sum(1 for _ in csv.DictReader(file))
    assert built.rows("SELECT count(*) AS n FROM silver.devices") == [{"n": devices}]
    raw = json.loads((built.data / "events.jsonl").read_text().partition("\n")[0])
    kept = built.rows(f"SELECT ip FROM silver.events WHERE session_id = '{raw['session_id']}' LIMIT 1")
    assert kept[0]["ip"].rsplit(".", 1)[1].startswith("0")  # 10.0.7.0: the host part is gone
    assert "email" not in built.rows("SELECT * FROM silver.users LIMIT 1")[0]
    held = built.rows("SELECT raw FROM bronze.users")
    assert not any("@" in row["raw"] for row in held)


def test_second_sessions_within_three_days_by_what_was_watched_first(built: Built) -> None:
    """Of first sessions whose 72 hours have ended: how many had a second, by the genre of the first video."""
    first = [row for row in raw_sessions(built.data) if row["session_number"] == 1]
    assert all(len(row["first_genre"]) == 1 for row in first)
    expected: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in first:
        counted = expected[next(iter(row["first_genre"])) or "(unknown)"]
        ended = row["next_session_within_3d"] is not None
        counted[0] += 1
        counted[1] += ended
        counted[2] += bool(row["next_session_within_3d"])
    with tl.open(built.root) as session:
        found = session.retention(
            fact="session", criterion="within", within=[("0h", "72h")], grain="all", by="videos.genre"
        ).to_dicts()
    told = {row["videos.genre"]: [row["size"], row["eligible"], row["numerator"] or 0] for row in found}
    assert told == expected


def test_numbers_by_what_is_told_of_users_and_videos(built: Built) -> None:
    """Sessions and active users by subscription tier, and watch events by genre, from the distinct raw lines."""
    with (built.data / "users.csv").open() as file:
        tiers = {row["user_id"]: row["subscription_tier"] or "(unknown)" for row in csv.DictReader(file)}
    with (built.data / "videos.csv").open() as file:
        genres = {row["video_id"]: row["genre"] or "(unknown)" for row in csv.DictReader(file)}
    sessions: dict[str, int] = defaultdict(int)
    actors: dict[str, set[str]] = defaultdict(set)
    watched: dict[str, int] = defaultdict(int)
    lines = (built.data / "events.jsonl").read_text().splitlines()
    for line in {json.dumps(json.loads(line), sort_keys=True) for line in lines}:
        event = json.loads(line)
        actors[tiers.get(event["user_id"], "(unknown)")].add(event["user_id"])
        if event["event_name"] == "watch_time":
            watched[genres.get(event["video_id"], "(unknown)")] += 1
    for row in raw_sessions(built.data):
        sessions[tiers.get(row["user_id"], "(unknown)")] += 1

    def told(metric: str, name: str) -> dict[str, float]:
        with tl.open(built.root) as session:
            found: dict[str, float] = defaultdict(float)
            for row in session.measure(metric, by=name, grain="month").to_dicts():
                found[row[name]] += row["value"] or 0
        return {value: number for value, number in found.items() if number}

    assert told("watch_events", "videos.genre") == watched
    assert told("sessions", "users.subscription_tier") == sessions
    assert told("active_users", "users.subscription_tier") == {tier: len(users) for tier, users in actors.items()}
