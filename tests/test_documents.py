"""Documents tell the truth: marked examples run, links lead somewhere, no page names a machine's own paths.

A fenced block right after a line `<!-- runnable -->` is run: `console` blocks command by command (lines that begin with
`$ `; the lines below must be in the output, `...` stands for any text), `python` blocks as a script. The blocks of one
page run in order in one empty folder.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SKIPPED = {".git", ".venv", ".cache", ".pytest_cache", "node_modules", "lake", "target", "tidelake-demo"}
BLOCK = re.compile(r"^<!-- runnable -->\n+```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
MACHINE_PATHS = re.compile("|".join((r"(?<![\w.])/" + "work/", "/" + r"root/", "/" + r"home/\w+/")))


def documents() -> Iterator[Path]:
    """Every Markdown page of the repository."""
    for path in sorted(ROOT.rglob("*.md")):
        if not SKIPPED & set(path.relative_to(ROOT).parts[:-1]):
            yield path


PAGES = [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in documents()]
RUNNABLE = [param for param in PAGES if BLOCK.search(param.values[0].read_text(encoding="utf-8"))]


@dataclass(frozen=True)
class Command:
    """One command of a console block and the lines that its output must hold."""

    line: str
    expected: list[str]


def commands(block: str) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], []))
        elif line.strip():
            found[-1].expected.append(line)
    return found


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a reader would, with this interpreter's `tide` first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1", "COLUMNS": "120"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", RUNNABLE)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            done = run([sys.executable, "-W", "error", "-c", block], tmp_path)
            assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
            continue
        assert language == "console", f"only python and console blocks can be run, not {language}"
        for command in commands(block):
            words = shlex.split(command.line)
            if words[0] == "cd":
                tmp_path = tmp_path / words[1]
                continue
            if words[0] == "tide":
                words = [sys.executable, "-m", "tidelake", *words[1:]]
            done = run(words, tmp_path)
            assert done.returncode == 0, f"$ {command.line}\n{done.stdout}{done.stderr}"
            for line in command.expected:
                parts = [re.escape(" ".join(part.split())) for part in line.split("...")]
                assert re.search(".*".join(parts), " ".join(done.stdout.split())), f"{line}\nis not in\n{done.stdout}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for target in (first or second for first, second in LINK.findall(text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name) if name else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert not broken, f"{page}: {broken}"


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_path_of_somebodys_machine(page: Path) -> None:
    assert not MACHINE_PATHS.findall(page.read_text(encoding="utf-8"))


def test_a_console_block_is_read_as_commands_with_their_output() -> None:
    assert commands("$ tide demo\nrows ... 12\n\n$ tide check\n") == [
        Command("tide demo", ["rows ... 12"]),
        Command("tide check", []),
    ]
