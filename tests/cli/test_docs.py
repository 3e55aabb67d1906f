"""`tide docs`: a project in Markdown, and documents that cannot go stale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tidelake.cli import main
from tidelake.cli.docs import made_anew
from tidelake.contracts.source import FieldRule
from tidelake.reports.document import otherwise
from tidelake.reports.mermaid import places

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    path
    for path in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted(ROOT.glob("examples/*/README.md"))]
    if places(path.read_text(encoding="utf-8"))
]
PROJECT = """\
name: tiny
"""
SOURCE = """\
path: in/*.jsonl
mapping: {event_time: ts, actor_id: user}
contract:
  fields:
    ts: {type: timestamp, required: true}
    user: {type: string, privacy: hash}
    price: {type: number, minimum: 0, unit: euro}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "sources").mkdir()
    (tmp_path / "tide.yml").write_text(PROJECT)
    (tmp_path / "sources" / "app.yml").write_text(SOURCE)
    return tmp_path


def test_architecture_and_examples_carry_diagrams() -> None:
    names = {str(path.relative_to(ROOT)) for path in DOCUMENTS}
    assert names >= {"ARCHITECTURE.md", "examples/collapse/README.md", "examples/wikimedia/README.md"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_document_is_stale(path: Path) -> None:
    text, made = made_anew(path)
    assert made == text, f"run: tide docs --refresh {path.relative_to(ROOT)}"


def test_description_names_fields_and_their_promises(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs", "--project", str(project)]) == 0
    shown = capsys.readouterr().out
    assert "# tiny" in shown
    assert "```mermaid\nflowchart LR" in shown
    assert "| `user` | string | actor_id | stored as a hash |  | coerce |" in shown
    assert "| `price` | number |  | at least 0; in euro | quarantine | coerce |" in shown


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, ""),
        ({"required": True}, "quarantine"),
        ({"minimum": 0, "on_breach": "warn"}, "warn"),
        ({"allowed": ["a"], "required": True, "on_breach": "warn"}, "warn; absent: quarantine"),
        ({"pattern": "a", "required": True, "on_mismatch": "fail"}, "quarantine; absent: fail"),
        ({"references": "users.id", "required": True}, "quarantine"),
    ],
)
def test_description_says_what_becomes_of_a_row_that_breaks_a_promise(rule: dict[str, Any], said: str) -> None:
    declared = FieldRule.model_validate(rule)
    assert otherwise(declared, declared.on_mismatch or "coerce") == said


def test_models_stand_with_what_they_read(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "models").mkdir()
    (project / "models" / "payers.sql").write_text(
        "SELECT days.actor_id, count(*) AS active_days FROM gold.user_day AS days GROUP BY days.actor_id\n"
    )
    (project / "models" / "faults.sql").write_text("SELECT source_path FROM silver.quarantine\n")
    assert main(["docs", "--project", str(project)]) == 0
    shown = capsys.readouterr().out
    assert 'gold_payers[("gold.payers")]' in shown
    assert "  gold_user_day --> gold_payers" in shown
    assert "  silver_quarantine --> gold_faults" in shown
    assert "### gold.payers\n\n```sql\nSELECT days.actor_id" in shown


def test_a_stale_document_ends_with_1_and_says_how_to_mend_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = project / "README.md"
    page.write_text("# x\n\n<!-- tide:diagram -->\nold\n<!-- /tide:diagram -->\n")
    assert main(["docs", "--check", str(page)]) == 1
    assert f"tide docs --refresh {page}" in capsys.readouterr().err
    assert main(["docs", "--refresh", str(page)]) == 0
    assert "bronze_app" in page.read_text()
    assert main(["docs", "--check", str(page)]) == 0


def test_a_document_without_a_place_ends_with_2(project: Path) -> None:
    (project / "README.md").write_text("# x\n")
    assert main(["docs", "--refresh", str(project / "README.md")]) == 2


def test_description_goes_to_a_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs", "--project", str(project), "--output", str(project / "lake.md")]) == 0
    assert (project / "lake.md").read_text().startswith("# tiny\n")
    assert capsys.readouterr().out == ""
