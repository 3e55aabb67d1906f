"""Which partitions a SELECT reads, by its WHERE: an engine then opens their files only, however long a history is.

Found are conditions on partition columns that compare with constants, in a WHERE that follows right on one table
(`FROM silver.app WHERE event_date = DATE '2024-02-29' AND ...`). Whatever else stands there is passed over, so that
at worst too many files are opened and never too few.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Partition = Mapping[str, str | None]
Condition = Callable[[Partition], bool]
_FROM = re.compile(
    r"\bFROM\s+((?:bronze|silver|gold|ops)\.[A-Za-z_][A-Za-z0-9_]*)(?:\s+(?:AS\s+)?([A-Za-z_][A-Za-z0-9_]*))?\s+WHERE\b",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"""\s+|(?P<doubt>--|/\*|\$\$|[A-Za-z]+'|[A-Za-z]+&')|(?P<text>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")*")"""
    r"|(?P<word>[A-Za-z_$][\w$]*(?:\.[A-Za-z_]\w*)*)|(?P<number>\d[\w.]*)|(?P<sign><=|>=|<>|!=|.)",
    re.DOTALL,
)
_ENDS = {"GROUP", "ORDER", "HAVING", "LIMIT", "OFFSET", "UNION", "EXCEPT", "INTERSECT", "WINDOW", "QUALIFY"}
_ENDS |= {"USING", "FETCH", "SAMPLE", "FOR", "INTO"}
_NOT_AN_ALIAS = _ENDS | {"AS", "ON", "WHERE", "SELECT", "FROM", "JOIN", "TABLESAMPLE", "VALUES"}
_DATE = re.compile(r"'\d{4}-\d\d-\d\d'")
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/""", re.DOTALL)


@dataclass(frozen=True)
class Reading:
    """One FROM of a table, with the condition under which rows of a partition can be among those read.

    Attributes:
        start: Where the table's name begins in the SQL.
        end: Where it ends, or the alias that follows it.
        alias: What the rest of the SELECT calls it.
    """

    table: str
    start: int
    end: int
    alias: str
    wanted: Condition


def readings(sql: str, columns: Callable[[str], Mapping[str, str]]) -> Iterator[Reading]:
    """The tables in a SELECT of which only some partitions are read, in their order.

    Args:
        columns: Gives a table's partition columns with their kind, `date` or `integer`; others are left out.
    """
    quoted: list[tuple[int, int]] | None = None
    for found in _FROM.finditer(sql):
        table, alias = found.group(1).lower(), found.group(2)
        known = columns(table)
        if not known or (alias or "").upper() in _NOT_AN_ALIAS:
            continue
        if quoted is None:
            quoted = [each.span() for each in _QUOTED.finditer(sql)]
        if any(start < found.start() < end for start, end in quoted):
            continue
        if re.search(rf"\b{re.escape(table)}\s*\.", sql, re.IGNORECASE):
            continue  # a column is called by the table's full name, which would be lost
        tokens = _clause(sql, found.end())
        name = alias or table.partition(".")[2]
        wanted = None if tokens is None else _Reader(tokens, known, name.lower()).either(0, len(tokens))
        if wanted is not None:
            yield Reading(table, found.start(1), found.end(2) if alias else found.end(1), name, wanted)


def _clause(sql: str, position: int) -> list[tuple[str, str]] | None:
    """The tokens of a WHERE, up to where it ends: (kind, text); None where they cannot be told for certain."""
    tokens: list[tuple[str, str]] = []
    depth = 0
    while position < len(sql):
        found = _TOKEN.match(sql, position)
        if found is None or found.lastgroup == "doubt":
            return None
        position = found.end()
        if found.lastgroup is None:
            continue
        text = found.group()
        if (text == ")" and depth == 0) or text == ";":
            break
        if depth == 0 and found.lastgroup == "word" and text.upper() in _ENDS:
            break
        depth += (text in "([{") - (text in ")]}")
        tokens.append((found.lastgroup, text))
    return tokens if depth == 0 else None


class _Reader:
    """Reads the tokens of a WHERE as conditions joined by AND and OR; None = nothing is known of the partitions."""

    def __init__(self, tokens: list[tuple[str, str]], columns: Mapping[str, str], alias: str) -> None:
        self.kinds = [kind for kind, _ in tokens]
        self.texts = [text if kind in ("text", "name") else text.upper() for kind, text in tokens]
        self.columns = {name.upper(): (name, kind) for name, kind in columns.items()}
        self.columns |= {f"{alias}.{name}".upper(): (name, kind) for name, kind in columns.items()}

    def either(self, start: int, end: int) -> Condition | None:
        """Conditions joined by OR: any may hold, so all must be known."""
        parts = [self._all_of(*part) for part in self._split(start, end, "OR")]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        return known[0] if len(known) == 1 else lambda partition: any(part(partition) for part in known)

    def _all_of(self, start: int, end: int) -> Condition | None:
        """Conditions joined by AND: all hold, so those that are known are enough."""
        parts = [self._one(*part) for part in self._split(start, end, "AND")]
        known = [part for part in parts if part is not None]
        if not known:
            return None
        return known[0] if len(known) == 1 else lambda partition: all(part(partition) for part in known)

    def _split(self, start: int, end: int, word: str) -> Iterator[tuple[int, int]]:
        """The parts between AND or OR on the level of the clause itself; the AND of a BETWEEN joins nothing."""
        depth = between = 0
        first = start
        for index in range(start, end):
            text = self.texts[index] if self.kinds[index] in ("word", "sign") else ""
            depth += (text in ("(", "[", "{", "CASE")) - (text in (")", "]", "}", "END"))
            if depth:
                continue
            if text == "BETWEEN":
                between += 1
            elif text == "AND" and between:
                between -= 1
            elif text == word:
                yield first, index
                first = index + 1
        yield first, end

    def _one(self, start: int, end: int) -> Condition | None:
        if end - start >= 2 and self.texts[start] == "(" and self._closes(start) == end - 1:
            return self.either(start + 1, end - 1)
        if end - start == 1 and self.texts[start] == "FALSE":
            return lambda partition: False
        if end - start < 3 or self.kinds[start] != "word" or self.texts[start] not in self.columns:
            return None
        name, kind = self.columns[self.texts[start]]
        operator = self.texts[start + 1]
        values = self._values(start + 2, end, kind)
        if values is None:
            return None
        if (operator == "=" and len(values) == 1) or (operator == "IN" and self.texts[start + 2] == "("):
            chosen = set(values)
            return lambda partition: _as(kind, partition.get(name)) in chosen
        if operator == "BETWEEN" and len(values) == 2:
            low, high = values
            return lambda partition: _lies(_as(kind, partition.get(name)), low, high)
        if operator in ("<", "<=") and len(values) == 1:
            return lambda partition: _lies(_as(kind, partition.get(name)), None, values[0], strictly=operator == "<")
        if operator in (">", ">=") and len(values) == 1:
            return lambda partition: _lies(_as(kind, partition.get(name)), values[0], None, strictly=operator == ">")
        return None

    def _values(self, start: int, end: int, kind: str) -> list[str | int] | None:
        """Constants with commas or an AND between them; None where anything else stands there."""
        if self.texts[start] == "(" and self._closes(start) == end - 1:
            start, end = start + 1, end - 1
        found: list[str | int] = []
        while start < end:
            if kind == "date":
                if self.texts[start] != "DATE" or start + 1 >= end or not _DATE.fullmatch(self.texts[start + 1]):
                    return None
                found.append(self.texts[start + 1][1:-1])
                start += 2
            else:
                if not self.texts[start].isdecimal():
                    return None
                found.append(int(self.texts[start]))
                start += 1
            if start < end and self.texts[start] not in (",", "AND"):
                return None
            start += 1
        return found or None

    def _closes(self, start: int) -> int:
        """Where the bracket that opens here closes."""
        depth = 0
        for index in range(start, len(self.texts)):
            if self.kinds[index] == "sign":
                depth += (self.texts[index] in "([{") - (self.texts[index] in ")]}")
            if depth == 0:
                return index
        return -1


def _as(kind: str, value: str | None) -> str | int | None:
    return int(value) if kind == "integer" and value is not None else value


def _lies(value: Any, low: Any, high: Any, *, strictly: bool = False) -> bool:
    """Whether a value lies between two others of its kind; dates as ISO text are in order where they are as long.

    Args:
        low: None = there is none.
        high: None = there is none.
    """
    if value is None:
        return False
    if isinstance(value, str) and len(value) != len("2024-01-01"):
        return True
    if strictly:
        return (low is None or low < value) and (high is None or value < high)
    return (low is None or low <= value) and (high is None or value <= high)
