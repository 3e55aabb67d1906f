"""Where a simulation's files go: logs in one folder, the truth outside of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidelake.errors import ProjectError


@dataclass(frozen=True)
class SimulationResult:
    """What a simulation wrote.

    Attributes:
        files: The logs and dimension files, in the order in which they were written.
        rows: Lines of the event logs, damaged and doubled ones included.
        truth: The file with the planted cause and the true totals; never inside the log folder.
    """

    scenario: str
    seed: int
    folder: Path
    files: tuple[Path, ...]
    rows: int
    truth: Path


def truth_path(out: Path, truth: Path | None) -> Path:
    """Where the truth goes: as asked, else `OUT.truth.json` beside the folder.

    Raises:
        ProjectError: It would lie inside the folder that the analysis reads.
    """
    chosen = truth if truth is not None else out.with_name(out.name + ".truth.json")
    if chosen.resolve().is_relative_to(out.resolve()):
        raise ProjectError(
            f"The truth file {chosen} lies inside of the log folder {out}.",
            hint="Give a path outside of it, so that no analysis can read the answer.",
        )
    return chosen


def prepare(out: Path, names: Iterable[str]) -> None:
    """Make the folder; refuse one that holds files which this run would not write itself.

    Raises:
        ProjectError: `out` is a file, or holds other files (they would be read as logs too).
    """
    if out.exists() and not out.is_dir():
        raise ProjectError(f"{out} is a file; the simulator writes a folder.", hint="Name another folder.")
    out.mkdir(parents=True, exist_ok=True)
    strangers = sorted({path.name for path in out.iterdir()} - set(names))
    if strangers:
        raise ProjectError(
            f"{out} already holds {len(strangers)} other file(s), such as {strangers[0]}.",
            hint="Name an empty folder: what lies beside the simulated logs would be read as logs.",
        )


def store(path: Path, *parts: bytes | memoryview) -> Path:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name("." + path.name + ".part")
    try:
        with draft.open("wb") as stream:
            for part in parts:
                stream.write(part)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def store_truth(path: Path, truth: dict[str, Any]) -> Path:
    """Write the truth as JSON that a person can read."""
    return store(path, (json.dumps(truth, indent=1, ensure_ascii=False) + "\n").encode())
