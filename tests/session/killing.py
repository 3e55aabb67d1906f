"""A process that runs commands on a project in children of its own and kills them: `kill -9` at chosen moments.

It is started anew (`python -m tests.session.killing`), imports everything once and never runs anything
itself, so that its children can be forked: a killed command costs no start of an interpreter.
Jobs and answers are JSON, one a line.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.forked import import_everything, keep_imports, started
from tidelake import session as tl
from tidelake.gold import dates
from tidelake.lake import commit_points
from tidelake.silver import ingest


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        points: Names of the commit points that it reached, `gold.user_day before`.
        seconds: From the first point to the last.
        killed: Whether it was killed.
        answer: What it gave back; the error's text where it failed.
    """

    points: list[str]
    seconds: float
    killed: bool
    answer: Any


# --- in the children


def act(root: Path, actions: str) -> Any:
    """Commands on a project, `build check`: what `tide` would do; what the last one answers."""
    answer = None
    for action in actions.split():
        answer = act_once(root, action)
    return answer


def act_once(root: Path, action: str) -> Any:
    with tl.open(root) as session:
        if action == "check":
            rows = session.check(digest=True).to_dicts()
            return {
                "wrong": [row for row in rows if row["status"] != "ok"],
                "digests": {row["table"]: row["detail"] for row in rows if row["check"] == "digest"},
            }
        if action == "compact":
            session.compact()
        elif action == "replay":
            session.replay()
        else:
            session.build(full_refresh=action == "full")
    return None


def run_child(job: dict[str, Any], report: int, answer: int) -> None:
    """Run a job's command; every commit point is told first, then the process may end there."""
    reached = 0

    def observe(what: str, moment: str) -> None:
        nonlocal reached
        reached += 1
        os.write(report, f"{what} {moment}\n".encode())
        if reached == job.get("at") or f"{what} {moment}" == job.get("until"):
            os.kill(os.getpid(), signal.SIGKILL)

    commit_points.observers.append(observe)
    ingest.GROUP_BYTES = job.get("group_bytes", ingest.GROUP_BYTES)
    dates.CHUNK_ROWS = job.get("pass_rows", dates.CHUNK_ROWS)
    try:
        result = {"ok": act(Path(job["root"]), job["action"])}
    except BaseException:  # noqa: BLE001 - a child must never come back
        result = {"error": traceback.format_exc()}
    with os.fdopen(answer, "w") as stream:
        json.dump(result, stream, default=str)
    os._exit(0)


# --- in the process that forks them


def fork(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job in a child; with `after` it is killed that many seconds after its first commit point."""
    points_read, points_write = os.pipe()
    answer_read, answer_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(points_read)
        os.close(answer_read)
        run_child(job, points_write, answer_write)
    os.close(points_write)
    os.close(answer_write)
    said, first, last, deadline = b"", 0.0, 0.0, None
    while True:
        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([points_read], [], [], wait)
        if not ready:
            os.kill(child, signal.SIGKILL)
            deadline = None
            continue
        block = os.read(points_read, 65536)
        if not block:
            break
        said += block
        last = time.monotonic()
        if not first:
            first = last
            deadline = first + job["after"] if "after" in job else None
    with os.fdopen(answer_read) as stream:
        text = stream.read()
    os.close(points_read)
    _, status = os.waitpid(child, 0)
    answer = json.loads(text) if text else {}
    return {
        "points": said.decode().splitlines(),
        "seconds": last - first,
        "killed": os.WIFSIGNALED(status),
        "answer": answer,
    }


def serve() -> None:
    """Answer jobs until the input ends."""
    import_everything()
    keep_imports()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(fork(json.loads(line))) + "\n")
        sys.stdout.flush()
    gc.unfreeze()


# --- for the tests


Run = Callable[..., Outcome]


@contextmanager
def killer() -> Iterator[Run]:
    """A function that runs a command on a project in a process of its own: `run(root, "build", at=3)`."""
    process = started("tests.session.killing")
    assert process.stdin is not None
    assert process.stdout is not None

    def run(root: Path, action: str, **when: Any) -> Outcome:
        job = {"root": str(root), "action": action, **when}
        process.stdin.write(json.dumps(job) + "\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        line = process.stdout.readline()  # type: ignore[union-attr]
        assert line, f"the process that runs the commands ended: {job}"
        told = json.loads(line)
        answer = told.pop("answer")
        if "error" in answer and not when.get("may_fail"):
            raise AssertionError(f"{action} on {root} failed:\n{answer['error']}")
        return Outcome(answer=answer.get("ok", answer.get("error")), **told)

    try:
        yield run
    finally:
        process.stdin.close()
        process.wait(timeout=60)
        process.stdout.close()


if __name__ == "__main__":
    serve()
