"""The StreamPro simulator against plain Python over its own files."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidelake.errors import ProjectError
from tidelake.sources.simulate import SimulationResult, simulate

FIELDS = [
    "timestamp", "account_id", "user_id", "video_id", "session_id", "event_name", "value", "device", "device_os",
    "app_version", "network_type", "ip", "country",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimulationResult:
    return simulate("streampro", tmp_path_factory.mktemp("streampro") / "logs", users=1_500, seed=5)


@pytest.fixture(scope="module")
def truth(made: SimulationResult) -> Any:
    return json.loads(made.truth.read_text())


@pytest.fixture(scope="module")
def events(made: SimulationResult) -> list[dict[str, Any]]:
    """Distinct events, in the order of the file."""
    return [json.loads(line) for line in dict.fromkeys((made.folder / "events.jsonl").read_text().splitlines())]


def sessions(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Sessions by id, each ordered by time, in the order of their earliest event."""
    found = defaultdict(list)
    for event in events:
        found[event["session_id"]].append(event)
    for session in found.values():
        session.sort(key=lambda event: str(event["timestamp"]))
    return dict(sorted(found.items(), key=lambda item: str(item[1][0]["timestamp"])))


def test_lines_have_the_thirteen_fields(events: list[dict[str, Any]]) -> None:
    assert all(list(event) == FIELDS for event in events)
    assert all((event["value"] is not None) == (event["event_name"] == "watch_time") for event in events)
    assert {type(event["value"]) for event in events} == {int, float, type(None)}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", event["timestamp"]) for event in events)


def test_truth_counts_lines_and_duplicates(made: SimulationResult, truth: Any, events: list[dict[str, Any]]) -> None:
    lines = (made.folder / "events.jsonl").read_text().splitlines()
    assert truth["lines"] == {
        "total": len(lines), "events": len(events), "duplicates": len(lines) - len(events)
    }  # fmt: skip
    assert truth["events_by_name"] == dict(Counter(event["event_name"] for event in events))
    assert truth["watch_seconds"] == sum(event["value"] or 0 for event in events)
    users = Counter(day for day, _ in {(event["timestamp"][:10], event["user_id"]) for event in events})
    assert {day: n for day, n in truth["users_by_date"].items() if n} == dict(users)


def test_truth_answers_the_three_questions(made: SimulationResult, truth: Any, events: list[dict[str, Any]]) -> None:
    by_session = sessions(events)
    with (made.folder / "videos.csv").open() as stream:
        genre = {row["video_id"]: row["genre"] for row in csv.DictReader(stream)}
    watched = {name: sum(event["value"] or 0 for event in session) for name, session in by_session.items()}
    assert truth["sessions"] == len(by_session)

    by_user = defaultdict(list)
    for name, session in by_session.items():
        by_user[session[0]["user_id"]].append(name)
    assert truth["reached_30s"] == {
        "users": len(by_user), "reached": sum(watched[names[0]] >= 30 for names in by_user.values())
    }  # fmt: skip

    last = max(event["timestamp"] for event in events)
    answer: dict[str, Counter[str]] = defaultdict(Counter)
    for names in by_user.values():
        begin = datetime.fromisoformat(by_session[names[0]][0]["timestamp"])
        until = (begin + timedelta(hours=72)).isoformat(timespec="microseconds")
        first = next(event for event in by_session[names[0]] if event["event_name"] == "watch_time")
        returned = len(names) > 1 and by_session[names[1]][0]["timestamp"] <= until
        answer[genre[first["video_id"]]] += Counter(users=1, returned=returned, censored=not returned and until > last)
    assert {name: dict(count) for name, count in answer.items()} == {
        name: {kind: n for kind, n in count.items() if n or kind in answer[name]}
        for name, count in truth["second_session_within_72h"].items()
        if count["users"]
    }

    for column, key in (("device_os", "drop_off_by_device_os"), ("app_version", "drop_off_by_app_version")):
        drop_off: dict[str, Counter[str]] = defaultdict(Counter)
        for name, session in by_session.items():
            drop_off[session[0][column]] += Counter(sessions=1, under_10s=watched[name] < 10)
        assert truth[key] == {
            name: {"sessions": n["sessions"], "under_10s": n["under_10s"]} for name, n in drop_off.items()
        }


def test_planted_drop_off_and_return_show_in_a_naive_count(events: list[dict[str, Any]], truth: Any) -> None:
    rates = defaultdict(list)
    for session in sessions(events).values():
        bad = (session[0]["device_os"], session[0]["app_version"]) == ("Android", "2.1.0")
        rates[bad].append(sum(event["value"] or 0 for event in session) < 10)
    assert sum(rates[True]) / len(rates[True]) > 2 * sum(rates[False]) / len(rates[False])
    share = {
        name: count["returned"] / (count["users"] - count["censored"])
        for name, count in truth["second_session_within_72h"].items()
        if count["users"]
    }
    assert max(share, key=lambda name: share[name]) == "documentary"


def test_tables_beside_the_events(made: SimulationResult, tmp_path: Path) -> None:
    heads = {path.name: path.read_text().splitlines()[0] for path in made.files[1:]}
    assert heads == {
        "users.csv": "user_id,signup_date,subscription_tier,age_group,gender",
        "videos.csv": "video_id,title,genre,duration_seconds,patent_id",
        "devices.csv": "device,device_model,os_version",
    }
    assert len((made.folder / "devices.csv").read_text().splitlines()) == 61
    other = simulate("streampro", tmp_path / "logs", users=20, personal=True)
    users = list(csv.DictReader((other.folder / "users.csv").read_text().splitlines()))
    assert len(users) == 20
    assert all(re.fullmatch(r"\d\d/\d\d/2025", row["signup_date"]) and "@" in row["email"] for row in users)
    assert (other.folder / "devices.csv").read_text().startswith("device,os,model,os_version\n")


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    one, two, other = (simulate("streampro", tmp_path / str(k), users=50, seed=k // 2) for k in range(3))
    assert [path.read_bytes() for path in one.files] == [path.read_bytes() for path in two.files]
    assert one.files[0].read_bytes() != other.files[0].read_bytes()


def test_sizes_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError):
        simulate("streampro", tmp_path / "logs", days=2)
