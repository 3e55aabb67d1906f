"""What can go wrong, named by what the reader can do about it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TidelakeError(Exception):
    """Base of every error that Tidelake raises on purpose.

    The message says what was wrong and where; `hint` says what to do next.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ProjectError(TidelakeError):
    """The project's settings are wrong, or a file of it is missing."""

    exit_code = 2


class DefinitionError(ProjectError):
    """A definition (source, contract, model, metric) is wrong."""


class UnknownNameError(DefinitionError, LookupError):
    """A name that nothing carries; the message proposes the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "", more: str = "") -> None:
        choices = sorted(set(known))
        near = get_close_matches(name, choices, n=3, cutoff=0.5)
        place = f" in {where}" if where else ""
        if near:
            hint = "Did you mean " + " or ".join(f"'{item}'" for item in near) + "?"
        elif choices:
            hint = f"Known: {', '.join(choices[:12])}{' ...' if len(choices) > 12 else '.'}"
        else:
            hint = f"There is no {kind} yet."
        super().__init__(f"Unknown {kind} '{name}'{place}.", hint=f"{hint} {more}".rstrip())
        self.name = name


class ContractError(TidelakeError):
    """Rows or files break their contract; carries what and where."""

    exit_code = 3


class LedgerError(TidelakeError):
    """Rows in and rows out do not add up."""

    exit_code = 3


class GrainError(TidelakeError):
    """A table has two rows where its grain allows one."""

    exit_code = 3


class QueryError(TidelakeError, ValueError):
    """A query that cannot be run: syntax, names, or outside of the portable subset."""

    exit_code = 2


class SourceError(TidelakeError):
    """A source's files cannot be read: no rights, no connection, or a form that is not supported."""


class EngineError(TidelakeError):
    """The engine failed while it ran a query or wrote a table."""


class LakeError(TidelakeError):
    """The lake cannot be read or written: rights, space, format, protocol."""


class BusyError(TidelakeError):
    """Somebody else is at work on the lake, or a file is still changing: try again."""

    exit_code = 75


class UnsupportedError(TidelakeError):
    """This engine or installation cannot do it; the message says which can."""
