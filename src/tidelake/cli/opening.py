"""Opens the project that a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    from tidelake import session

    return session.open(path, target=target, engine=None if engine is None else engine.value, as_of=as_of)
