"""What can go wrong, named by what the reader can do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_WORDS = re.compile(r"[^\W_]{4,}")


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
        near = nearest(name, choices)
        place = f" in {where}" if where else ""
        if near:
            hint = "Did you mean " + " or ".join(f"'{item}'" for item in near) + "?"
        elif choices:
            hint = f"Known: {', '.join(choices[:12])}{' ...' if len(choices) > 12 else '.'}"
        else:
            hint = f"There is no {kind} yet."
        super().__init__(f"Unknown {kind} '{name}'{place}.", hint=f"{hint} {more}".rstrip())
        self.name = name


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """Up to three names that somebody who wrote `name` may have meant, the nearest first.

    A name is near where few letters differ (one, or a third of them), where one holds the other, or where they share a
    word of four letters or more.
    """
    alike = get_close_matches(name, known, n=9, cutoff=0.5)
    holding = [one for one in known if one not in alike and name in re.split(r"[^\w]|_", one)]
    return [one for one in [*alike, *holding] if _is_near(name.lower(), one.lower())][:3]


def _is_near(name: str, other: str) -> bool:
    (head, _, tail), (own, _, end) = name.rpartition("."), other.rpartition(".")
    if head and head == own:  # two columns of one table
        name, other = tail, end
    if name in other or other in name or not set(_WORDS.findall(name)).isdisjoint(_WORDS.findall(other)):
        return True
    return _edits(name, other) <= max(1, max(len(name), len(other)) // 3)


def _edits(one: str, other: str) -> int:
    """Letters to add, leave out, change, or swap with the next one, to make one text of the other."""
    before, row = list[int](), list(range(len(other) + 1))
    for place, letter in enumerate(one, start=1):
        last, row, oldest = row, [place], before
        for at, its in enumerate(other, start=1):
            least = min(last[at] + 1, row[at - 1] + 1, last[at - 1] + (letter != its))
            if place > 1 and at > 1 and letter == other[at - 2] and one[place - 2] == its:
                least = min(least, oldest[at - 2] + 1)
            row.append(least)
        before = last
    return row[-1]


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
