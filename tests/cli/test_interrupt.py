"""Ctrl-C in the middle of a build: a sentence, 130, and the next build goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tidelake.cli import main
from tidelake.cli.examples import copy_example, load_demo

SOURCE = Path(__file__).resolve().parents[2] / "src"
PATIENCE_S = 60


def test_an_interrupted_build_is_finished_by_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "collapse"
    copy_example(load_demo("collapse")[0], folder)
    assert main(["simulate", "collapse", "--out", str(folder / "data"), "--set", "users=400"]) == 0
    lines = sum(len(path.read_bytes().splitlines()) for path in (folder / "data").iterdir())
    process = subprocess.Popen(
        [sys.executable, "-m", "tidelake", "build", "--project", str(folder)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for(folder / "lake" / "bronze")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (130, ""), err
    assert "Interrupted." in err
    assert "nothing lost, nothing twice" in err
    assert "Traceback" not in err

    assert main(["build", "--project", str(folder), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["ledger", "--project", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(f"14 files, {lines:,} read = ")
    assert said.endswith("every file balances")


def _wait_for(path: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not appear"
        time.sleep(0.01)
