"""Which days of a source were received: from `ops.coverage`, else from silver itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from tidelake.gold.context import Gold
from tidelake.gold.sqltext import runs

COVERAGE = "ops.coverage"
WATERMARKS = "ops.watermarks"
NOTED = ("missing", "degraded", "partial_left")
CLOSED_AFTER = 28  # received days of absence at the end after which an entity is closed


@dataclass(frozen=True)
class Calendar:
    """The days of one source.

    Attributes:
        first: First day with rows, or expected.
        last: Last day with rows, or expected.
        noted: Days that are `missing` (expected, no row received), `degraded` (received in part) or `partial_left`
            (the data begin inside).
    """

    first: date | None
    last: date | None
    noted: dict[date, str] = field(default_factory=dict)

    def status(self, day: date) -> str:
        """`received`, or what is noted."""
        return self.noted.get(day, "received")

    def days(self) -> list[date]:
        """Every day, without a gap."""
        if self.first is None or self.last is None:
            return []
        return [self.first + timedelta(days=offset) for offset in range((self.last - self.first).days + 1)]

    def closed_until(self) -> date | None:
        """Entities last seen on or before this day are closed: 28 received days have passed without them."""
        received = [day for day in self.days() if self.status(day) != "missing"]
        if len(received) < CLOSED_AFTER:
            return None
        return received[-CLOSED_AFTER] - timedelta(days=1)

    def to_note(self) -> dict[str, Any]:
        """The calendar in few words, for a commit's note."""
        found: dict[str, Any] = {"first": str(self.first) if self.first else None}
        found["last"] = str(self.last) if self.last else None
        for status in NOTED:
            days = [day for day, noted in self.noted.items() if noted == status]
            found[status] = [[str(first), str(last)] for first, last in runs(days)]
        return found

    @classmethod
    def from_note(cls, note: dict[str, Any]) -> Calendar:
        """The calendar that a note holds."""
        noted = {
            date.fromisoformat(first) + timedelta(days=offset): status
            for status in NOTED
            for first, last in note.get(status, ())
            for offset in range((date.fromisoformat(last) - date.fromisoformat(first)).days + 1)
        }
        ends = [date.fromisoformat(note[name]) if note.get(name) else None for name in ("first", "last")]
        return cls(ends[0], ends[1], noted)

    def changed(self, before: Calendar) -> set[date]:
        """Days that are new, gone, or of another status than before."""
        own, old = set(self.days()), set(before.days())
        return (own ^ old) | {day for day in own & old if self.status(day) != before.status(day)}


def calendars(gold: Gold, sources: Sequence[str]) -> dict[str, Calendar]:
    """The calendars of these sources.

    Where `ops.coverage` has no row of a source, a day without any row of it between its first and last is missing, or
    received where the source declares `empty_days: zero`: nothing happened on it.
    Of a source whose rows are all in quarantine nothing was observed: all its days are missing, whatever files came.
    """
    told: dict[str, list[dict[str, Any]]] = {name: [] for name in sources}
    if gold.lake.version(COVERAGE) is not None:
        for row in gold.query(f"SELECT source, date, status FROM {COVERAGE}"):
            if row["source"] in told:
                told[row["source"]].append(row)
    return {name: _calendar(gold, name, told[name]) for name in sources}


def _calendar(gold: Gold, source: str, told: Sequence[dict[str, Any]]) -> Calendar:
    held = gold.rows_by_date([(f"silver.{source}", "event_date")])
    days = {*held, *(row["date"] for row in told)}
    if not days:
        return Calendar(None, None)
    promised = gold.sources[source].complete
    if promised.empty_days == "zero" and promised.through is not None:
        days.add(promised.through)
    noted = {row["date"]: row["status"] for row in told if row["status"] in NOTED}
    if not held:
        noted = dict.fromkeys(days, "missing")
    elif not told:
        bare = Calendar(min(days), max(days))
        noted = {day: "missing" for day in bare.days() if not held[day] and promised.empty_days == "missing"}
    return Calendar(min(days), max(days), noted)


@dataclass(frozen=True)
class Watermark:
    """How far sources claim to be complete.

    Attributes:
        instant: The least of the sources' watermarks; None where one has no rows.
        lateness: How long after it a row may still come.
    """

    instant: datetime | None
    lateness: timedelta


def watermark(gold: Gold, sources: Sequence[str]) -> Watermark:
    """The watermark of some sources: from `ops.watermarks`, else the largest event time of silver."""
    told: dict[str, dict[str, Any]] = {}
    if gold.lake.version(WATERMARKS) is not None:
        rows = gold.query(f"SELECT source, watermark, lateness_seconds FROM {WATERMARKS}")
        told = {row["source"]: row for row in rows}
    instants: list[datetime | None] = []
    lateness = timedelta()
    for name in sources:
        row = told.get(name)
        if row is None:
            held = gold.lake.version(f"silver.{name}") is not None
            found = gold.query(f"SELECT max(event_time) AS latest FROM silver.{name}") if held else []
            row = {"watermark": found[0]["latest"] if found else None, "lateness_seconds": 0.0}
        instants.append(row["watermark"])
        lateness = max(lateness, timedelta(seconds=row["lateness_seconds"] or 0))
    known = [instant for instant in instants if instant is not None]
    declared = gold.project.lateness
    return Watermark(
        min(known) if known and len(known) == len(instants) else None, lateness if declared is None else declared
    )


def closed_through(gold: Gold) -> date | None:
    """The last local date of events that has ended by the watermark minus lateness."""
    mark = watermark(gold, [source.name for source in gold.events.sources])
    if mark.instant is None:
        return None
    return (mark.instant - mark.lateness).astimezone(gold.project.zone).date() - timedelta(days=1)
