"""Opens the project that a command is about."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tidelake.cli.streams import say

if TYPE_CHECKING:
    from tidelake.cli.options import EngineName
    from tidelake.session import Session


def opened(
    project: Path,
    *,
    target: str | None = None,
    engine: EngineName | None = None,
    as_of: str | None = None,
) -> Session:
    """The project at, in or above a path, as a session (a context manager)."""
    from tidelake.config import find_project

    path = find_project(project)
    with _pandas_left_out():
        import pyarrow

        pyarrow.array([])
    from tidelake import session

    return session.open(path, target=target, engine=None if engine is None else engine.value, as_of=as_of)


@contextmanager
def _pandas_left_out() -> Iterator[None]:
    """Let pyarrow find that there is no pandas when it first looks.

    It imports pandas, a third of a second, to tell whether a list that becomes an array is a pandas object. No
    command makes any. Whoever asks for pandas by name still gets it.
    """

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "pandas":
                raise ModuleNotFoundError(f"{name} is left out")

    finder = Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def say_unfinished(session: Session) -> None:
    """One line where what was read is older than the lake or than silver, since a build has not come to its end."""
    for line in (session.unfinished, session.behind):
        if line is not None:
            say(line)
