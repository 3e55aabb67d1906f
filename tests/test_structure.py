"""The house holds: imports go down only, no cycles, database libraries in their rooms, every room placed.

Each contract is also shown to bite, on a copy of the package with one planted violation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter over `folder/src/tidelake` with the project's contracts."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache", "--no-logo"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def planted(folder: Path, module: str, text: str) -> subprocess.CompletedProcess[str]:
    """The contracts' verdict on a copy of the package in which `module` also says `text`."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "src" / "tidelake" / module
    path.parent.mkdir(exist_ok=True)
    (path.parent / "__init__.py").touch()
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{text}\n")
    return lint_imports(folder)


def test_imports_go_down_only_and_every_room_has_its_place() -> None:
    verdict = lint_imports(ROOT)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


@pytest.mark.parametrize(
    ("module", "text", "broken"),
    [
        ("contracts/planted.py", "import tidelake.gold", "A room imports only rooms below it"),
        ("cli/planted.py", "import tidelake.testing", "A room imports only rooms below it"),
        ("helpers/__init__.py", "", "A room imports only rooms below it"),
        ("gold/planted.py", "import duckdb", "DuckDB, Spark and deltalake stay"),
        ("cli/planted.py", "from deltalake import DeltaTable", "DuckDB, Spark and deltalake stay"),
        ("bronze/planted.py", "import pyspark.sql", "DuckDB, Spark and deltalake stay"),
    ],
    ids=["upward", "testing-from-cli", "unplaced-room", "duckdb-in-gold", "deltalake-in-cli", "pyspark-in-bronze"],
)
def test_each_contract_bites(tmp_path: Path, module: str, text: str, broken: str) -> None:
    verdict = planted(tmp_path, module, text)
    assert verdict.returncode == 1, verdict.stdout + verdict.stderr
    kept_or_broken = next(line for line in verdict.stdout.splitlines() if line.startswith(broken))
    assert " BROKEN" in kept_or_broken, verdict.stdout


def test_a_cycle_inside_a_room_is_found(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    room = tmp_path / "src" / "tidelake" / "gold"
    (room / "one_planted.py").write_text("import tidelake.gold.two_planted\n")
    (room / "two_planted.py").write_text("import tidelake.gold.one_planted\n")
    verdict = lint_imports(tmp_path)
    assert verdict.returncode == 1
    assert "No cycles, at any depth BROKEN" in verdict.stdout, verdict.stdout


def test_import_tidelake_stays_light() -> None:
    heavy = ["pyspark", "pandas", "altair", "matplotlib", "sklearn", "fastapi"]
    code = f"import sys, tidelake; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    assert done.stdout.strip() == "[]"
