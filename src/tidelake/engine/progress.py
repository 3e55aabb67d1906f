"""How long work tells whoever watches how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a build, a simulation or a compaction calls while it works.

    Calls are cheap and may come as often as a group of rows is done; the receiver decides what it shows.
    """

    def __call__(self, stage: str, done: int, total: int | None = None, unit: str = "rows") -> None:
        """Say how far a stage is.

        Args:
            stage: What is being done, in the reader's words ("reading app", "silver app", "gold sessions").
            done: How much of it is done; `done == total` ends the stage.
            total: How much there is in all, or None where nobody knows.
            unit: What is counted: `bytes`, `rows`, `files`, `dates`, `steps`.
        """
        ...

    def say(self, text: str) -> None:
        """Tell one sentence that the reader should see now (what is restated, what was skipped)."""
        ...


class _Silent:
    """Shows nothing."""

    def __call__(self, stage: str, done: int, total: int | None = None, unit: str = "rows") -> None:
        return None

    def say(self, text: str) -> None:
        return None


silent: Progress = _Silent()
