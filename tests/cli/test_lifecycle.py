"""`tide lifecycle`, `power-curve`, `stickiness`, `trend`: what is asked reaches the metrics, and prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.session.lakes import build, event, lines, make_project
from tidelake.cli import main


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """u0 to u6 over five days of March 2024, seven events a day; the source says that March is complete."""
    root = make_project(tmp_path_factory.mktemp("project"))
    (root / "data" / "events.jsonl").write_text(lines(event(number) for number in range(35)), encoding="utf-8")
    build(root)
    return root


def asked(project: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main([*words, "--project", str(project), "--format", "json"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["rows"]
    return rows


def test_lifecycle_by_week_and_its_members(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Friday 1 to Tuesday 5 March: all seven in both weeks (each of 35 = 5 x 7 pairs of day and user occurs)."""
    rows = asked(project, capsys, "lifecycle", "--grain", "week", "--warmup", "0")
    values = {(row["period_start"], row["state"]): row["value"] for row in rows}
    assert values["2024-02-26", "new"] == 7
    assert (values["2024-03-04", "returning"], values["2024-03-04", "churned"]) == (7, 0)
    words = ("--members", "returning", "--from", "2024-03-04", "--to", "2024-03-05")
    members = asked(project, capsys, "lifecycle", *words)
    assert sorted(row["actor_id"] for row in members) == [f"u{number}" for number in range(7)]
    assert main(["lifecycle", "--project", str(project)]) == 0
    assert "quick_ratio" in capsys.readouterr().out


def test_power_curve_and_stickiness(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All on five days but u2, whose event 23 at 23:23 UTC on the 4th is of the 5th in Berlin, as its event 9 is."""
    rows = asked(project, capsys, "power-curve", "--at", "2024-03-05", "--window", "7")
    assert [row["actors"] for row in rows] == [0, 0, 0, 1, 6, 0, 0]
    assert len(asked(project, capsys, "power-curve", "--at", "2024-03-05", "--members")) == 7
    assert main(["power-curve", "--at", "2024-03-05", "--window", "5", "--project", str(project)]) == 0
    assert "100.0% of 7 actors were active on 4 days or more" in capsys.readouterr().out
    day = ("--from", "2024-03-05", "--to", "2024-03-05")
    rows = asked(project, capsys, "stickiness", "--method", "day", "--window", "5", "--by", "country", *day)
    assert {row["metric"] for row in rows} == {"stickiness_day"}
    assert len(asked(project, capsys, "stickiness", "--members", "2024-03-05")) == 7


def test_trend(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = asked(project, capsys, "trend", "plays", "--at", "2024-03-05", "--days", "14")
    assert [(row["metric"], row["verdict"]) for row in rows] == [("plays_trend", "cannot be told")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lifecycle", "--by", "contry"], "Did you mean 'country'"),
        (["lifecycle", "--new-by", "signup_date"], "--signup SOURCE.COLUMN"),
        (["power-curve", "--window", "0"], "--window (`window_days`) 0"),
        (["trend", "dauu"], "Did you mean 'dau'"),
    ],
)
def test_wrong_questions_end_with_2(
    project: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--project", str(project)]) == 2
    assert said in capsys.readouterr().err
