"""Which dates of a table changed, and how much tables hold: from the lake's logs and file lists alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol

from tidelake.contracts.source import Source
from tidelake.engine.base import MODEL_LAYERS, DataFile, Layout
from tidelake.gold.sqltext import SumKind, runs

_FACTS = {  # what the built-in tables are made from
    "gold.sessions": "event",
    "gold.user_day": "event",
    "gold.user_day_value": "event",
    "gold.event_day": "event",
    "gold.entity_day": "count",
}
CHUNK_ROWS = 3_000_000  # input rows that one pass may hold: bounds memory, whatever the history's length


class Tables(Protocol):
    """What gold asks of the lake."""

    def version(self, table: str) -> int | None: ...
    def layout(self, table: str) -> Layout: ...
    def drop(self, table: str) -> None: ...
    def schema(self, table: str) -> Any: ...
    def files(self, table: str) -> list[DataFile]: ...
    def note(self, table: str) -> dict[str, Any]: ...
    def changed_partitions(
        self, table: str, column: str, since_version: int, *, taken: bool = False
    ) -> list[str] | None: ...
    def tables(self) -> list[str]: ...
    def index_folder(self, name: str) -> Path | None: ...


def rows_by_date(lake: Tables, tables: Iterable[tuple[str, str]]) -> Counter[date]:
    """Rows that some tables hold on each date, from their file lists: (table, date partition) each."""
    found: Counter[date] = Counter()
    for table, column in tables:
        for file in lake.files(table):
            value = file.partition.get(column)
            if value is not None:
                found[date.fromisoformat(value)] += max(file.records, 1)
    return found


def sums_fit(lake: Tables, tables: Iterable[str], column: str) -> bool:
    """Whether no sum of a column of integers can pass 64 bits: as many of the greatest as there are rows would fit."""
    files = [file for table in tables for file in lake.files(table)]
    edges = [edge for file in files for edge in (file.minimum.get(column), file.maximum.get(column))]
    greatest = max((abs(edge) for edge in edges if edge is not None), default=0)
    return bool(greatest * sum(file.records for file in files) < 2**63)


def sum_kind(lake: Tables, tables: Iterable[str], column: str, *, is_whole: bool) -> SumKind:
    """How a column's values are added up, by what the files say of the least and the greatest."""
    if is_whole:
        return "BIGINT" if sums_fit(lake, tables, column) else "DOUBLE"
    files = [file for table in tables for file in lake.files(table)]
    edges = [edge for file in files for edge in (file.minimum.get(column), file.maximum.get(column))]
    return "DOUBLE" if all(edge is not None and abs(edge) < 1e19 for edge in edges) else "WIDE"


def changed_dates(lake: Tables, table: str, column: str, since: int | None, *, taken: bool = False) -> set[date] | None:
    """Dates of a table whose rows changed after a version; None when all of them must be taken.

    Args:
        taken: Only dates from which rows were taken away, not those that only got more.
    """
    if since is None:
        return None
    now = lake.version(table)
    if now is None or now == since:
        return set()
    if now < since:
        return None
    values = lake.changed_partitions(table, column, since, taken=taken)
    return None if values is None else {date.fromisoformat(value) for value in values}


def is_behind(lake: Tables, sources: Mapping[str, Source], table: str) -> bool:
    """Whether what a gold table is made from has changed since, or the table is not finished: a build was cut off."""
    made_of = _made_of(lake, sources, table)
    if made_of is None:
        return False
    if not made_of or lake.note(table).get("pending"):
        return True
    return any(
        changed_dates(lake, item, "", since) != set() or is_behind(lake, sources, item)
        for item, since in made_of.items()
    )


def dates_behind(lake: Tables, sources: Mapping[str, Source], table: str) -> set[date] | None:
    """Dates of a built-in gold table that are not as its inputs are now; None = any may be.

    With each date whose sessions changed comes the one before: a session counts on the date of its start.
    """
    made_of = _made_of(lake, sources, table)
    if made_of is None:
        return set()
    if not made_of:
        return None
    found = {date.fromisoformat(day) for day in lake.note(table).get("pending", ())}
    for item, since in made_of.items():
        column = "session_date" if item == "gold.sessions" else "event_date"
        changed = changed_dates(lake, item, column, since)
        if changed is None:
            return None
        found |= changed
    if table == "gold.sessions":
        found |= {day - timedelta(days=1) for day in found}
    return found


def _made_of(lake: Tables, sources: Mapping[str, Source], table: str) -> dict[str, int | None] | None:
    """The inputs of a gold table with the versions that it was made from; none while it is not finished.

    None where the table is not one of gold that a build has made.
    """
    if table.partition(".")[0] not in MODEL_LAYERS or lake.version(table) is None:
        return None
    note = lake.note(table)
    if "definition" not in note:
        return None
    if "inputs" not in note:
        return {}
    known: dict[str, int | None] = dict(note["inputs"])
    fact = _FACTS.get(table)
    now = [f"silver.{name}" for name, source in sources.items() if source.fact == fact]
    return {item: None for item in now if item not in known and lake.version(item) is not None} | known


def chunks(days: Iterable[date], rows: Counter[date], limit: int | None = None) -> list[list[date]]:
    """The days in order, in groups that hold no more rows than the limit (one day at least); None = CHUNK_ROWS."""
    limit = CHUNK_ROWS if limit is None else limit
    found: list[list[date]] = []
    held = 0
    for day in sorted(set(days)):
        count = rows[day]
        if not found or held + count > limit:
            found.append([])
            held = 0
        found[-1].append(day)
        held += count
    return found


def stretches(days: Sequence[date], rows: Counter[date], limit: int | None = None) -> list[list[date]]:
    """The days in groups without a gap in the calendar that hold no more rows than the limit."""
    found: list[list[date]] = []
    wanted = sorted(set(days))
    for first, last in runs(wanted):
        found += chunks([day for day in wanted if first <= day <= last], rows, limit)
    return found
