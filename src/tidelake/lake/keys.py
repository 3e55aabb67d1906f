"""Which keys silver holds: an index over their 64-bit hashes, so that a new batch need not read old ones.

The index is a cache: sorted runs of (hash, day) beside the table, tied to the silver version that they
describe. Where it is missing or behind, it is made again from silver. What it finds is a suspicion; rows
are compared by their content before one is called a duplicate.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tidelake.lake.commit_points import reached

_MOST_RUNS = 6

Hashes = NDArray[np.int64]
Days = NDArray[np.int32]


@dataclass(frozen=True)
class Run:
    """Hashes in order with their days; `name` is that of its files once it was saved."""

    hashes: Hashes
    days: Days
    name: str | None = None


@dataclass
class KeyIndex:
    """Sorted runs of key hashes with the day (since 1970) of the partition that holds each.

    Args:
        folder: Where the runs are kept; None keeps them in memory (lakes on S3).
        version: The silver version that the index describes.
        content: The columns that the hashes were made from.
    """

    folder: Path | None
    runs: list[Run] = field(default_factory=list)
    version: int | None = None
    content: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: Path | None, *, algorithm: str) -> KeyIndex:
        """The index as it was saved, or an empty one that has to be filled."""
        index = cls(folder)
        if folder is None:
            return index
        try:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            if state["algorithm"] == algorithm:
                index.runs = [
                    Run(
                        np.load(folder / f"{name}.hash.npy", mmap_mode="r"),
                        np.load(folder / f"{name}.day.npy", mmap_mode="r"),
                        name,
                    )
                    for name in state["runs"]
                ]
                index.version, index.content = state["version"], tuple(state["content"])
        except (OSError, EOFError, ValueError, KeyError):
            index.clear()
        return index

    def __len__(self) -> int:
        return sum(len(run.hashes) for run in self.runs)

    def find(self, hashes: Hashes) -> tuple[Hashes, Days]:
        """Which of these hashes are known, and on which days; a hash can be there on several.

        Args:
            hashes: Sorted.
        """
        found_hashes, found_days = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        for run, days in ((np.asarray(item.hashes), np.asarray(item.days)) for item in self.runs):
            if len(run) == 0 or len(hashes) == 0 or hashes[-1] < run[0] or run[-1] < hashes[0]:
                continue
            first = np.searchsorted(run, hashes, side="left")
            hit = run[np.minimum(first, len(run) - 1)] == hashes
            known, start = hashes[hit], first[hit]
            times = np.searchsorted(run, known, side="right") - start
            # Where each hash stands in the run, once for every time that it stands there.
            places = np.repeat(start - np.cumsum(times) + times, times) + np.arange(times.sum())
            found_hashes.append(np.repeat(known, times))
            found_days.append(days[places])
        return np.concatenate(found_hashes), np.concatenate(found_days)

    def add(self, hashes: Hashes, days: Days) -> None:
        """Add the keys of a batch; runs of like size are merged, so that there are few."""
        self.runs.append(_sorted_run(hashes, days, kind="quicksort"))
        while len(self.runs) > 1 and (
            len(self.runs) > _MOST_RUNS or len(self.runs[-2].hashes) <= 2 * len(self.runs[-1].hashes)
        ):
            left, right = self.runs[-2:]
            self.runs[-2:] = [
                _sorted_run(
                    np.concatenate((left.hashes, right.hashes)), np.concatenate((left.days, right.days)), kind="stable"
                )
            ]

    def clear(self) -> None:
        self.runs, self.version, self.content = [], None, ()

    def save(self, *, algorithm: str) -> None:
        """Keep the index for the next build: new runs first, then the state that names them."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for number, run in enumerate(self.runs):
            if run.name is None:
                name = uuid.uuid4().hex
                np.save(self.folder / f"{name}.hash.npy", run.hashes)
                np.save(self.folder / f"{name}.day.npy", run.days)
                self.runs[number] = Run(run.hashes, run.days, name)
        names = [run.name for run in self.runs]
        state = {"algorithm": algorithm, "version": self.version, "content": self.content, "runs": names}
        draft = self.folder / "state.json.draft"
        draft.write_text(json.dumps(state), encoding="utf-8")
        reached(f"index {self.folder.name}", "before")
        os.replace(draft, self.folder / "state.json")
        reached(f"index {self.folder.name}", "after")
        for path in self.folder.glob("*.npy"):
            if path.name.split(".")[0] not in names:
                path.unlink(missing_ok=True)


def _sorted_run(hashes: Hashes, days: Days, *, kind: Literal["quicksort", "stable"]) -> Run:
    """The hashes in order; `stable` is the faster one where two runs in order follow each other."""
    order = np.argsort(hashes, kind=kind)
    return Run(hashes[order], days[order])
