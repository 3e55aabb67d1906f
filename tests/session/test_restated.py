"""Numbers of closed days that change are written down once, wherever a build is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.session.killing import Run
from tests.session.lakes import build, event, events_with, lines, make_project, rows_of
from tests.session.story import snapshot

POINTS = (
    "gold.user_day after",
    "gold.event_day after",
    "ops.restatements before",
    "ops.restatements after",
    "ops.builds before",
)


def written(root: Path) -> list[dict[str, Any]]:
    return rows_of(root, "SELECT date, metric, before, after, reason FROM ops.restatements ORDER BY ALL")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """A project that was built with 20 events on five closed days."""
    root = make_project(tmp_path_factory.mktemp("first") / "p", {"app": events_with()})
    (root / "data/a").write_text(lines(event(number) for number in range(20)))
    run(root, "build")
    return root


@pytest.fixture
def late(first: Path, tmp_path: Path) -> Path:
    """A copy of it, whose next build takes two more events of the first day."""
    root = snapshot(first, tmp_path / "p")
    (root / "data/b").write_text(lines(event(0, id=f"late{number}", user=f"new{number}") for number in range(2)))
    return root


@pytest.mark.parametrize("until", POINTS)
def test_a_restatement_is_written_down_once_after_a_kill(late: Path, run: Run, until: str) -> None:
    assert run(late, "build", until=until).killed
    run(late, "build build")
    # event(0), 5, 10 and 15 lie on the first day, each of another user; two users come late.
    found = [(row["date"].day, row["metric"], row["before"], row["after"], row["reason"]) for row in written(late)]
    assert ("dau", 4, 6) in [item[1:4] for item in found]
    assert ("events", 4, 6) in [item[1:4] for item in found]
    assert len({item[:2] for item in found}) == len(found)
    assert {item[0] for item in found} == {1}
    assert {item[4] for item in found} == {"2 late events"}


def test_what_was_written_down_after_a_kill_is_said(late: Path, run: Run) -> None:
    assert run(late, "build", until="gold.event_day after").killed
    assert any(text.startswith("DAU 01 Mar 2024 4 -> 6, 2 late events") for text in build(late).restatements)
