r"""The regular expressions that RE2 (DuckDB) and Java (Spark) read alike.

Measured: `$` also matches before a final newline in Java; `.` stops at more than `\n` there; `\s` holds the
vertical tab there; `&&` and a bracket inside of a class are set operations there; RE2 has neither
look-around nor back-references, Java has no `[[:alpha:]]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN_ESCAPES = set("dDwWsSzAtnr.\\-+*?()[]{}|^/$\"'&#@!%:;,=<>~`_ ")
_SPACE = {r"\s": r"[ \t\n\f\r]", r"\S": r"[^ \t\n\f\r]"}
_GROUP = re.compile(r"\(\?(?!:)")


def pattern_fault(pattern: str) -> str | None:
    """What in a pattern engines read differently and what to write, or None."""
    if _GROUP.search(_without_escapes(pattern)):
        return "only (?:...) groups are alike on all engines; write a class such as [aA] instead of a flag."
    inside = False
    position = 0
    while position < len(pattern):
        letter = pattern[position]
        if letter == "\\":
            following = pattern[position + 1 : position + 2]
            if following not in _PLAIN_ESCAPES or not following:
                return f"\\{following} is not alike on all engines."
            position += 2
            continue
        if inside:
            if letter == "[" or pattern.startswith("&&", position):
                return "a bracket or && inside of a class is a set operation on Spark; write \\[ or \\&."
            inside = letter != "]"
        elif letter == "[":
            inside = True
            if pattern[position + 1 : position + 2] == "^":
                position += 1
            if pattern[position + 1 : position + 2] == "]":
                return "write \\] for a bracket in a class."
        elif letter == "$":
            return "$ also matches before a final newline on Spark; write \\z."
        elif letter == "^":
            position += 1
            continue
        position += 1
    return None


def re2_faults(patterns: Iterable[str]) -> dict[str, str]:
    """Those patterns that RE2 cannot read, with what DuckDB, which runs it, says of each."""
    import duckdb

    found = {}
    with duckdb.connect(config={"threads": 1}) as connection:
        for pattern in patterns:
            try:
                connection.execute("SELECT regexp_full_match('', $pattern)", {"pattern": pattern}).fetchall()
            except duckdb.InvalidInputException as error:
                found[pattern] = str(error).removeprefix("Invalid Input Error: ")
    return found


def _without_escapes(pattern: str) -> str:
    return re.sub(r"\\.", "", pattern, flags=re.DOTALL)


def java_pattern(pattern: str) -> str:
    r"""The pattern for Java: `.` stops at `\n` only, `\s` without the vertical tab."""
    return "(?d)" + re.sub(r"\\.", lambda found: _SPACE.get(found.group(), found.group()), pattern, flags=re.DOTALL)
