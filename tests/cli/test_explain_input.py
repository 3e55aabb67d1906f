"""`tide explain`: what it is asked wrongly ends with one clear error, and what it answers is the same again."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.projects import APP, TinyProject, event, lines


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TinyProject:
    """Sixteen days with two versions; from the ninth on the new one has a third of its plays."""
    made = TinyProject.make(tmp_path_factory.mktemp("explain") / "p", APP, "dimensions: [version]\n")
    rows = [
        (date(2025, 11, 1) + timedelta(days=at), version, number)
        for at in range(16)
        for version, many in (("1", 40 + at % 3), ("2", (42 if at < 8 else 14) + at % 2))
        for number in range(many)
    ]
    events = [
        event(place, at=f"{day}T10:00:{number:02d}Z", user=f"u{number}", version=version)
        for place, (day, version, number) in enumerate(rows)
    ]
    made.write("events.jsonl", lines(events))
    made.build()
    return made


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("--baseline nonsense", "'nonsense' is not two dates"),
        ("--baseline 2025-11-08:2025-11-01 --at 2025-11-09", "end on 2025-11-01, before they begin on 2025-11-08"),
        ("--at 2031-01-01", "2031-01-01 cannot be explained: the data are of 2025-11-01 to 2025-11-16"),
        ("--from 2025-11-09 --to 2025-11-02", "Exchange"),
        ("--by nonsense", "Unknown dimension 'nonsense'"),
        ("--beside nonsense --at 2025-11-09", "Unknown metric 'nonsense'"),
        ("--max-depth 0", "greater than or equal to 1"),
        ("--as-of 1999-01-01", "no build as of 1999-01-01"),
        ("--report why.pdf", "End it in .html or .md"),
    ],
)
def test_what_makes_no_sense_is_one_clear_error(project: TinyProject, asked: str, words: str) -> None:
    done = project.tide("explain", "events", *asked.split())
    assert done.returncode != 0
    assert words in done.stderr
    assert done.stdout == ""


def test_two_processes_give_the_same_bytes(project: TinyProject) -> None:
    asked = ("explain", "events", "--at", "2025-11-09", "--format", "json")
    first, again = (project.tide(*asked, environment={"PYTHONHASHSEED": seed}) for seed in ("1", "2"))
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout
    assert '"version": "2"' in first.stdout
