"""What is said of a build: every count, nothing twice, the same in every format."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tidelake.cli.built import build_lines, plan_lines, tell
from tidelake.cli.options import FormatName
from tidelake.gold.model import ModelRun
from tidelake.session.pipeline import BuildResult

NO_FILES: dict[str, Any] = {"new": 0, "grown": 0, "changed": 0, "unchanged": 0} | {
    kind: [] for kind in ("copies", "renamed", "vanished", "truncated")
}


def report(name: str = "app", **changes: Any) -> dict[str, Any]:
    return {
        "source": name,
        "files": {**NO_FILES, "new": 2, "grown": 1, "unchanged": 4},
        "bytes": 5_000_000,
        "rows": {"read": 1010, "accepted": 1000, "quarantined": 3, "duplicate": 5, "filtered": 2, "superseded": 0},
        "quarantined_share": 0.003,
        "reasons": {"invalid_json": 2, "missing_required:user": 1},
        "warnings": {},
        "identical_rows": 0,
        "ledger": "balanced",
        "batches": [1],
        "restated": False,
        "healed": [],
        "new_fields": [],
        "messages": [],
        "volume": None,
        "seconds": 0.4,
        **changes,
    }


def test_a_build_says_where_every_row_went() -> None:
    model = ModelRun("gold.user_day", "inputs changed", (date(2025, 11, 17),), 120, 3, 0.1)
    result = BuildResult("r1", sources=(report(),), models=(model,), verdict="balanced", seconds=2.0)
    assert build_lines(result) == [
        ("files read", "3  (5.0 MB)"),
        ("rows read", "1,010"),
        ("  accepted", "1,000"),
        ("  quarantined", "3"),
        ("    invalid_json", "2"),
        ("    missing_required:user", "1"),
        ("  duplicates", "5"),
        ("  filtered", "2  (blank lines and headers)"),
        ("ledger", "✓ balanced: every row read is accounted for, once"),
        ("gold", "user_day 120 rows"),
        ("time", "2.0 s  (505 rows/s)"),
    ]


def test_several_sources_are_added_up_and_named() -> None:
    result = BuildResult("r1", sources=(report("app"), report("web")), verdict="balanced", seconds=1.0)
    lines = dict(build_lines(result))
    assert lines["rows read"] == "2,020"
    assert lines["  of"] == "app 1,010, web 1,010"
    assert lines["  quarantined"] == "6"
    assert lines["    invalid_json"] == "4"


def test_faults_restatements_and_healing_are_said() -> None:
    result = BuildResult(
        "r1",
        sources=(report(healed=["batch 3: silver"], warnings={"rule": 7}),),
        restatements=("dau 17 Nov 2025 10,412 -> 10,431, 19 late events from app.jsonl",),
        faults=("app: too many rows are in quarantine",),
        verdict="balanced",
        exit_code=3,
    )
    lines = build_lines(result)
    assert ("fault", "✗ app: too many rows are in quarantine") in lines
    assert ("restated", "dau 17 Nov 2025 10,412 -> 10,431, 19 late events from app.jsonl") in lines
    assert ("healed", "app: batch 3: silver") in lines
    assert ("warned", "app: rule 7 rows") in lines


def test_nothing_new_is_two_lines() -> None:
    files = {**NO_FILES, "unchanged": 14}
    rows = dict.fromkeys(("read", "accepted", "quarantined", "duplicate", "filtered", "superseded"), 0)
    result = BuildResult("r1", sources=(report(files=files, rows=rows, reasons={}),), seconds=0.4)
    assert build_lines(result) == [("files", "14 known, none new"), ("time", "400 ms")]


def test_a_dry_run_says_what_it_would_read_and_make() -> None:
    plan = {
        "source": "app",
        "files_new": 2,
        "files_grown": 0,
        "files_changed": 1,
        "files_unchanged": 3,
        "bytes": 1_500_000,
        "restates": True,
    }
    days = (date(2025, 11, 17), date(2025, 11, 18))
    model = ModelRun("gold.user_day", "inputs changed", days, None, 3, 0.0)
    assert plan_lines(BuildResult("r1", sources=(plan,), models=(model,), dry_run=True)) == [
        ("app", "2 new, 1 changed, 3 unchanged; 1.5 MB to read; silver would be restated from bronze"),
        ("gold.user_day", "inputs changed, 2 dates (2025-11-17 to 2025-11-18)"),
        ("", "nothing was written"),
    ]


def test_a_dry_run_calls_nothing_current_that_waits_for_the_sources() -> None:
    days = (date(2025, 11, 17), date(2025, 11, 18))
    runs = (
        ModelRun("gold.a", "nothing new", (), 0, 3, 0.0, waits=True),
        ModelRun("gold.b", "inputs changed", days, None, 3, 0.0, waits=True),
        ModelRun("gold.c", "new", None, None, None, 0.0, waits=True),
        ModelRun("gold.d", "nothing new", (), 0, 3, 0.0),
    )
    assert plan_lines(BuildResult("r1", models=runs, dry_run=True))[:-1] == [
        ("gold.a", "brought up to date after the sources"),
        ("gold.b", "inputs changed, 2 dates (2025-11-17 to 2025-11-18) and more after the sources"),
        ("gold.c", "new, after the sources"),
        ("gold.d", "nothing new"),
    ]


def test_programs_get_the_plan_too(tmp_path: Path) -> None:
    plan = {"source": "app", "files_new": 2, "files_grown": 0, "files_changed": 0, "files_unchanged": 0, "bytes": 9}
    model = ModelRun("gold.user_day", "new", None, None, None, 0.0)
    target = tmp_path / "plan.json"
    result = BuildResult("r1", sources=(plan,), models=(model,), dry_run=True)
    tell(result, title="app", form=FormatName.json, output=target)
    document = json.loads(target.read_text())
    assert document["rows"][0]["files_new"] == 2
    assert document["rows"][0]["restates"] is False
    assert document["notes"][-1] == "gold.user_day: new"


def test_programs_get_one_row_a_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = BuildResult("r1", sources=(report(),), verdict="balanced", seconds=2.0)
    target = tmp_path / "build.json"
    tell(result, title="app", form=FormatName.json, output=target)
    document = json.loads(target.read_text())
    assert document["rows"] == [
        {
            "source": "app",
            "files_new": 2,
            "files_grown": 1,
            "files_changed": 0,
            "files_unchanged": 4,
            "bytes": 5_000_000,
            "read": 1010,
            "accepted": 1000,
            "quarantined": 3,
            "duplicate": 5,
            "filtered": 2,
            "superseded": 0,
            "reasons": [
                {"reason": "invalid_json", "rows": 2},
                {"reason": "missing_required:user", "rows": 1},
            ],
            "ledger": "balanced",
        }
    ]
    assert document["notes"][:2] == ["run r1", "verdict: balanced"]
    assert capsys.readouterr().out == ""
