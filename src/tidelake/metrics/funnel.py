"""Funnels: how many of those who began came how far, within a window (METRICS section 8)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Unpack

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.contracts.table import quoted
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import day_start, micros, one_of
from tidelake.metrics.answer import within_one
from tidelake.metrics.choosing import Which, check_event_names, event_rows, may_overlap
from tidelake.metrics.dimensions import UNKNOWN, check_by, fact_dimensions, segment
from tidelake.metrics.event_question import EPOCH, NO_EVENTS, EventQuestion, Key
from tidelake.metrics.funnel_definition import Funnel, words
from tidelake.metrics.funnel_sessions import SESSION, beside_sessions, session_names, session_values
from tidelake.metrics.intervals import Bounds, moments_bounds, wilson
from tidelake.metrics.kinds.funnel import (
    Chain,
    attempts_sql,
    counts_sql,
    entries_sql,
    members_sql,
    moments_sql,
    places_sql,
    seconds_sql,
    touched_sql,
)
from tidelake.metrics.kinds.funnel_stream import (
    BROKEN,
    Stream,
    again_sql,
    best_attempts_sql,
    best_counts_sql,
    best_seconds_sql,
)
from tidelake.metrics.levels import by_level, refuse_level
from tidelake.metrics.narrowing import Narrowing
from tidelake.metrics.quantile_bounds import median_bounds, places_of_actors

SEGMENT_LIMIT = 50
OTHER = "(other)"
NOT_REACHED = "(not reached)"
WAITING = "(open)"
_DAY = timedelta(days=1)


@by_level
def funnel(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Funnel,
    *,
    segment_limit: int = SEGMENT_LIMIT,
    **narrowed: Unpack[Narrowing],
) -> Result:
    """How far those came who entered a funnel.

    Args:
        engine: Runs the SELECT.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        definition: The funnel.
        segment_limit: Values of a dimension that get rows of their own.
        narrowed: `by` the values by `touch`, so that each unit is in one segment; dates and `grain` of the entry, in
            each period of which a unit counts once: later steps may lie after the last date.

    Returns:
        One row a period, segment and step. `numerator`: units that reached the step, `denominator`: units that
        entered, `value`: their ratio, `step_value`: that to the step before. `seconds_median` (with its 95 % bounds,
        `_low` and `_high`, null where few rows cannot give them) and `seconds_p90` from the entry to the step, of
        those who reached it. `open_entries`: entries whose window has not ended, which
        count nowhere else. Intervals: Wilson where an actor counts once, else by the delta method over actors.

    Raises:
        UnknownNameError: A dimension, held column or event that is not there.
        DefinitionError: One event may fill two steps where the order of steps does not tell which.
        QueryError: A condition is not portable.
    """
    return _Question.ask(engine, lake, project, sources, definition, **narrowed).answer(segment_limit)


@by_level
def funnel_members(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Funnel,
    **narrowed: Unpack[Narrowing],
) -> Result:
    """The actors behind the numbers of `funnel`.

    Returns:
        One row per period, segment, step and actor who entered: `in_numerator` and `in_denominator` are how often it
        counts there, so that their sums are the numbers.
    """
    return _Question.ask(engine, lake, project, sources, definition, **narrowed).members()


@dataclass(frozen=True)
class _Question(EventQuestion[Funnel]):
    made: list[str] = field(default_factory=list)

    def check(self) -> None:
        if self.where is not None:
            Which(where=self.where).check(self.gold)
        check_by(self.gold, self.by, fact_dimensions(self.gold, "event"))
        refuse_level(self.gold, "columns of sessions", when=bool(self._of_sessions))
        known = [*self.gold.events.types, SESSION, *session_names(self.gold)]
        for name in self.definition.hold:
            if name not in known:
                raise UnknownNameError("column", name, known, where="hold")

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
            columns=[name for name in dict.fromkeys([*asked.hold, *self.by]) if name not in self._of_sessions],
            where=self.where,
            first=self.start - before,
            last=self.end + after,
        )
        if self._of_sessions:
            if "funnel_sessions" not in self.made:
                held = session_values(self.gold, self._of_sessions, self.start - before, self.end + after)
                self._aside("sessions", held)
            rows = beside_sessions(self.gold, rows, self._of_sessions, "temp.funnel_sessions")
        held = "".join(f", {quoted(name)} AS h{index}" for index, name in enumerate(asked.hold))
        values = ""
        for index, name in enumerate(self.by):
            values += f", {f'CAST({quoted(name)} AS VARCHAR)' if self._is_touched else segment(name)} AS s{index}"
        return f"SELECT *{held}{values} FROM ({rows}) AS flagged"

    @property
    def _of_sessions(self) -> list[str]:
        """What is held that sessions have, and no event."""
        return [name for name in self.definition.hold if name not in self.gold.events.types]

    def _attempts(self, placed: str) -> str:
        entries = entries_sql(self.chain, placed, within=self._within, closed_until=self.closed_until)
        counted = self.definition.count
        per = [] if counted == "entry" else ["actor_id", *(self.chain.held if counted == "held" else ())]
        return attempts_sql(
            self.chain, entries, period=self.period_of("event_date"), per=per, attempt=self.definition.attempt
        )

    @property
    def _within(self) -> str:
        """Condition for the dates of entries."""
        return self.within_dates("event_date")

    @property
    def _is_plain(self) -> bool:
        """Whether the quick way answers: every actor's best attempt in one ordered funnel."""
        asked = self.definition
        if not self.gold.engine.capabilities.ordered_windows:
            return False
        is_whole = not self.by and self.grain is None and not asked.hold
        is_plain = asked.order == "ordered" and not asked.simultaneity and not asked.exclude
        return is_whole and is_plain and asked.attempt == "best" and asked.count == "actor"

    def _plain(self) -> list[dict[str, Any]] | None:
        """What `counts_sql` gives, in one sort by time; None where it cannot be told so.

        Actors with events of different steps at one instant are looked at again, in the whole order.
        """
        assert self.start is not None
        assert self.end is not None
        asked = self.definition
        chosen = {f"f{index}": step for index, step in enumerate(asked.steps, start=1)}
        last = self.end + timedelta(days=math.ceil(asked.window / _DAY) + 1)
        read = partial(event_rows, self.gold, where=self.where, first=self.start)
        codes = self._aside(
            "codes",
            "SELECT actor_id, row_number() OVER () AS code FROM "
            f"(SELECT DISTINCT actor_id FROM ({read({'f1': asked.steps[0]}, last=self.end)}) AS entering) AS actors",
        )
        begin, end = (day_start(day, self.observed.zone) for day in (self.start, last + _DAY))
        stream = Stream(
            read(chosen, last=last, mark="mark"),
            codes,
            self.gold.query(f"SELECT count(*) AS n FROM {codes} AS codes")[0]["n"],
            begin=micros(begin - EPOCH),
            end=micros(end - EPOCH),
            entries_end=micros(day_start(self.end + _DAY, self.observed.zone) - EPOCH),
            closed_until=self.closed_until,
            may_overlap=may_overlap(asked.steps),
        )
        best = f"SELECT * FROM {self._aside('best', best_attempts_sql(self.chain, stream))} AS best"
        faults = self.gold.query(f"SELECT fault, count(*) AS n FROM ({best}) AS best WHERE fault > 0 GROUP BY fault")
        if any(row["fault"] == BROKEN for row in faults):
            return None
        if faults:
            tied = f"SELECT actor_id FROM {codes} WHERE code IN (SELECT code FROM ({best}) AS best WHERE fault > 0)"
            again = f"SELECT * FROM ({self._flagged()}) AS flagged WHERE actor_id IN ({tied})"
            attempts = self._attempts(places_sql(self.chain, again, order=self.gold.events.order("event_time")))
            names = ", ".join(["open_entries", "depth", "t", *(f"d{step}" for step in self.chain.later)])
            best = (
                f"SELECT {names} FROM ({best}) AS alone WHERE fault = 0 "
                f"UNION ALL SELECT {names} FROM ({again_sql(self.chain, attempts)}) AS again"
            )
        (found,) = self.gold.query(best_counts_sql(self.chain, best, period=self.period_of("event_date")))
        return [found | self._best_bounds(best, found)]

    def _best_bounds(self, best: str, found: Mapping[str, Any]) -> dict[str, float]:
        """The bounds of the medians of the quick way: each actor is one row, so that their number says which rows.

        The row at a place is the quantile of its share of the way from the first to the last, in whole microseconds.
        """
        shares = {}
        for step in self.chain.later:
            reached = int(found[f"n{step}"])
            places = places_of_actors(reached)
            shares[step] = [None if place is None else (place - 1) / (reached - 1) for place in places]
        sql = best_seconds_sql(best, shares)
        if sql is None:
            return {}
        (row,) = self.gold.query(sql)
        names = {f"q{step}_{side}": f"{name}{step}" for step in shares for side, name in enumerate(("low", "high"))}
        return {names[key]: round(value, 6) for key, value in row.items() if value is not None}

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
        return may_overlap(asked.steps)

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
            return self._result([], "", [NO_EVENTS])
        said, bounds = list[str](), {}
        found = self._plain() if self._is_plain else None
        if found is not None:
            sql = counts_sql(self.chain, self._attempts(self._placed()), [])
        else:
            attempts = self._prepared()
            sql = counts_sql(self.chain, attempts, self.segments)  # for the reader, who has no tables put aside
            if self.by:
                attempts, said = self._limited(attempts, limit)
            attempts = f"SELECT * FROM {self._aside('units', attempts)} AS units"
            found = self._with_bounds(attempts, self.gold.query(counts_sql(self.chain, attempts, self.segments)))
            bounds = self._moments(attempts) if self.definition.count != "actor" else {}
        self._check_names(found)
        return self._result(self._rows(found, bounds), sql, [*self._notes(found), *said])

    def _with_bounds(self, attempts: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The counts with the bounds of their medians, `low2`, `high2` ...: units of one actor may be alike."""
        rows = seconds_sql(self.chain, f"({attempts})", self.segments)
        bounds = median_bounds(self.gold, rows, [*self.segments, "step"])
        told = []
        for row in found:
            key = tuple(row[name] for name in ("period_start", *self.segments))
            pairs = {step: bounds.get((*key, str(step)), (None, None)) for step in self.chain.later}
            lows = {f"low{step}": pair[0] for step, pair in pairs.items()}
            told.append(row | lows | {f"high{step}": pair[1] for step, pair in pairs.items()})
        return told

    def members(self) -> Result:
        """One row per cell and actor."""
        try:
            if self.start is None:
                return self.members_result(None)
            sql = members_sql(self.chain, self._prepared(), self.segments)
            return self.members_result(sql)
        finally:
            self.gold.forget(*self.made)

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

    def _moments(self, attempts: str) -> dict[Key, Mapping[str, Any]]:
        return self.keyed(self.gold.query(moments_sql(self.chain, attempts, self.segments)))

    def _check_names(self, found: Sequence[Mapping[str, Any]]) -> None:
        """Raise for a step's event that the lake has never seen, where a step was never reached or has several."""
        steps = range(1, self.chain.steps + 1)
        is_met = all(any(row[f"n{step}"] for row in found) for step in steps)
        check_event_names(self.gold, self.definition.steps, is_met=is_met)
        check_event_names(self.gold, [one.which for one in self.definition.exclude])

    # --- rows

    def _rows(
        self, found: Sequence[Mapping[str, Any]], moments: Mapping[Key, Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        keyed, rows = self.keyed(found), list[dict[str, Any]]()
        for key, cell in self.cells(keyed, self.definition.window):
            rows += self._steps(cell, keyed.get(key), moments.get(key))
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
                    "seconds_median_low": row.get(f"low{step}") if row else None,
                    "seconds_median_high": row.get(f"high{step}") if row else None,
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

    def _notes(self, found: Sequence[Mapping[str, Any]]) -> list[str]:
        asked = self.definition
        notes = []
        waiting = sum(int(row["open_entries"]) for row in found)
        if waiting:
            what = "1 entry is" if waiting == 1 else f"{waiting:,} entries are"
            notes.append(f"{what} open: the window of {words(asked.window)} has not ended, so left out of the rates.")
        if asked.hold and not any(row["n1"] or row["open_entries"] for row in found):
            said = f"No entry has a value of {', '.join(asked.hold)}, which is to be the same in all steps."
            notes.append(
                f"{said} Sessions as they are made here: --hold session." if "session_id" in asked.hold else said
            )
        if asked.order == "any":
            notes.append("An entry is the first event of any step; a row says how many did so many different steps.")
        if asked.attempt == "first":
            notes.append("Only the first entry of each counts (attempt first).")
        return notes

    @property
    def title(self) -> str:
        return f"{self.called}{self.cut_words}, window {words(self.definition.window)}"

    def _result(self, rows: Sequence[Mapping[str, Any]], sql: str, notes: Sequence[str]) -> Result:
        return self.result(rows, sql, notes, before=_BEFORE, after=_AFTER)


_BEFORE = (pa.field("step", pa.int64()), pa.field("step_name", pa.string()))
_AFTER = (
    pa.field("step_value", pa.float64(), metadata={"unit": "share"}),
    pa.field("seconds_median", pa.float64(), metadata={"unit": "s"}),
    pa.field("seconds_median_low", pa.float64(), metadata={"unit": "s"}),
    pa.field("seconds_median_high", pa.float64(), metadata={"unit": "s"}),
    pa.field("seconds_p90", pa.float64(), metadata={"unit": "s"}),
    pa.field("open_entries", pa.int64()),
)


def _any_name(step: int) -> str:
    return "1 step" if step == 1 else f"{step} steps"
