"""What data faults are seen by, read from a lake: small daily tables of one source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import combinations
from typing import Any

import pyarrow as pa

from tidelake.analyses.change.faults import SourceDays
from tidelake.contracts.table import literal, quoted
from tidelake.gold.context import Gold
from tidelake.gold.sqltext import date_literal
from tidelake.lake.ledger import LEDGER
from tidelake.metrics.status import Status, observe
from tidelake.silver.completeness import period_of

MOST_TYPES = 10  # event types that are looked at in pairs, the most frequent ones
_TECHNICAL = ("event_date", "event_time", "event_id", "seq", "file_id", "batch_id", "source_position", "ingested_at")
_COUNTS = pa.schema([("day", pa.date32()), ("event_name", pa.string()), ("events", pa.int64())])
_ACTORS = pa.schema([("day", pa.date32()), ("actors", pa.int64())])
_PAIRS = pa.schema(
    [
        ("day", pa.date32()),
        ("first", pa.string()),
        ("second", pa.string()),
        ("actor_days", pa.int64()),
        ("alike", pa.int64()),
    ]
)
_FILES = pa.schema([("day", pa.date32()), ("read", pa.int64()), ("quarantined", pa.int64()), ("duplicate", pa.int64())])
_FIELDS = pa.schema([("day", pa.date32()), ("field", pa.string()), ("rows", pa.int64()), ("filled", pa.int64())])


def source_days(gold: Gold, source: str, *, first: date, last: date) -> SourceDays:
    """What is known of an event source by day.

    Args:
        gold: The gold room over the lake.
        source: Name of the source.
        first: First local date.
        last: Last local date, itself included.

    Returns:
        Empty tables where silver has no such source or the ledger none of its files; without event names or actors
        the tables that need them are empty.
    """
    columns = [name for name in _names(gold, source) if not name.startswith("_")]
    span = f"FROM silver.{source} WHERE event_date BETWEEN {date_literal(first)} AND {date_literal(last)}"
    counts = _counts(gold, span) if "event_name" in columns else []
    has_actors = "actor_id" in columns
    observed = observe(gold, [source])
    days = [first + timedelta(days=at) for at in range((last - first).days + 1)]
    statuses: dict[date, Status] = {day: observed.of_day(day) for day in days}
    return SourceDays(
        source=source,
        counts=pa.Table.from_pylist(counts, schema=_COUNTS),
        actors=pa.Table.from_pylist(_actors(gold, span) if has_actors else [], schema=_ACTORS),
        pairs=pa.Table.from_pylist(_pairs(gold, span, _frequent(counts)) if has_actors else [], schema=_PAIRS),
        files=pa.Table.from_pylist(_files(gold, source, span, days) if columns else [], schema=_FILES),
        fields=pa.Table.from_pylist(_fields(gold, span, columns) if columns else [], schema=_FIELDS),
        statuses=statuses,
    )


def _names(gold: Gold, source: str) -> list[str]:
    schema = gold.engine.schema(f"silver.{source}")
    return [] if schema is None else list(schema.names)


def _counts(gold: Gold, span: str) -> list[dict[str, Any]]:
    return gold.query(
        f"SELECT event_date AS day, event_name, count(*) AS events {span} AND event_name IS NOT NULL "
        "GROUP BY event_date, event_name ORDER BY day, event_name"
    )


def _actors(gold: Gold, span: str) -> list[dict[str, Any]]:
    return gold.query(
        f"SELECT event_date AS day, count(DISTINCT actor_id) AS actors {span} GROUP BY event_date ORDER BY day"
    )


def _frequent(counts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The most frequent event types, by name."""
    total: dict[str, int] = {}
    for row in counts:
        total[row["event_name"]] = total.get(row["event_name"], 0) + row["events"]
    return sorted(sorted(total, key=lambda name: (-total[name], name))[:MOST_TYPES])


def _pairs(gold: Gold, span: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Actors' days with either of two types, and with as many of both, for every two of the types."""
    if len(names) < 2:
        return []
    each = ", ".join(
        f"sum(CASE WHEN event_name = {literal(name)} THEN 1 ELSE 0 END) AS n{at}" for at, name in enumerate(names)
    )
    both = list(combinations(range(len(names)), 2))
    sums = ", ".join(
        f"sum(CASE WHEN n{one} + n{two} > 0 THEN 1 ELSE 0 END) AS some_{one}_{two}, "
        f"sum(CASE WHEN n{one} > 0 AND n{one} = n{two} THEN 1 ELSE 0 END) AS alike_{one}_{two}"
        for one, two in both
    )
    rows = gold.query(
        f"SELECT day, {sums} FROM (SELECT event_date AS day, actor_id, {each} {span} AND actor_id IS NOT NULL "
        "GROUP BY event_date, actor_id) AS actor_days GROUP BY day ORDER BY day"
    )
    return [
        {
            "day": row["day"],
            "first": names[one],
            "second": names[two],
            "actor_days": int(row[f"some_{one}_{two}"]),
            "alike": int(row[f"alike_{one}_{two}"]),
        }
        for row in rows
        for one, two in both
    ]


def _fields(gold: Gold, span: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    """How many rows of each day have a value in each column."""
    own = [name for name in columns if name not in _TECHNICAL]
    each = "".join(f", count({quoted(name)}) AS c{at}" for at, name in enumerate(own))
    rows = gold.query(f"SELECT event_date AS day, count(*) AS row_count{each} {span} GROUP BY event_date ORDER BY day")
    return [
        {"day": row["day"], "field": name, "rows": row["row_count"], "filled": row[f"c{at}"]}
        for row in rows
        for at, name in enumerate(own)
    ]


def _files(gold: Gold, source: str, span: str, days: Sequence[date]) -> list[dict[str, Any]]:
    """Rows read and refused of the files of each day.

    A file belongs to the day in its name where the source has daily files, else to the day that more than half of its
    rows are of; files of many days belong to none.
    """
    if gold.lake.version(LEDGER) is None:
        return []
    told = gold.query(
        f"SELECT file_id, source_path, read - superseded AS read, quarantined, duplicate FROM {LEDGER} "
        f"WHERE source = {literal(source)} AND state <> 'superseded' ORDER BY file_id"
    )
    by_rows = _days_of_files(gold, source, span) if "file_id" in _names(gold, source) else {}
    declared = gold.sources[source]
    found: dict[date, dict[str, Any]] = {}
    for row in told:
        named = period_of(declared, row["source_path"]) if declared.complete.by == "daily_file" else None
        day = named.date() if named is not None else by_rows.get(row["file_id"])
        if day is not None and day in days:
            sums = found.setdefault(day, {"day": day, "read": 0, "quarantined": 0, "duplicate": 0})
            for name in ("read", "quarantined", "duplicate"):
                sums[name] += int(row[name])
    return [found[day] for day in sorted(found)]


def _days_of_files(gold: Gold, source: str, span: str) -> dict[int, date]:
    rows = gold.query(
        f"SELECT file_id, event_date AS day, count(*) AS held FROM silver.{source} WHERE file_id IN "
        f"(SELECT file_id {span}) GROUP BY file_id, event_date ORDER BY file_id, day"
    )
    total: dict[int, int] = {}
    for row in rows:
        total[row["file_id"]] = total.get(row["file_id"], 0) + row["held"]
    return {row["file_id"]: row["day"] for row in rows if row["held"] > 0.5 * total[row["file_id"]]}
