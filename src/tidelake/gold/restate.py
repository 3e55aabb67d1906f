"""What a rebuild changes in numbers of days that were closed before: they are said, not changed in silence."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from tidelake.gold.context import Gold
from tidelake.gold.model import Restatement
from tidelake.gold.sqltext import dates_condition

Numbers = dict[date, dict[str, float | None]]

# Metrics whose changes are recorded, by the table that holds them. `events` comes first: it is the reason given.
_RESTATED = {
    "gold.user_day": {
        "dau": "count(*) FILTER (WHERE is_active)",
        "sessions": "CAST(sum(session_count) AS BIGINT)",
        "watch_seconds": "round(sum(watch_seconds) * 1000000) / 1000000",
    },
    "gold.event_day": {"events": "CAST(sum(CASE WHEN dimension = '(all)' THEN event_count ELSE 0 END) AS BIGINT)"},
}
RESTATED = tuple(_RESTATED)
_EVENTS = {"gold.user_day": "CAST(sum(event_count) AS BIGINT)"}
_EVENTS_NAME = "(events)"


def numbers_of(gold: Gold, table: str, column: str, days: Sequence[date], *, like: str | None = None) -> Numbers:
    """The recorded metrics of some dates.

    Args:
        table: Where the rows are.
        column: Its date column.
        days: The dates; none for none.
        like: The table whose rows these are to become.
    """
    name = like or table
    chosen = _RESTATED.get(name)
    if not chosen or not days or (like is None and gold.lake.version(name) is None):
        return {}
    listed = {**chosen, **({_EVENTS_NAME: _EVENTS[name]} if name in _EVENTS else {})}
    columns = ", ".join(f"{text} AS c{index}" for index, text in enumerate(listed.values()))
    rows = gold.query(
        f"SELECT {column} AS day, {columns} FROM {table} WHERE {dates_condition(column, days)} GROUP BY {column}"
    )
    return {row["day"]: {metric: row[f"c{index}"] for index, metric in enumerate(listed)} for row in rows}


def compared(
    before: Numbers, after: Numbers, reason: str | None, restitched: Collection[date] = ()
) -> list[Restatement]:
    """What changed on the dates that `before` holds.

    Args:
        reason: Why; None = by how many events came or went.
        restitched: Days whose events are the same, and some of whose anonymous ids belong to other actors.
    """
    found = []
    for day, old in sorted(before.items()):
        new = after.get(day, {})
        because = "anonymous ids belong to other actors" if day in restitched else _because(old, new)
        for metric, value in old.items():
            now = new.get(metric, 0 if value is not None else None)
            if metric != _EVENTS_NAME and now != value:
                found.append(Restatement(day, metric, _float(value), _float(now), reason or because))
    return found


def to_note(number: int, restated: Sequence[Restatement]) -> dict[str, Any]:
    """What a gold commit says of the numbers that it changed, so that they can be written down after a crash too.

    Args:
        number: Greater than that of any commit to the table before.
    """
    return {"number": number, "rows": [asdict(item) | {"date": item.date.isoformat()} for item in restated]}


def from_note(note: Mapping[str, Any]) -> list[Restatement]:
    """What `to_note` was given."""
    return [Restatement(**{**row, "date": date.fromisoformat(row["date"])}) for row in note["rows"]]


def said_reason(reason: str) -> str | None:
    """The reason that is written down for a rebuild; None where events came late or left."""
    return None if reason == "inputs changed" else reason


def _because(old: dict[str, float | None], new: dict[str, float | None]) -> str:
    name = _EVENTS_NAME if _EVENTS_NAME in old else "events"
    difference = int((new.get(name) or 0) - (old.get(name) or 0))
    if difference == 0:
        return "sessions of other days changed"
    count = f"{abs(difference):,} {'event' if abs(difference) == 1 else 'events'}"
    return f"{count.replace(' ', ' late ')}" if difference > 0 else f"{count} taken back"


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
