"""Funnels: how many of those who began came how far, within a window (METRICS section 8)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import combinations
from typing import Any

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.contracts.table import quoted
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import date_literal, day_start, micros, one_of
from tidelake.metrics.answer import answer, number_fields, version_of, within_one
from tidelake.metrics.choosing import Which, event_rows
from tidelake.metrics.dimensions import UNKNOWN, fact_dimensions, segment
from tidelake.metrics.funnel_definition import Funnel, words
from tidelake.metrics.intervals import Bounds, moments_bounds, wilson
from tidelake.metrics.kinds.funnel import (
    Chain,
    attempts_sql,
    best_counts_sql,
    counts_sql,
    entries_sql,
    latest_entries_sql,
    members_sql,
    moments_sql,
    places_sql,
    touched_sql,
)
from tidelake.metrics.periods import Grain, next_period, period_start
from tidelake.metrics.status import Observed, Status, observe, worst

SEGMENT_LIMIT = 50
OTHER = "(other)"
NOT_REACHED = "(not reached)"
WAITING = "(open)"
_DAY = timedelta(days=1)


def funnel(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Funnel,
    *,
    by: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
    grain: str | None = None,
    segment_limit: int = SEGMENT_LIMIT,
) -> Result:
    """How far those came who entered a funnel.

    Args:
        engine: Runs the SELECT.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        definition: The funnel.
        by: Columns whose values get rows of their own, by `touch`; each unit is in one segment.
        start: First local date of an entry; later steps may lie after the last one.
        end: Last local date of an entry.
        where: SQL over silver's columns: only events for which it is true.
        grain: day, week or month of the entry, in each of which a unit counts once; None = the whole range.
        segment_limit: Values of a dimension that get rows of their own.

    Returns:
        One row a period, segment and step. `numerator`: units that reached the step, `denominator`: units that
        entered, `value`: their ratio, `step_value`: that to the step before. `seconds_median` and `seconds_p90` from
        the entry to the step, of those who reached it. `open_entries`: entries whose window has not ended, which
        count nowhere else. Intervals: Wilson where an actor counts once, else by the delta method over actors.

    Raises:
        UnknownNameError: A dimension, held column or event that is not there.
        DefinitionError: One event may fill two steps where the order of steps does not tell which.
        QueryError: A condition is not portable.
    """
    gold = open_gold(engine, lake, project, sources)
    question = _Question.ask(gold, definition, by, start, end, where, grain)
    return question.answer(segment_limit)


def funnel_members(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Funnel,
    *,
    by: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
    grain: str | None = None,
) -> Result:
    """The actors behind the numbers of `funnel`.

    Returns:
        One row per period, segment, step and actor who entered: `in_numerator` and `in_denominator` are how often it
        counts there, so that their sums are the numbers.
    """
    gold = open_gold(engine, lake, project, sources)
    return _Question.ask(gold, definition, by, start, end, where, grain).members()


@dataclass(frozen=True)
class _Question:
    gold: Gold
    definition: Funnel
    by: tuple[str, ...]
    where: str | None
    grain: Grain | None
    observed: Observed
    start: date | None
    end: date | None
    made: list[str] = field(default_factory=list)

    @classmethod
    def ask(
        cls,
        gold: Gold,
        definition: Funnel,
        by: Sequence[str],
        start: date | None,
        end: date | None,
        where: str | None,
        grain: str | None,
    ) -> _Question:
        by = (by,) if isinstance(by, str) else tuple(by)
        chosen = checked_grain(grain)
        known = fact_dimensions(gold, "event")
        if gold.events.sources:
            if where is not None:
                Which(where=where).check(gold)
            for name in by:
                if name not in known:
                    raise UnknownNameError("dimension", name, known)
            for name in definition.hold:
                if name not in gold.events.types:
                    raise UnknownNameError("column", name, gold.events.types, where="hold")
        if len(set(by)) != len(by):
            raise DefinitionError(f"A dimension is named twice: {', '.join(by)}.")
        observed = observe(gold, [source.name for source in gold.events.sources])
        first, last = start or observed.first, end or observed.last
        if first is not None and last is not None and chosen is not None:
            week = gold.project.week_start
            first = period_start(first, chosen, week)
            last = next_period(period_start(last, chosen, week), chosen) - _DAY
        if observed.first is None:
            first = last = None
        return cls(gold, definition, by, where, chosen, observed, first, last)

    # --- what is asked, as SQL

    @property
    def chain(self) -> Chain:
        asked = self.definition
        steps = len(asked.steps)
        gaps = {f"x{index}": range(one.after, one.before or steps) for index, one in enumerate(asked.exclude, start=1)}
        return Chain(
            steps=steps,
            window=micros(asked.window),
            order=asked.order,
            simultaneity=micros(asked.simultaneity),
            gaps=gaps if asked.order == "ordered" else {},
            held=tuple(f"h{index}" for index in range(len(asked.hold))),
            carried=tuple(self.segments),
            needs_places=self._is_touched,
        )

    @property
    def segments(self) -> list[str]:
        return [f"s{index}" for index in range(len(self.by))]

    @property
    def _is_touched(self) -> bool:
        return bool(self.by) and self.definition.touch not in ("entry", 1)

    def _placed(self) -> str:
        """The chosen events in their places."""
        return places_sql(self.chain, self._flagged(), order=self.gold.events.order("event_time"))

    def _flagged(self) -> str:
        """The chosen events, with a flag a step and an exclusion, and the columns that are held and cut by."""
        assert self.start is not None
        assert self.end is not None
        asked = self.definition
        flags = {f"f{index}": step for index, step in enumerate(asked.steps, start=1)}
        flags |= {name: one.which for name, one in zip(self.chain.gaps or {}, asked.exclude, strict=False)}
        if asked.order == "strict":
            flags["tracked"] = Which()
        before = timedelta(days=math.ceil(asked.simultaneity / _DAY))
        after = timedelta(days=math.ceil(asked.window / _DAY) + 1)
        rows = event_rows(
            self.gold,
            flags,
            columns=list(dict.fromkeys([*asked.hold, *self.by])),
            where=self.where,
            first=self.start - before,
            last=self.end + after,
        )
        held = "".join(f", {quoted(name)} AS h{index}" for index, name in enumerate(asked.hold))
        values = ""
        for index, name in enumerate(self.by):
            values += f", {f'CAST({quoted(name)} AS VARCHAR)' if self._is_touched else segment(name)} AS s{index}"
        return f"SELECT *{held}{values} FROM ({rows}) AS flagged"

    def _attempts(self, placed: str) -> str:
        assert self.start is not None
        assert self.end is not None
        entries = entries_sql(self.chain, placed, within=self._within, closed_until=self._closed_until)
        counted = self.definition.count
        per = [] if counted == "entry" else ["actor_id", *(self.chain.held if counted == "held" else ())]
        return attempts_sql(self.chain, entries, period=self._period, per=per, attempt=self.definition.attempt)

    @property
    def _within(self) -> str:
        """Condition for the dates of entries."""
        assert self.start is not None
        assert self.end is not None
        return f"event_date BETWEEN {date_literal(self.start)} AND {date_literal(self.end)}"

    @property
    def _is_plain(self) -> bool:
        """Whether the quick way answers: every actor's best attempt in one ordered funnel."""
        asked = self.definition
        is_whole = not self.by and self.grain is None and not asked.hold
        is_plain = asked.order == "ordered" and not asked.simultaneity and not asked.exclude
        return is_whole and is_plain and asked.attempt == "best" and asked.count == "actor"

    def _plain_sql(self, reached: str) -> str:
        return best_counts_sql(
            self.chain,
            reached,
            self._flagged(),
            within=self._within,
            closed_until=self._closed_until,
            period=self._period,
        )

    def _latest(self, rows: str, order: str) -> str:
        closed = f"t <= {self._closed_until - self.chain.window}"
        return latest_entries_sql(self.chain, rows, entry=f"f1 AND {self._within} AND {closed}", order=order)

    def _plain(self) -> tuple[str, list[dict[str, Any]]]:
        """What `counts_sql` gives, with the SELECT that says how.

        Sorting by time alone takes half as long as by the whole order, so only actors with events of different steps
        at one instant are sorted by the whole order.
        """
        rows, order = self._flagged(), self.gold.events.order("event_time")
        reached = self._aside("reached", self._latest(rows, "mark"))
        found = f"SELECT * FROM {reached} AS reached"
        tied = self._aside("tied", f"SELECT DISTINCT actor_id FROM {reached} AS reached WHERE is_tied")
        if self.gold.query(f"SELECT count(*) AS n FROM {tied} AS tied")[0]["n"]:
            among = f"(SELECT actor_id FROM {tied})"
            again = self._aside("again", self._latest(f"SELECT * FROM ({rows}) AS r WHERE actor_id IN {among}", order))
            found += f" WHERE actor_id NOT IN {among} UNION ALL SELECT * FROM {again} AS again"
        return self._plain_sql(self._latest(rows, order)), self.gold.query(self._plain_sql(found))

    @property
    def _period(self) -> str:
        assert self.start is not None
        if self.grain == "day":
            return "event_date"
        if self.grain == "week":
            return f"week_start(event_date, '{self.gold.project.week_start}')"
        return "month_start(event_date)" if self.grain == "month" else date_literal(self.start)

    @property
    def _closed_until(self) -> int:
        """Microseconds up to which all is known; a window that ends later is open."""
        mark = self.observed.watermark
        return micros(mark - self.observed.lateness - _EPOCH) if mark is not None else 0

    def _prepared(self) -> str:
        """A SELECT of the attempts; what is read more than once is put aside first."""
        placed = self._placed()
        if self._needs_check():
            placed = self._aside("events", placed)
            self._check_steps(placed)
        elif self._is_touched:
            placed = self._aside("events", placed)
        attempts = self._attempts(placed)
        if not self._is_touched:
            return attempts
        chosen = self._aside("attempts", attempts)
        touch = self.definition.touch
        touched = touched_sql(self.chain, chosen, placed, self.segments, touch, never=NOT_REACHED, waiting=WAITING)
        names = ", ".join(f"coalesce({name}, '{UNKNOWN}') AS {name}" for name in self.segments)
        return f"SELECT * EXCLUDE ({', '.join(self.segments)}), {names} FROM ({touched}) AS touched"

    def _aside(self, name: str, sql: str) -> str:
        table = f"funnel_{name}"
        self.gold.temp(table, sql)
        self.made.append(table)
        return f"temp.{table}"

    def _needs_check(self) -> bool:
        """Whether one event could fill two steps where that would matter."""
        asked = self.definition
        if asked.order != "any" and not asked.simultaneity:
            return False
        pairs = combinations(asked.steps, 2)
        return any(not one.event or not two.event or set(one.event) & set(two.event) for one, two in pairs)

    def _check_steps(self, placed: str) -> None:
        several = " + ".join(f"CASE WHEN {flag} THEN 1 ELSE 0 END" for flag in self.chain.flags)
        found = self.gold.query(f"SELECT count(*) AS n FROM {placed} AS events WHERE {several} > 1")[0]["n"]
        if found:
            what = "order any" if self.definition.order == "any" else "simultaneity"
            raise DefinitionError(
                f"{found} events are of more than one step, and with {what} it is not clear which one they fill.",
                hint="Give the steps conditions that leave each event to one of them, or use order ordered.",
            )

    # --- answers

    def answer(self, limit: int) -> Result:
        try:
            return self._answer(limit)
        finally:
            self.gold.forget(*self.made)

    def _answer(self, limit: int) -> Result:
        if self.start is None or self.end is None:
            return self._result([], "", ["The lake holds no events yet."])
        said, bounds = list[str](), {}
        if self._is_plain:
            sql, found = self._plain()
        else:
            attempts = self._prepared()
            sql = counts_sql(self.chain, attempts, self.segments)  # for the reader, who has no tables put aside
            if self.by:
                attempts, said = self._limited(attempts, limit)
            found = self.gold.query(counts_sql(self.chain, attempts, self.segments))
            bounds = self._moments(attempts) if self.definition.count != "actor" else {}
        self._check_names(found)
        return self._result(self._rows(found, bounds), sql, [*self._notes(found), *said])

    def members(self) -> Result:
        """One row per cell and actor."""
        try:
            if self.start is None:
                return Result(pa.table({"actor_id": pa.array([], pa.string())}), title="Members")
            sql = members_sql(self.chain, self._prepared(), self.segments)
            table = self.gold.engine.query(sql)
        finally:
            self.gold.forget(*self.made)
        named = dict(zip(self.segments, self.by, strict=True))
        names = [named.get(name, name) for name in table.column_names]
        kinds = [
            pa.field(name, pa.int64()) if name in ("step", "in_numerator", "in_denominator") else column.with_name(name)
            for name, column in zip(names, table.schema, strict=True)
        ]
        return Result(table.rename_columns(names).cast(pa.schema(kinds)), sql=sql, title=f"Members of {self._title}")

    def _limited(self, attempts: str, limit: int) -> tuple[str, list[str]]:
        """The attempts with the smallest values of each dimension put together, and what to say of it."""
        attempts = f"SELECT * FROM {self._aside('cut', attempts)} AS cut"
        said = []
        for index, name in enumerate(self.by):
            column = f"s{index}"
            top = self.gold.query(
                f"SELECT {column} AS segment, count(*) AS weight FROM ({attempts}) AS attempts "
                f"GROUP BY {column} ORDER BY weight DESC, segment"
            )
            if len(top) <= limit:
                continue
            kept = one_of(column, [row["segment"] for row in top[:limit]])
            attempts = (
                f"SELECT * EXCLUDE ({column}), CASE WHEN {kept} THEN {column} ELSE '{OTHER}' END AS {column} "
                f"FROM ({attempts}) AS attempts_{index}"
            )
            said.append(f"{name} has {len(top)} values: the {limit} largest are shown, the others are {OTHER}.")
        return attempts, said

    def _moments(self, attempts: str) -> dict[tuple[Any, ...], dict[str, Any]]:
        found = self.gold.query(moments_sql(self.chain, attempts, self.segments))
        return {(row["period_start"], *(row[name] for name in self.segments)): row for row in found}

    def _check_names(self, found: Sequence[Mapping[str, Any]]) -> None:
        """Raise for a step's event that the lake has never seen, where a step was never reached."""
        steps = range(1, self.chain.steps + 1)
        if all(any(row[f"n{step}"] for row in found) for step in steps):
            return
        check_event_names(self.gold, [*self.definition.steps, *(one.which for one in self.definition.exclude)])

    # --- rows

    def _rows(
        self, found: Sequence[Mapping[str, Any]], moments: Mapping[tuple[Any, ...], Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        keyed = {(row["period_start"], *(row[name] for name in self.segments)): row for row in found}
        segments = sorted({key[1:] for key in keyed}) if self.by else [()]
        rows = []
        for period, after in self._periods():
            status = self._status(period, after)
            for values in segments:
                row = keyed.get((period, *values))
                cell = {"period_start": period, "grain": self.grain or "range", "status": status}
                cell |= dict(zip(self.by, values, strict=True))
                rows += self._steps(cell, row, moments.get((period, *values)))
        return rows

    def _steps(
        self, cell: Mapping[str, Any], row: Mapping[str, Any] | None, moments: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        rows = []
        is_known = cell["status"] != "missing"
        counts = [int(row[f"n{step}"]) if row else 0 for step in range(1, self.chain.steps + 1)]
        for step, which in enumerate(self.definition.steps, start=1):
            reached, entered = counts[step - 1], counts[0]
            before = counts[step - 2] if step > 1 else entered
            low, high = self._bounds(step, reached, entered, moments)
            rows.append(
                {
                    **cell,
                    "step": step,
                    "step_name": _any_name(step) if self.definition.order == "any" else str(which),
                    "value": reached / entered if entered and is_known else None,
                    "step_value": reached / before if before and is_known else None,
                    "numerator": float(reached) if is_known else None,
                    "denominator": float(entered) if is_known else None,
                    "n": entered if is_known else None,
                    "ci_low": low,
                    "ci_high": high,
                    "seconds_median": row[f"median{step}"] if row and step > 1 else None,
                    "seconds_p90": row[f"p90_{step}"] if row and step > 1 else None,
                    "open_entries": (int(row["open_entries"]) if row else 0) if is_known else None,
                }
            )
        return rows

    def _bounds(self, step: int, reached: int, entered: int, moments: Mapping[str, Any] | None) -> Bounds:
        if step == 1:
            return None, None
        if self.definition.count == "actor":
            return wilson(reached, entered)
        if moments is None:
            return None, None
        yy, xy, xx = (float(moments[name]) for name in (f"yy{step}", f"xy{step}", "xx"))
        _, bounds = moments_bounds(int(moments["actors"]), float(reached), float(entered), yy, xy, xx)
        return within_one(bounds)

    def _periods(self) -> list[tuple[date, date]]:
        """Every period and the first date after it."""
        assert self.start is not None
        assert self.end is not None
        if self.grain is None:
            return [(self.start, self.end + _DAY)]
        found, first = [], self.start
        while first <= self.end:
            found.append((first, next_period(first, self.grain)))
            first = found[-1][1]
        return found

    def _status(self, first: date, after: date) -> Status:
        """That of the dates of the entries, and whether the windows of all of them have ended."""
        return status_with_window(self.observed, first, after, self.definition.window)

    def _notes(self, found: Sequence[Mapping[str, Any]]) -> list[str]:
        asked = self.definition
        notes = []
        waiting = sum(int(row["open_entries"]) for row in found)
        if waiting:
            what = "1 entry is" if waiting == 1 else f"{waiting:,} entries are"
            notes.append(f"{what} open: the window of {words(asked.window)} has not ended, so left out of the rates.")
        if asked.hold and not any(row["n1"] or row["open_entries"] for row in found):
            notes.append(f"No entry has a value of {', '.join(asked.hold)}, which is to be the same in all steps.")
        if asked.order == "any":
            notes.append("An entry is the first event of any step; a row says how many did so many different steps.")
        if asked.attempt == "first":
            notes.append("Only the first entry of each counts (attempt first).")
        return notes

    @property
    def _title(self) -> str:
        by = f" by {', '.join(self.by)}" if self.by else ""
        asked = self.definition
        return f"{asked.title or asked.name.capitalize()}{by}, window {words(asked.window)}"

    def _result(self, rows: Sequence[Mapping[str, Any]], sql: str, notes: Sequence[str]) -> Result:
        numbers = number_fields("share")
        fields = [
            pa.field("period_start", pa.date32()),
            pa.field("grain", pa.string()),
            *(pa.field(name, pa.string()) for name in self.by),
            pa.field("step", pa.int64()),
            pa.field("step_name", pa.string()),
            *numbers,
            pa.field("step_value", pa.float64(), metadata={"unit": "share"}),
            pa.field("seconds_median", pa.float64(), metadata={"unit": "s"}),
            pa.field("seconds_p90", pa.float64(), metadata={"unit": "s"}),
            pa.field("open_entries", pa.int64()),
        ]
        return answer(
            self.gold,
            rows,
            fields,
            name=self.definition.name,
            version=version_of(self.gold, self.definition),
            observed=self.observed,
            sql=sql,
            tables=self.gold.events.inputs,
            title=self._title,
            notes=notes,
        )


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _any_name(step: int) -> str:
    return "1 step" if step == 1 else f"{step} steps"


def checked_grain(grain: str | None) -> Grain | None:
    """The grain of this name.

    Raises:
        UnknownNameError: There is none.
    """
    for known in ("day", "week", "month"):
        if grain == known:
            return known
    if grain is not None:
        raise UnknownNameError("grain", grain, ("day", "week", "month"))
    return None


def check_event_names(gold: Gold, asked: Sequence[Which]) -> None:
    """Raise for names that no event of the lake has.

    Raises:
        UnknownNameError: There is no such event.
    """
    named = {name for which in asked for name in which.event}
    if not named or not gold.events.sources:
        return
    rows = gold.events.select(columns=[], everything=True)
    known = {row["event_name"] for row in gold.query(f"SELECT DISTINCT event_name FROM ({rows}) AS events")}
    for name in sorted(named):
        if name not in known:
            raise UnknownNameError("event", name, [one for one in known if one])


def status_with_window(observed: Observed, first: date, after: date, window: timedelta) -> Status:
    """The status of entries from `first` up to, not including, `after`, whose windows must have ended."""
    own = observed.of_period(first, after)
    if own == "missing":
        return own
    end = day_start(after, observed.zone) + window
    found = [own]
    if observed.watermark is None or end > observed.watermark:
        found.append("open")
    elif end > observed.watermark - observed.lateness:
        found.append("provisional")
    day = after
    while day_start(day, observed.zone) < end:
        if observed.days.get(day) in ("missing", "degraded"):
            found.append("degraded")
        day += _DAY
    return worst(found)
