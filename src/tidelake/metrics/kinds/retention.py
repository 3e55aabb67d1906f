"""Retention's SQL and its arithmetic of units: who enters when, in which later units each comes back (METRICS 5).

Small tables that the SELECTs name: `temp.retention_members` (one row a member: an actor, or where cohorts recur an
actor and the unit it entered in) and `temp.retention_cells` (one row a cell: the units it looks at).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from tidelake.gold.sqltext import day_start, micros
from tidelake.metrics.periods import next_period, period_start

Unit = Literal["hour", "day", "week", "month"]
HOUR = 3_600_000_000  # microseconds
LENGTHS = {"hour": HOUR, "day": 24 * HOUR, "week": 7 * 24 * HOUR, "month": 30 * 24 * HOUR}
_SHORTEST = {"hour": HOUR, "day": 23 * HOUR, "week": (7 * 24 - 1) * HOUR, "month": (28 * 24 - 1) * HOUR}
_WEEKS_FROM = {"monday": date(1600, 1, 3), "sunday": date(1600, 1, 2)}
_DAYS_FROM = date(1970, 1, 1)
SOURCES = ("entry", "new_or_existing", "signup_date", "first_seen")  # by their number in `temp.retention_members`


@dataclass(frozen=True)
class Clock:
    """Units as whole numbers, so that an index is a difference of two, over New Year and changes of the clock too.

    Attributes:
        is_elapsed: Units are exact durations since the entry, not those of the calendar.
    """

    unit: Unit
    week_start: Literal["monday", "sunday"]
    zone: ZoneInfo
    is_elapsed: bool = False

    @property
    def length(self) -> int:
        """Microseconds of a unit of exact time: a week is 7 times, a month 30 times 24 hours."""
        return LENGTHS[self.unit]

    @property
    def step(self) -> int:
        """What one unit adds to a member's position: 1 in the calendar, microseconds in exact time."""
        return self.length if self.is_elapsed else 1

    def number(self, day: str, instant: str) -> str:
        """SQL of the calendar unit's number, from a local date and microseconds since 1970."""
        if self.unit == "hour":
            return f"whole_divide({instant} + {self._shift}, {HOUR})"
        if self.unit == "day":
            return f"days_between(DATE '{_DAYS_FROM}', {day})"
        if self.unit == "week":
            return f"whole_divide(days_between(DATE '{_WEEKS_FROM[self.week_start]}', {day}), 7)"
        return f"CAST(extract(year FROM {day}) * 12 + extract(month FROM {day}) - 1 AS BIGINT)"

    def number_of(self, day: date, instant: datetime) -> int:
        """The same in Python."""
        if self.unit == "hour":
            return (in_micros(instant) + self._shift) // HOUR
        if self.unit == "day":
            return (day - _DAYS_FROM).days
        if self.unit == "week":
            return (day - _WEEKS_FROM[self.week_start]).days // 7
        return day.year * 12 + day.month - 1

    def first_date(self, number: int) -> date:
        """The local date on which a unit begins."""
        if self.unit == "hour":
            return self.local_date(timedelta(microseconds=number * HOUR - self._shift))
        if self.unit == "day":
            return _DAYS_FROM + timedelta(days=number)
        if self.unit == "week":
            return _WEEKS_FROM[self.week_start] + timedelta(days=7 * number)
        return date(number // 12, number % 12 + 1, 1)

    def local_date(self, since_1970: timedelta) -> date:
        return (datetime(1970, 1, 1, tzinfo=UTC) + since_1970).astimezone(self.zone).date()

    def begun_by(self, instant: datetime) -> int:
        """A position up to which units have ended by an instant."""
        if self.is_elapsed:
            return in_micros(instant)
        return self.number_of(instant.astimezone(self.zone).date(), instant)

    def whole_from(self, first: date) -> int:
        """The position from which on units begin within a history that begins on a date."""
        start = day_start(first, self.zone)
        if self.is_elapsed or self.unit in ("hour", "day"):
            return in_micros(start) if self.is_elapsed else self.number_of(first, start)
        grain: Literal["week", "month"] = "week" if self.unit == "week" else "month"
        begun = period_start(first, grain, self.week_start)
        return self.number_of(first if begun == first else next_period(begun, grain), start)

    def reach(self, ends: int) -> int:
        """How many calendar units after that of its entry a member's cells can lie, if they end at a position."""
        if not self.is_elapsed:
            return max(ends - 1, 0)
        return ends // _SHORTEST[self.unit] + 1

    @property
    def _shift(self) -> int:
        """Where hours of the zone do not begin with those of UTC: by how much (as it is in January 2020)."""
        offset = datetime(2020, 1, 1, tzinfo=self.zone).utcoffset() or timedelta()
        return micros(offset) % HOUR


@dataclass(frozen=True)
class Cell:
    """What one number of a cohort looks at.

    Attributes:
        number: Its place: the unit n, or the place of the bracket or duration.
        label: For people.
        low: First unit in which a return counts; of a duration: microseconds that it must pass.
        high: Last such unit; of a duration: microseconds that it may not pass.
        ends: Where it has ended for a member, from the member's position.
        starts: Where it begins.
    """

    number: int
    label: str
    low: int
    high: int
    ends: int
    starts: int


def in_micros(instant: datetime) -> int:
    """Microseconds since 1970."""
    return micros(instant - datetime(1970, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Plan:
    """How a question is put to the engine.

    Attributes:
        segments: Columns of `temp.retention_members` with the dimensions' values at entry.
        groups: For each, the SQL of what it is shown as.
        is_recurring: A member is an actor and the unit that it entered in, else an actor.
        is_matched: A return counts only with the values of the entry.
        limit: The position up to which units have ended.
        floor: The position from which on units begin within the history; None where every member's do.
        history: The first instant of the history, in microseconds.
        kinds: Key of `temp.retention_kinds`, whose rows stand for `weight` members each and are counted in their place.
    """

    clock: Clock
    cells: tuple[Cell, ...]
    segments: tuple[str, ...]
    groups: tuple[str, ...]
    is_recurring: bool
    is_matched: bool
    is_streak: bool
    is_by_unit: bool
    is_duration: bool
    limit: int
    floor: int | None
    history: int
    kinds: tuple[str, ...] = ()

    # --- conditions

    @property
    def position(self) -> str:
        return "anchor" if self.clock.is_elapsed else "unit_number"

    def ended(self, ends: str | int, prefix: str = "") -> str:
        """Whether a member's cell has ended."""
        return f"{prefix}{self.position} + {ends} <= {self.limit}"

    def seen(self, starts: str | int, prefix: str = "") -> str:
        """Whether a member's cell lies within the history; a member that came within it is seen from then on."""
        if self.floor is None:
            return "TRUE"
        return f"({prefix}anchor >= {self.history} OR {prefix}{self.position} + {starts} >= {self.floor})"

    @property
    def keys(self) -> tuple[str, ...]:
        if self.kinds:
            return self.kinds
        return ("actor_id", "unit_number") if self.is_recurring else ("actor_id",)

    @property
    def carried(self) -> tuple[str, ...]:
        """What is known of a member besides its key."""
        if self.kinds:
            return ("weight",)
        own = () if self.is_recurring else ("unit_number",)
        return (*own, "anchor", "cohort", "origin", *self.segments)

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns by which rows are grouped, as SQL: cohort, origin and segments."""
        return ("cohort", "origin", *(f"{sql} AS g{index}" for index, sql in enumerate(self.groups)))

    @property
    def grouped(self) -> tuple[str, ...]:
        return ("cohort", "origin", *self.groups)

    # --- who comes back

    def hits(self, returns: str, ties: str | None, *, is_again: str = "returns.last_time > members.after") -> str:
        """SELECT of the units in which members came back: one row a member and index `place`.

        Args:
            returns: Rows with actor_id, unit_number and, in the calendar, what `is_again` names (one row an actor
                and unit); in exact time `at_micros` (one row an event).
            ties: SELECT of the members that come back at the instant of their entry.
            is_again: Whether a return lies after its member's entry.
        """
        first, last = self.span
        steps = f"CROSS JOIN (SELECT unnest(integer_list(0, {self._reach()})) AS ahead) AS steps "
        matched = "".join(f" AND returns.{name} = members.{name}" for name in self.segments) if self.is_matched else ""
        joined = (
            f"FROM ({returns}) AS returns {steps if self.is_recurring else ''}JOIN temp.retention_members AS members "
            "ON members.actor_id = returns.actor_id"
            + (" AND members.unit_number = returns.unit_number - steps.ahead" if self.is_recurring else "")
            + matched
        )
        member = ", ".join(f"members.{name} AS {name}" for name in (*self.keys, *self.carried))
        if self.is_duration:
            after = "returns.at_micros - members.anchor"
            joined += " CROSS JOIN temp.retention_cells AS cells"
            place = "cells.cell AS place"
            wanted = f"{is_again} AND {after} > cells.low AND {after} <= cells.high"
        elif self.clock.is_elapsed:
            index = f"whole_divide(returns.at_micros - members.anchor, {self.clock.length})"
            place, wanted = f"{index} AS place", f"{is_again} AND {index} BETWEEN {first} AND {last}"
        else:
            index = "returns.unit_number - members.unit_number"
            place, wanted = f"{index} AS place", f"{is_again} AND {index} BETWEEN {first} AND {last}"
        rows = f"SELECT {member}, {place} {joined} WHERE {wanted}"
        if ties is None and not self.clock.is_elapsed:
            return rows  # one row an actor and unit came in, so none stands twice
        if ties is not None and first == 0 and not self.is_duration:
            rows += f" UNION ALL SELECT {', '.join((*self.keys, *self.carried))}, 0 AS place FROM ({ties}) AS tied"
        known = ", ".join(f"min({name}) AS {name}" for name in self.carried)
        keys = ", ".join(self.keys)
        return f"SELECT {keys}, {known}, place FROM ({rows}) AS found GROUP BY {keys}, place"

    def reached(self, hits: str) -> str:
        """SELECT of the cells that members are in the numerator of: one row a member and `cell`, ended or not."""
        names = ", ".join((*self.keys, *self.carried))
        if self.is_duration:
            return (
                f"SELECT {names}, cells.cell, cells.ends, cells.starts FROM ({hits}) AS hits "
                "JOIN temp.retention_cells AS cells ON cells.cell = hits.place"
            )
        if self.is_streak:
            ordered = f"PARTITION BY {', '.join(self.keys)} ORDER BY place"
            hits = (
                f"SELECT * FROM (SELECT {names}, place, row_number() OVER ({ordered}) AS streak "
                f"FROM ({hits}) AS hits) AS runs WHERE place = streak"
            )
        if self.is_by_unit:
            step = self.clock.step
            return (
                f"SELECT {names}, place AS cell, (place + 1) * {step} AS ends, "
                f"{step if self.is_streak else f'place * {step}'} AS starts FROM ({hits}) AS hits"
            )
        known = ", ".join(f"min({name}) AS {name}" for name in (*self.carried, "ends", "starts"))
        return (
            f"SELECT {', '.join(self.keys)}, {known}, cell FROM (SELECT {names}, cells.cell, cells.ends, cells.starts "
            f"FROM ({hits}) AS hits JOIN temp.retention_cells AS cells ON hits.place BETWEEN cells.low AND cells.high"
            f") AS held GROUP BY {', '.join(self.keys)}, cell"
        )

    @property
    def span(self) -> tuple[int, int]:
        """The first and last index that any cell looks at."""
        first = 1 if self.is_streak else min(cell.low for cell in self.cells)
        return first, max(cell.high for cell in self.cells)

    def _reach(self) -> int:
        if self.is_duration:
            return self.clock.reach(max(cell.high for cell in self.cells))
        return self.clock.reach((self.span[1] + 1) * self.clock.step)

    # --- counts

    @property
    def _one(self) -> str:
        """How many members a row stands for."""
        return "weight" if self.kinds else "1"

    def numerators(self, reached: str) -> str:
        """By cohort, segment and cell: members that came back, of those whose cell has ended and of the others."""
        ended, seen = self.ended("ends"), self.seen("starts")
        one = self._one
        return (
            f"SELECT {', '.join(self.shown)}, cell, "
            f"CAST(sum(CASE WHEN {ended} AND {seen} THEN {one} ELSE 0 END) AS BIGINT) AS numerator, "
            f"CAST(sum(CASE WHEN {ended} THEN 0 ELSE {one} END) AS BIGINT) AS numerator_so_far "
            f"FROM ({reached}) AS reached GROUP BY {', '.join(self.grouped)}, cell"
        )

    def sizes(self) -> str:
        """By cohort and segment: members, and how many of them are eligible (`d0` ...) or have ended (`e0` ...)."""
        one = self._one
        parts = [
            f"CAST(sum(CASE WHEN {self.ended(cell.ends)} AND {self.seen(cell.starts)} THEN {one} ELSE 0 END) "
            f"AS BIGINT) AS d{index}"
            for index, cell in enumerate(self.cells)
        ]
        if self.floor is not None:
            parts += [
                f"CAST(sum(CASE WHEN {self.ended(cell.ends)} THEN {one} ELSE 0 END) AS BIGINT) AS e{index}"
                for index, cell in enumerate(self.cells)
            ]
        size = "CAST(sum(weight) AS BIGINT)" if self.kinds else "count(*)"
        actors = "count(DISTINCT actor_id)" if self.is_recurring else size
        first, last = ("first_entry", "last_entry") if self.kinds else ("entry_date", "entry_date")
        return (
            f"SELECT {', '.join(self.shown)}, {size} AS size, {actors} AS actors, min({first}) AS first_entry, "
            f"max({last}) AS last_entry, {', '.join(parts)} "
            f"FROM temp.retention_{'kinds' if self.kinds else 'members'} GROUP BY {', '.join(self.grouped)}"
        )

    def moments(self, reached: str, *, is_pooled: bool) -> str:
        """What the delta method needs, over actors: by cohort and cell, or over `temp.retention_complete` by cell."""
        names = self.shown[1:] if is_pooled else self.shown
        listed = ", ".join(name.rsplit(" AS ", maxsplit=1)[-1] for name in names)
        on = " AND ".join(f"hits.{name} = eligible.{name}" for name in self.keys)
        members = (
            f"SELECT {', '.join((*self.keys, *self.shown))}, cells.cell FROM temp.retention_members AS members "
            f"CROSS JOIN temp.retention_cells AS cells "
            f"WHERE {self.ended('cells.ends', 'members.')} AND {self.seen('cells.starts', 'members.')}"
        )
        if is_pooled:
            same = ["complete.cohort = every.cohort", "complete.origin = every.origin", "complete.cell = every.cell"]
            same += [f"complete.g{index} = every.g{index}" for index in range(len(self.groups))]
            members = (
                f"SELECT every.* FROM ({members}) AS every JOIN temp.retention_complete AS complete "
                f"ON {' AND '.join(same)}"
            )
        return (
            f"SELECT {listed}, cell, count(*) AS actors, CAST(sum(y) AS BIGINT) AS y, CAST(sum(x) AS BIGINT) AS x, "
            f"CAST(sum(y * y) AS BIGINT) AS yy, CAST(sum(x * y) AS BIGINT) AS xy, CAST(sum(x * x) AS BIGINT) AS xx "
            f"FROM (SELECT {listed}, eligible.cell, eligible.actor_id, count(*) AS x, "
            "sum(CASE WHEN hits.cell IS NULL THEN 0 ELSE 1 END) AS y "
            f"FROM ({members}) AS eligible LEFT JOIN (SELECT {', '.join(self.keys)}, cell FROM ({reached}) AS reached) "
            f"AS hits ON {on} AND hits.cell = eligible.cell GROUP BY {listed}, eligible.cell, eligible.actor_id) "
            f"AS by_actor GROUP BY {listed}, cell"
        )

    def members(self, reached: str, cell: Cell, labels: Sequence[str]) -> str:
        """One row a member of each cohort: whether it is in the numerator and in the denominator of a cell."""
        on = " AND ".join(f"hits.{name} = members.{name}" for name in self.keys)
        shown = "".join(f', members.g{index} AS "{label}"' for index, label in enumerate(labels))
        eligible = f"({self.ended(cell.ends)} AND {self.seen(cell.starts)})"
        own = (
            f"SELECT {', '.join((*self.keys, *self.shown))}, entry_date, {eligible} AS is_eligible "
            "FROM temp.retention_members"
        )
        return (
            f"SELECT members.cohort AS cohort_start, CASE members.origin {_whens()} END AS cohort_source{shown}, "
            f"members.actor_id, members.entry_date, members.is_eligible AS in_denominator, "
            f"members.is_eligible AND hits.cell IS NOT NULL AS in_numerator FROM ({own}) AS members "
            f"LEFT JOIN (SELECT {', '.join(self.keys)}, cell FROM ({reached}) AS reached WHERE cell = {cell.number}) "
            f"AS hits ON {on} ORDER BY cohort_start, cohort_source, actor_id, entry_date"
        )


def _whens() -> str:
    return " ".join(f"WHEN {number} THEN '{name}'" for number, name in enumerate(SOURCES))
