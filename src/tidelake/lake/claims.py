"""Which of several writers goes on where there is no lock (S3): the one that began to write last."""

from __future__ import annotations

import threading
import time
import uuid

from tidelake.lake.location import Location

FOLDER = "_writers"


class Claim:
    """A writer's place among those at work: a file that it leaves before its first commit and takes away at its end.

    Two writers that meet at a table each find the other one's file, for it was there before the other one's commit.
    The one that began first gives up; so there is one that need not. The file of a writer that was killed stays: it
    makes those that began before it give up, and nobody that begins later.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._name: str | None = None
        self._one = threading.Lock()  # tables are committed to side by side

    def make(self) -> None:
        """Take a place; a second call does nothing."""
        with self._one:
            if self._name is None:
                self._name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
                self._location.write_text("", FOLDER, self._name)

    @property
    def is_last(self) -> bool:
        """Whether nobody began to write after this one."""
        return self._name is not None and self._name >= max(self._location.names(FOLDER), default="")

    def drop(self) -> None:
        """Give the place back."""
        if self._name is not None:
            self._location.remove_file(FOLDER, self._name)
            self._name = None
