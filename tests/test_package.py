"""What the wheel carries: the package, its type marker, its SQL and YAML, and the example projects."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEFT_BEHIND = {"__pycache__", "lake", "target"}  # by runs of an example


def files(folder: Path, *, ignored: set[str]) -> set[str]:
    """Files below a folder, by path, without those in a folder of an ignored name."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if not ignored & set(path.parts)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names inside a wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        return set(archive.namelist())


def test_wheel_carries_every_file_of_the_package(wheel: set[str]) -> None:
    assert {f"tidelake/{name}" for name in files(ROOT / "src" / "tidelake", ignored={"__pycache__"})} <= wheel
    assert "tidelake/py.typed" in wheel


def test_wheel_carries_the_example_projects(wheel: set[str]) -> None:
    assert {f"tidelake/examples/{name}" for name in files(ROOT / "examples", ignored=LEFT_BEHIND)} <= wheel
    assert "tidelake/examples/wikimedia/data/all.csv" in wheel


def test_wheel_carries_nothing_else(wheel: set[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"tidelake"}
    assert not [name for name in wheel if "__pycache__" in name]
    assert not [name for name in wheel if name.startswith("tidelake/examples") and LEFT_BEHIND & set(name.split("/"))]
