"""ARCHITECTURE.md is true: its rooms are those of the package and of the import contract, its table is fresh."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def rooms_of_package() -> set[str]:
    """Top-level packages and modules that hold code."""
    package = ROOT / "src" / "tidelake"
    folders = {path.name for path in package.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    modules = {path.stem for path in package.glob("*.py") if not path.name.startswith("__")}
    return (folders | modules) - {"__pycache__"}


def rooms_of_page() -> list[str]:
    """First column of the table of rooms, in its order."""
    section = PAGE.split("## Rooms")[1].split("## The seam")[0]
    return re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)


def rooms_of_contract() -> list[str]:
    """Layers from the top down, without the brackets of those that may be absent."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = next(each for each in settings["tool"]["importlinter"]["contracts"] if each["id"] == "rooms")["layers"]
    return [name for layer in layers for name in re.findall(r"\w+", layer) if not name.startswith("__")]


def test_page_names_every_room_and_no_other() -> None:
    assert rooms_of_page() == [name for name in rooms_of_contract() if name in rooms_of_package()]
    assert set(rooms_of_page()) == rooms_of_package()


def test_rooms_to_come_have_their_place_in_the_contract() -> None:
    line = PAGE.split("Rooms to come:")[1].split("\n\n")[0]
    to_come = {name for name in rooms_of_contract() if name not in rooms_of_package()}
    assert {name for name in re.findall(r"`(\w+)`", line) if name not in rooms_of_package()} == to_come


def test_table_of_modules_is_fresh() -> None:
    command = [sys.executable, str(ROOT / "docs" / "modules.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_diagrams_of_the_examples_are_fresh(tide: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = tide("docs", "--check", ROOT / "ARCHITECTURE.md", "--check", ROOT / "docs" / "settings.md", cwd=ROOT)
    assert done.returncode == 0, done.stderr
