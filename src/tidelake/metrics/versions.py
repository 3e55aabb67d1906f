"""Versions of programs, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tidelake.errors import DefinitionError

_VERSION = re.compile(r"^\s*v?(\d+(?:\.\d+)*)\s*(?:[-_ ]?\s*([a-z][0-9a-z.-]*))?(?:\+.*)?\s*$", re.IGNORECASE)
VersionKey = tuple[tuple[int, ...], int, tuple[tuple[int, int, str], ...]]


def version_key(text: str) -> VersionKey | None:
    """What versions are ordered by: number for number, 1.10 after 1.9, 1.9 = 1.9.0, 2.0-beta before 2.0.

    Returns:
        None for a text that does not begin with a number (a `v` before it is fine).
    """
    found = _VERSION.match(text)
    if found is None:
        return None
    numbers = [int(part) for part in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    parts = re.findall(r"\d+|[a-z]+", (found[2] or "").lower())
    suffix = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
    return tuple(numbers), 0 if suffix else 1, suffix


def at_least(versions: Iterable[str], introduced_in: str) -> list[str]:
    """The versions that are not before one.

    Raises:
        DefinitionError: `introduced_in` is no version.
    """
    limit = version_key(introduced_in)
    if limit is None:
        raise DefinitionError(f"'{introduced_in}' is no version.", hint="Write it as 1.10 or 2.0.3.")
    keyed = [(key, text) for text in versions if (key := version_key(text)) is not None]
    return [text for key, text in sorted(keyed) if key >= limit]
