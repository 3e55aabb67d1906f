"""The `tide` command in a process of its own, without the start of an interpreter.

A server (`python -m tests.forked`) imports everything once, never runs anything itself and forks a child
for every command: the child has its own streams, folder, environment and exit, as a process from a shell.
Cold starts, `-W error` and signals are for tests that start real interpreters (`tests/cli/test_frame.py`).
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def import_everything() -> None:
    """What a build and a check import on their way; a forked child finds it there."""
    import duckdb  # noqa: F401
    import sqlglot  # noqa: F401

    import tidelake.cli.run
    import tidelake.engine.duckdb
    import tidelake.gold.build
    import tidelake.lake.upkeep
    import tidelake.session.checks
    import tidelake.session.pipeline
    import tidelake.sources.files
    import tidelake.sources.projectviews  # noqa: F401


def keep_imports() -> None:
    """A child that looks for garbage in what was imported would copy it all; at its end libraries look for leaks."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def become(job: Mapping[str, Any]) -> None:
    """Give a new child the streams, the folder, the words and the environment of its job."""
    streams = ((0, os.devnull, os.O_RDONLY), (1, job["out"], os.O_WRONLY), (2, job["err"], os.O_WRONLY))
    for number, path, flags in streams:
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environment"])
    sys.argv = ["tide", *job["words"]]


def serve() -> int:
    """Answer every job, one a line, with the exit code of a child that runs it."""
    import_everything()
    keep_imports()
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if child == 0:
            from tidelake.cli import main

            become(json.loads(line))
            try:
                return main()
            finally:
                gc.unfreeze()
        _, status = os.waitpid(child, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    gc.unfreeze()
    return 0


def started(module: str) -> subprocess.Popen[str]:
    """A new interpreter that runs one of the tests' modules and is spoken to in lines."""
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )


@cache
def server() -> subprocess.Popen[str]:
    """One server a test process, started at its first command."""
    process = started("tests.forked")

    def end() -> None:
        process.communicate(timeout=60)

    atexit.register(end)
    return process


def tide(words: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one command."""
    process = server()
    assert process.stdin is not None
    assert process.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        out, err = (Path(folder) / name for name in ("out", "err"))
        out.touch()
        err.touch()
        job = {
            "words": [*words],
            "cwd": str(cwd),
            "environment": {**environment},
            "out": str(out),
            "err": str(err),
        }
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], 300)
        assert ready, f"tide {' '.join(words)} took longer than five minutes"
        code = process.stdout.readline()
        assert code, "the process that runs the commands ended"
        return subprocess.CompletedProcess(["tide", *words], int(code), out.read_text(), err.read_text())


if __name__ == "__main__":
    sys.exit(serve())
