"""`tide cohorts` and `--cohort` of questions, through the real command."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer

from tests.projects import TinyProject, event, lines
from tidelake.cli.questions import with_cohort


class Entering(StrEnum):
    first = "first"
    recurring = "recurring"


def with_enum(*, where: str | None = None, cohort: Annotated[Entering, typer.Option()] = Entering.first) -> Any:
    return where, str(cohort)


def with_literal(*, where: str | None = None, cohort: Literal["first", "recurring"] = "first") -> Any:
    return where, cohort


@pytest.mark.parametrize("command", [with_enum, with_literal])
def test_words_of_retention_stay_what_they_are(command: Callable[..., Any]) -> None:
    seen: list[Any] = []

    def asked(**options: Any) -> None:
        seen.append(command(**options))

    asked.__signature__ = inspect.signature(command, eval_str=True)  # type: ignore[attr-defined]
    asking = with_cohort(asked)
    asking(cohort=["recurring", "regulars"], where="a = 1")
    asking(cohort=["not regulars"])
    asking()
    assert seen == [
        ("(a = 1) AND (cohort.regulars = 'in')", "recurring"),
        ("(cohort.regulars = 'out')", "first"),
        (None, "first"),
    ]


def rows(project: TinyProject, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(project.tide(*arguments, "--format", "json").stdout)["rows"]
    return found


def test_cohorts_are_listed_shown_and_asked_among(tmp_path: Path) -> None:
    """1 November: u0 and u1 play, u1 twice; 2 November: u0, u1 and u2 play; the 3rd is open."""
    project = TinyProject.make(tmp_path / "tiny")
    days = [(1, "u0"), (1, "u1"), (1, "u1"), (2, "u0"), (2, "u1"), (2, "u2"), (3, "u0")]
    project.write(
        "a.jsonl",
        lines([event(n, user=who, at=f"2025-11-{day:02d}T10:{n:02d}:00Z") for n, (day, who) in enumerate(days)]),
    )
    (project.root / "cohorts").mkdir()
    before = project.tide("cohorts", "list")
    assert before.returncode == 0
    assert "There is no cohort yet" in before.stdout
    (project.root / "cohorts" / "twice.yml").write_text("{title: Twice, did: play, at_least: 2, window: last 1 day}")
    unbuilt = rows(project, "cohorts", "list")
    assert [(row["name"], row["actors"], row["status"]) for row in unbuilt] == [("twice", None, "missing")]
    project.build()
    (row,) = rows(project, "cohorts", "list", "--at", "2025-11-02")
    assert (row["actors"], row["share"], row["looks_at"]) == (1, 0.5, "2025-11-01 to 2025-11-01")
    shown = project.tide("cohorts", "show", "twice").stdout
    assert "did play at least 2 times in the day before the question" in shown
    assert "GROUP BY" in shown
    assert "u1" in project.tide("cohorts", "members", "twice", "--at", "2025-11-02", "--format", "csv").stdout
    asked = ("measure", "dau", "--from", "2025-11-02", "--to", "2025-11-02")
    assert rows(project, *asked, "--cohort", "twice")[0]["value"] == 1
    assert rows(project, *asked, "--cohort", "not twice")[0]["value"] == 2
    refused = project.tide(*asked, "--cohort", "twise")
    assert refused.returncode == 2
    assert "Did you mean 'twice'?" in refused.stderr
