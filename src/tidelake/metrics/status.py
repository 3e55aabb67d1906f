"""How far a number can be trusted: complete, open, provisional, partial_left, missing, degraded (METRICS section 0)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from tidelake.contracts.table import literal
from tidelake.gold.context import Gold
from tidelake.gold.coverage import calendars, watermark
from tidelake.gold.sqltext import day_start, real
from tidelake.lake.ledger import JUDGED, LEDGER, one_of
from tidelake.metrics.periods import dates_between

Status = Literal["missing", "degraded", "open", "provisional", "partial_left", "complete"]
ORDER: tuple[Status, ...] = ("missing", "degraded", "open", "provisional", "partial_left", "complete")


@dataclass(frozen=True)
class Observed:
    """What is known of when the sources of a metric are complete.

    Attributes:
        watermark: The instant up to which all sources claim to be complete; None without any row.
        lateness: How long after it a row may still come.
        first: First local date with data; None without any.
        last: Last local date with data.
        days: What coverage says of single dates: `missing`, `degraded` or `partial_left`.
        behind: Dates whose rows came after the table was made from which the metric is read.
        at_best: What no number of the question is better than: the status of the cohorts that it names.
    """

    zone: ZoneInfo
    watermark: datetime | None
    lateness: timedelta
    first: date | None
    last: date | None
    days: Mapping[date, Status] = field(default_factory=dict)
    behind: frozenset[date] = frozenset()
    at_best: Status = "complete"

    def is_received(self, day: date) -> bool:
        """Whether a zero of this day is a value."""
        if self.first is None or self.last is None or not self.first <= day <= self.last:
            return False
        return self.days.get(day) != "missing"

    def is_behind(self, start: date, end: date) -> bool:
        """Whether a date from `start` up to, not including, `end` waits for a build: no value is known then."""
        return any(start <= day < end for day in self.behind)

    def of_day(self, day: date) -> Status:
        """The status of one local date."""
        if self.first is None or day < self.first:
            return "missing"
        timed: Status = "open" if day in self.behind else self._by_time(day + timedelta(days=1))
        return worst([self.days.get(day, "complete"), timed])

    def of_period(self, start: date, end: date) -> Status:
        """The status of a calendar period from `start` up to, not including, `end`.

        A period that was received in part is degraded; it is missing where no day of it was received.
        """
        days = list(dates_between(start, end - timedelta(days=1)))
        noted = [self.days.get(day) for day in days]
        if self.first is None or end <= self.first or all(status == "missing" for status in noted):
            return "missing"
        if "missing" in noted or "degraded" in noted:
            return "degraded"
        timed: Status = "open" if self.is_behind(start, end) else self._by_time(end)
        begins_inside = start < self.first or "partial_left" in noted
        return worst(["partial_left" if begins_inside else "complete", timed])

    def of_window(self, day: date, length: int) -> Status:
        """The status of the rolling window that ends on a date: the worst of its days."""
        if self.first is None or day < self.first:
            return "missing"
        days = [day - timedelta(days=offset) for offset in range(length)]
        found = [self.of_day(one) for one in days if one >= self.first]
        if days[-1] < self.first:
            found.append("partial_left")
        return worst(found)

    def of_window_in(self, day: date, length: int, start: date, end: date) -> Status:
        """The status of the rolling value of a date that stands for a period from `start` up to, not including, `end`.

        That of its window; while the period goes on another date may yet stand for it, whatever else befell its days.
        """
        timed: Status = "open" if self.is_behind(start, end) else self._by_time(end)
        return worst([self.of_window(day, length), timed])

    def _by_time(self, end: date) -> Status:
        instant = day_start(end, self.zone)
        if self.watermark is None or instant > self.watermark:
            return worst(["open", self.at_best])
        if instant > self.watermark - self.lateness:
            return worst(["provisional", self.at_best])
        return self.at_best


def worst(statuses: Iterable[Status]) -> Status:
    """The first in the order missing, degraded, open, provisional, partial_left, complete."""
    return min(statuses, key=ORDER.index)


def observe(gold: Gold, sources: Sequence[str]) -> Observed:
    """What the lake knows of these sources' completeness: the worst over them.

    `ops.watermarks` and `ops.coverage` say it; where they have no row, silver does: the largest event time
    is the watermark, and a date without any row of a source between its first and last is missing. A date whose
    files have more rows in quarantine than the contract allows is degraded.
    """
    found, mark = calendars(gold, sources), watermark(gold, sources)
    covered: dict[str, dict[date, Status]] = {
        name: {day: status for day, noted in calendar.noted.items() for status in ORDER if status == noted}
        for name, calendar in found.items()
    }
    for name in sources:
        for day in _failed(gold, name):
            covered[name][day] = worst(["degraded", covered[name].get(day, "complete")])
    days: dict[date, Status] = {}
    for noted in covered.values():
        for day, status in noted.items():
            days[day] = worst([status, days.get(day, "complete")])
    if len(sources) > 1:
        days = _parts(days, covered)
    return Observed(
        zone=gold.project.zone,
        watermark=mark.instant,
        lateness=mark.lateness,
        first=min((one.first for one in found.values() if one.first is not None), default=None),
        last=max((one.last for one in found.values() if one.last is not None), default=None),
        days=days,
        at_best=next(one for one in ORDER if one == gold.events.attributes.status),
    )


def _failed(gold: Gold, name: str) -> list[date]:
    """Dates whose rows failed the contract's gate: too large a share of their files' rows waits in quarantine."""
    limit = real(gold.sources[name].contract.max_quarantined_share)
    if gold.lake.version(LEDGER) is None:
        return []
    own = f"SELECT file_id, quarantined, {JUDGED} AS judged FROM {LEDGER} WHERE source = {literal(name)}"
    bad = gold.query(f"SELECT file_id FROM ({own}) AS told WHERE quarantined > {limit} * judged")
    if not bad:
        return []
    files = one_of("file_id", {row["file_id"] for row in bad})
    found = gold.query(
        f"SELECT event_date FROM (SELECT DISTINCT event_date, file_id FROM silver.{name} WHERE event_date IN "
        f"(SELECT event_date FROM silver.{name} WHERE {files})) AS held JOIN ({own}) AS told "
        f"ON told.file_id = held.file_id GROUP BY event_date HAVING sum(quarantined) > {limit} * sum(judged)"
    )
    return [row["event_date"] for row in found]


def _parts(days: Mapping[date, Status], covered: Mapping[str, Mapping[date, Status]]) -> dict[date, Status]:
    """A date that only some sources miss was received in part: degraded."""
    return {
        day: "degraded" if status == "missing" and any(of.get(day) != "missing" for of in covered.values()) else status
        for day, status in days.items()
    }
