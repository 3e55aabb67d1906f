"""The benchmark's events against plain Python over their own files: its ratios mean nothing on wrong data."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.generate import generate

EVENTS = {"first_login", "session_start", "watch_time", "like", "heart", "session_end"}


def problem(line: str) -> str | None:
    """What is wrong with a line, in the truth file's words; None where nothing is."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return "broken_json"
    if not isinstance(event, dict):
        return "not_an_object"
    if not isinstance(event["value"], (int, float, type(None))):
        return "wrong_type"
    if "user_id" not in event:
        return "missing_required"
    if event["user_id"] is None:
        return "null_required"
    if not "2000" < event["timestamp"] < "2030":
        return "time_out_of_range"
    return None


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("events")
    generate(20_000, 5, folder)
    return folder


def lines(folder: Path) -> list[str]:
    return [line for path in sorted((folder / "events").iterdir()) for line in path.read_text().splitlines()]


def test_truth_equals_what_a_plain_reader_counts(data: Path) -> None:
    truth: Any = json.loads((data / "truth.json").read_text())
    found = lines(data)
    problems = Counter(problem(line) for line in found)
    good = {line: json.loads(line) for line in found if problem(line) is None}
    assert truth["lines"] == len(found) == 20_000
    assert truth["bad"] == {kind: n for kind, n in problems.items() if kind is not None}
    assert truth["bad_total"] == 5 * 20
    assert truth["good_distinct"] == len(good)
    assert truth["duplicates"] == {"same_file": 5 * 32, "next_file": 4 * 8}
    assert sum(truth["duplicates"].values()) == problems[None] - len(good)
    assert truth["events"] == dict(Counter(event["event_name"] for event in good.values()))
    assert set(truth["events"]) == EVENTS
    assert truth["watch_seconds"] == pytest.approx(sum(event["value"] or 0 for event in good.values()), abs=1e-6)
    users = Counter(day for day, _ in {(event["timestamp"][:10], event["user_id"]) for event in good.values()})
    assert truth["daily_active_users"] == dict(users)
    assert all(len(event) == 13 for event in good.values())


def test_a_day_made_alone_is_the_day_of_the_whole(data: Path, tmp_path: Path) -> None:
    generate(20_000, 5, tmp_path, first=3)
    assert [path.name for path in sorted((tmp_path / "events").iterdir())] == [
        "events_2024-01-04.jsonl",
        "events_2024-01-05.jsonl",
    ]
    for path in (tmp_path / "events").iterdir():
        assert path.read_bytes() == (data / "events" / path.name).read_bytes()


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_compressed_files_hold_the_same_lines(data: Path, tmp_path: Path, compression: str) -> None:
    import gzip

    import zstandard

    generate(20_000, 5, tmp_path, compression=compression)
    for path in (tmp_path / "events").iterdir():
        packed = path.read_bytes()
        text = gzip.decompress(packed) if compression == "gz" else zstandard.ZstdDecompressor().decompress(packed)
        assert text == (data / "events" / path.stem).read_bytes()
