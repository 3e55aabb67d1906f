"""The pings simulator against plain Python over its own files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tidelake.errors import ProjectError
from tidelake.sources.simulate import SimulationResult, simulate

FIELDS = [
    "profile_id", "account_id", "region", "event_name", "event_time", "received_at", "platform", "title_id",
    "duration_sec",
]  # fmt: skip
THIRTEEN = {
    "app_start", "login", "browse", "search", "play", "pause", "resume", "stop", "heartbeat", "subscription_change",
    "profile_switch", "device_change", "content_rating",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimulationResult:
    return simulate("app_events", tmp_path_factory.mktemp("pings") / "logs", profiles=400, seed=2)


@pytest.fixture(scope="module")
def lines(made: SimulationResult) -> list[str]:
    return [line for path in made.files for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def pings(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in dict.fromkeys(lines)]


def test_pings_have_the_documents_fields_and_types(pings: list[dict[str, Any]]) -> None:
    assert all(list(ping) == FIELDS for ping in pings)
    assert {ping["event_name"] for ping in pings} == THIRTEEN | {"foreground"}
    assert all((ping["duration_sec"] is not None) == (ping["event_name"] == "play") for ping in pings)
    assert all(ping["event_time"] <= ping["received_at"] for ping in pings)
    accounts: dict[int, set[int]] = {}
    for ping in pings:
        accounts.setdefault(ping["profile_id"], set()).add(ping["account_id"])
    assert all(len(owners) == 1 for owners in accounts.values())


def test_files_hold_what_arrived_on_their_day(made: SimulationResult) -> None:
    for path in made.files:
        arrived = [json.loads(line)["received_at"] for line in path.read_text().splitlines()]
        outside = sum(not instant.startswith(path.stem.removeprefix("pings_")) for instant in arrived)
        assert outside <= 1 + 0.001 * len(arrived)  # a double that came just after midnight


def test_truth_equals_what_a_plain_reader_counts(
    made: SimulationResult, lines: list[str], pings: list[dict[str, Any]]
) -> None:
    truth: Any = json.loads(made.truth.read_text())
    assert truth["lines"]["total"] == len(lines) == made.rows
    assert truth["lines"]["events"] == len(pings)
    assert truth["lines"]["duplicates"] == len(lines) - len(pings) > 0
    assert truth["events_by_name"] == dict(Counter(ping["event_name"] for ping in pings))
    assert truth["events_by_date"] == dict(Counter(ping["event_time"][:10] for ping in pings))
    assert truth["watch_seconds"] == sum(ping["duration_sec"] or 0 for ping in pings)

    def daily(key: str, chosen: list[dict[str, Any]]) -> dict[str, int]:
        return dict(Counter(day for day, _ in {(ping["event_time"][:10], ping[key]) for ping in chosen}))

    awake = [ping for ping in pings if ping["event_name"] != "heartbeat"]
    assert truth["profiles_by_date_any_event"] == daily("profile_id", pings)
    assert truth["profiles_by_date_without_heartbeats"] == daily("profile_id", awake)
    assert truth["accounts_by_date_any_event"] == daily("account_id", pings)
    for region, days in truth["profiles_by_region_and_date_any_event"].items():
        there = daily("profile_id", [ping for ping in pings if ping["region"] == region])
        assert {day: n for day, n in days.items() if n} == there
    last = sorted(truth["events_by_date"])[-30]
    recent = {ping["profile_id"] for ping in pings if ping["event_time"][:10] >= last}
    assert truth["profiles_of_last_30_days_any_event"] == len(recent)


def test_naive_numbers_are_wrong_on_purpose(made: SimulationResult) -> None:
    truth: Any = json.loads(made.truth.read_text())
    any_event = sum(truth["profiles_by_date_any_event"].values())
    assert sum(truth["profiles_by_date_without_heartbeats"].values()) < 0.95 * any_event
    summed = sum(sum(days.values()) for days in truth["profiles_by_region_and_date_any_event"].values())
    assert summed > any_event


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    one, two, other = (simulate("app_events", tmp_path / str(k), profiles=40, days=3, seed=k // 2) for k in range(3))
    assert [path.read_bytes() for path in one.files] == [path.read_bytes() for path in two.files]
    assert one.files[0].read_bytes() != other.files[0].read_bytes()


def test_sizes_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError):
        simulate("app_events", tmp_path / "logs", days=1)
