"""The demos, from nothing to their closing lines: every printed total is counted again from the raw files."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pytest
from pyarrow import parquet

from tidelake.cli import main
from tidelake.cli.case import case_tables
from tidelake.cli.demo import point_sources, tide_in
from tidelake.cli.examples import copy_example, example_names, load_demo
from tidelake.errors import ProjectError
from tidelake.reports.case import markdown
from tidelake.session import open as open_session

NUMBER = re.compile(r"[\d,]+")


def _panel(shown: str) -> dict[str, str]:
    """Label to value of the lines under the panel's title."""
    _, _, after = shown.partition("\ntide demo ")
    lines = after.partition("\n\n")[0].splitlines()[1:]
    found = [re.split(r"  +", line.strip(), maxsplit=1) for line in lines]
    return {label: value for label, value in found}  # noqa: C416 - it also refuses lines of another shape


def _first(text: str) -> int:
    found = NUMBER.search(text)
    assert found is not None
    return int(found[0].replace(",", ""))


def test_collapse_accounts_for_every_simulated_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "collapse"
    assert main(["demo", "collapse", "--dir", str(folder)]) == 0
    captured = capsys.readouterr()
    panel = _panel(captured.out)
    files = sorted((folder / "data").glob("day_*.json"))
    lines = [line for path in files for line in path.read_bytes().split(b"\n") if line]
    assert len(lines) >= 500_000
    assert _first(panel["files read"]) == len(files) == 14
    assert _first(panel["rows read"]) == len(lines)
    truth = json.loads((folder / "data.truth.json").read_text())
    parts = [_first(panel[name]) for name in ("accepted", "quarantined", "duplicates")]
    assert sum(parts) == len(lines)
    records = Counter(line for line in lines)
    assert parts[2] >= sum(count - 1 for count in records.values())
    assert panel["ledger"].startswith("✓ balanced")
    readme = " ".join((load_demo("collapse")[0] / "README.md").read_text(encoding="utf-8").split())
    accepted, quarantined, duplicates = (f"{part:,}" for part in parts)
    assert f"Of {len(lines):,} lines {accepted} are accepted, {quarantined} are in quarantine with" in readme
    assert f"reasons, {duplicates} were sent twice" in readme
    assert panel["lake"].endswith("collapse/lake")
    assert truth["scenario"] in ("collapse", "regional_model_failure")
    assert "truth" not in captured.out
    for title in ("Daily active users", "Sessions by week", "Watch time by week and region", "Next"):
        assert f"\n{title}" in captured.out
    with open_session(folder) as session:
        case = case_tables(session)
    assert markdown(case) in (load_demo("collapse")[0] / "README.md").read_text(encoding="utf-8")
    for table in case:
        assert f"\n{table.title}\n" in captured.out
        assert all(str(cell).strip() in captured.out for row in table.to_dicts() for cell in row.values())

    assert main(["demo", "collapse", "--dir", str(folder)]) == 0
    again = capsys.readouterr()
    assert "only what is new is taken" in again.err
    panel = _panel(again.out)
    assert panel["files"] == "14 known, none new"
    assert _first(panel["rows read"]) == len(lines)


def test_wikimedia_equals_the_published_sums(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "wikimedia"
    assert main(["demo", "wikimedia", "--dir", str(folder)]) == 0
    panel = _panel(capsys.readouterr().out)
    tables = [parquet.read_table(path) for path in sorted((folder / "data" / "daily").glob("*.parquet"))]
    rows = sum(table.num_rows for table in tables)
    assert rows == 520_572
    assert f"daily {rows:,}" in panel["of"]
    assert _first(panel["quarantined"]) == 0
    assert panel["ledger"].startswith("✓ balanced")

    words = ["measure", "views", "--project", str(folder), "--format", "csv"]
    assert main(words) == 0
    measured = {
        row["period_start"]: int(float(row["value"]))
        for row in csv.DictReader(capsys.readouterr().out.splitlines())
        if row["value"]
    }
    with (folder / "data" / "all.csv").open() as stream:
        published = {row["Date"]: int(row["Total"]) for row in csv.DictReader(stream)}
    assert len(published) == 611
    readme = (load_demo("wikimedia")[0] / "README.md").read_text(encoding="utf-8")
    assert f"{rows:,} rows of daily counts" in readme
    assert f"{sum(published.values()):,} views in all" in readme
    assert measured == published
    assert sum(published.values()) == sum(pc.sum(table.column("total")).as_py() for table in tables)


def test_own_data_take_the_place_of_the_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = tmp_path / "logs"
    assert main(["simulate", "collapse", "--out", str(logs), "--set", "users=20", "--set", "days=4"]) == 0
    lines = sum(len(path.read_bytes().splitlines()) for path in logs.iterdir())
    folder = tmp_path / "own"
    capsys.readouterr()
    assert main(["demo", "collapse", "--dir", str(folder), "--from", str(logs)]) in (0, 3)
    panel = _panel(capsys.readouterr().out)
    assert _first(panel["rows read"]) == lines
    assert not (folder / "data").exists()


def test_a_copy_keeps_what_its_user_changed(tmp_path: Path) -> None:
    example, _ = load_demo("collapse")
    folder = tmp_path / "copy"
    assert copy_example(example, folder) is False
    (folder / "tide.yml").write_text("name: mine\n")
    assert copy_example(example, folder) is True
    assert (folder / "tide.yml").read_text() == "name: mine\n"


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ProjectError, match="other files"):
        copy_example(load_demo("collapse")[0], tmp_path)


def test_sources_are_pointed_at_own_data_whatever_their_pattern(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    source = tmp_path / "sources" / "app.yml"
    source.write_text("# rows\npath: data/day_*.json  # one a day\nformat: jsonl\n")
    point_sources(tmp_path, "data", "/logs")
    assert source.read_text() == '# rows\npath: "/logs/day_*.json"\nformat: jsonl\n'
    with pytest.raises(ProjectError, match="reads other/"):
        point_sources(tmp_path, "other", "/elsewhere")


def test_every_example_with_a_demo_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == example_names()


def test_next_commands_can_be_run_as_printed_whatever_path_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / ".venv" / "bin" / "tide"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    place = tmp_path / "demo" / "collapse"
    place.mkdir(parents=True)
    monkeypatch.setattr("sys.argv", [str(program), "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert tide_in(place) == "../../.venv/bin/tide"
    monkeypatch.setenv("PATH", str(program.parent))
    assert tide_in(place) == "tide"
    other = tmp_path / "other" / "tide"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert tide_in(place) == "../../.venv/bin/tide"
