"""Lifecycle, or growth accounting: who is new, returning, resurrected, and who is gone (METRICS section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import date_literal, one_of
from tidelake.metrics.actor_days import (
    SEGMENT_LIMIT,
    ActorDays,
    OfActorDays,
    Segment,
    asked_dates,
    definition_of,
    of_segment,
    open_actor_days,
    spans,
)
from tidelake.metrics.answer import Answer, answer_by_period, totals_table
from tidelake.metrics.intervals import moments_bounds, wilson
from tidelake.metrics.kinds.lifecycle import COUNTED, Counts, came_within, checked, counts_sql, members_sql, placed_sql
from tidelake.metrics.levels import by_level, refuse_level
from tidelake.metrics.periods import Grain, next_period
from tidelake.metrics.reading import for_reading
from tidelake.metrics.signups import Signups, find_signups
from tidelake.metrics.status import Observed, Status, worst

NewBy = Literal["first_activity", "signup_date", "first_any_event"]
STATES = ("active", "new", "new_or_existing", "returning", "resurrected", "churned", "quick_ratio", "churn_rate")
_NEED_BEFORE = ("returning", "resurrected", "churned", "quick_ratio", "churn_rate")
_PARTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # states of numerator and denominator
    "active": (("new", "new_or_existing", "returning", "resurrected"), ()),
    "quick_ratio": (("new", "resurrected"), ("churned",)),
    "churn_rate": (("churned",), ("churned", "returning")),  # these two are everybody of the period before
}
NAME = "lifecycle"


class Lifecycle(OfActorDays):
    """What is counted (METRICS section 4).

    With dimensions, segment `any` makes the partition within each value: who was active there before.

    Attributes:
        grain: day, week or month, as the calendar has them.
        new_by: By which date a first is judged to have come within the history: first_activity, signup_date or
            first_any_event. It splits the firsts, and never changes who is a first.
        warmup_days: A first within so many days of the history's start may have come before it.
        signup: `SOURCE.COLUMN` of a dimension with signup dates; null = its `signup_date`, where one source has that.
    """

    grain: Grain = "week"
    new_by: NewBy = "first_activity"
    warmup_days: int = Field(28, ge=0)
    signup: str | None = None


@dataclass(frozen=True)
class LifecycleResult(Answer):
    """One row a period, segment and state; printed, one row a period with a column a state.

    Attributes:
        totals: With dimensions and segment `any`, one row a period: `total` and `sum_of_segments` of the active
            actors, and their `overlap`.
    """

    totals: pa.Table | None = field(default=None)

    def for_people(self) -> Result:
        return side_by_side(self)


@by_level
def lifecycle(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    *,
    grain: str = "week",
    start: date | None = None,
    end: date | None = None,
    segment_limit: int = SEGMENT_LIMIT,
    **options: Any,
) -> LifecycleResult:
    """Each period's actors by where they come from, and those who did not come back.

    Args:
        engine: Runs the SELECT.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        grain: day, week or month.
        start: First local date; None = where the data begin. What came before it is read all the same.
        end: Last local date; None = where the data end.
        segment_limit: Values of a dimension that get rows of their own.
        options: The others of `Lifecycle`.

    Returns:
        One row a period, segment and `state`: active, new, new_or_existing, returning, resurrected, churned,
        quick_ratio (null where nobody churned or where there are new_or_existing), churn_rate (from 0 to 1, null where
        nobody was active before). Null also where the period was not received, and for what needs the period before
        where that one was not. The status of such a number is the worst of both periods.

    Raises:
        UnknownNameError: Unknown grain, dimension, rule or signup column.
        DefinitionError: `new_by` is signup_date and no source says it.
        LedgerError: The states do not add up to the actors.
    """
    question = _opened(engine, lake, project, sources, definition_of(Lifecycle, grain=grain, **options))
    return question.answer(asked_dates(question.days.observed, start, end), segment_limit)


@by_level
def lifecycle_members(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    state: str,
    *,
    grain: str = "week",
    start: date | None = None,
    end: date | None = None,
    **options: Any,
) -> Result:
    """The actors behind one state of the periods asked for.

    Args:
        engine: Runs the SELECT.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        state: One of the states of `lifecycle`.
        grain: day, week or month.
        start: First local date; None = where the data begin.
        end: Last local date; None = where the data end.
        options: The others of `Lifecycle`.

    Returns:
        period_start, the dimensions, actor_id, is_in_numerator, is_in_denominator (null where the number has none).
    """
    if state not in STATES:
        raise UnknownNameError("state", state, STATES)
    question = _opened(engine, lake, project, sources, definition_of(Lifecycle, grain=grain, **options))
    return question.members(state, asked_dates(question.days.observed, start, end))


def _opened(
    engine: Engine, lake: Tables, project: Project, sources: Mapping[str, Source], definition: Lifecycle
) -> _Question:
    days = open_actor_days(engine, lake, project, sources, definition)
    refuse_level(days.gold, "signup", when=definition.signup is not None)
    refuse_level(days.gold, f"new_by {definition.new_by}", when=definition.new_by != "first_activity")
    signups = find_signups(days.gold, sources, definition.signup) if days.gold.level is None else None
    if signups is None and definition.new_by == "signup_date":
        raise DefinitionError(
            "No source says when actors signed up.",
            hint="Name it: --signup SOURCE.COLUMN, dates in a source with `fact: dimension` whose key is the actor.",
        )
    return _Question(days, definition, signups)


@dataclass(frozen=True)
class _Question:
    days: ActorDays
    definition: Lifecycle
    signups: Signups | None

    @property
    def observed(self) -> Observed:
        return self.days.observed

    def answer(self, asked: tuple[date, date] | None, limit: int) -> LifecycleResult:
        if asked is None or self.observed.first is None:
            return self._result([], "", ["The lake holds no events for these dates yet."], None)
        periods = self._spans(asked)
        until = periods[-1][1]
        days, said = self.days.limited(self.observed.first, until, limit)
        sql = counts_sql(self._placed(days, until), days.names)
        counted = _by_period(days.gold.query(sql), days.names)
        every = self._spans((self.observed.first, until))
        rows: list[dict[str, Any]] = []
        for segment in sorted(counted) or ([] if days.by else [()]):
            checked(counted.get(segment, {}), [first for first, _ in every], segment)
            rows += self._rows(segment, counted.get(segment, {}), periods)
        rows.sort(key=lambda row: (row["period_start"], *(row[name] for name in days.by), STATES.index(row["state"])))
        totals = self._totals(days, counted, periods)
        return self._result(rows, sql, [*self._notes(rows, periods), *said], totals)

    def members(self, state: str, asked: tuple[date, date] | None) -> Result:
        names = self.days.names
        top, below = _PARTS.get(state, ((state,), ()))
        found: list[dict[str, Any]] = []
        sql = ""
        if asked is not None and self.observed.first is not None:
            periods = self._spans(asked)
            order = ", ".join(["period_start", *names, "actor_id"])
            sql = (
                f"SELECT * FROM ({members_sql(self._placed(self.days, periods[-1][1]), names)}) AS members "
                f"WHERE {one_of('state', {*top, *below})} AND period_start BETWEEN {date_literal(periods[0][0])} "
                f"AND {date_literal(periods[-1][0])} ORDER BY {order}"
            )
            found = self.days.gold.query(sql)
        begins = sorted({row["period_start"] for row in found}) if state in UNTIL_ENDED else []
        running = [first for first in begins if self._is_open(first)]
        notes = [f"{', '.join(map(str, running))} is still open: who has not come yet is not gone."] if running else []
        return self.days.members(
            self._result([], sql, notes, None),
            found,
            f"Actors of {state} by {self.definition.grain}",
            is_in=lambda row: (row["state"] in top, row["state"] in below if below else None),
            before=[pa.field("period_start", pa.date32())],
        )

    def _is_open(self, first: date) -> bool:
        return self.observed.of_period(first, next_period(first, self.definition.grain)) == "open"

    # --- SQL

    def _spans(self, asked: tuple[date, date]) -> list[tuple[date, date]]:
        return spans(*asked, self.definition.grain, self.days.gold.project.week_start)

    def _placed(self, days: ActorDays, until: date) -> str:
        assert self.observed.first is not None
        is_new, joins = self._is_new(self.observed.first)
        rows = days.rows(self.observed.first, until)
        week_start = days.gold.project.week_start
        return placed_sql(
            rows, days.names, grain=self.definition.grain, week_start=week_start, is_new=is_new, joins=joins
        )

    def _is_new(self, history: date) -> tuple[str, str]:
        """Condition for a first that came within the history, and the joins that it needs."""
        joins, signed = "", None
        if self.signups is not None:
            joins = f" LEFT JOIN ({self.signups.sql()}) AS signups ON signups.actor_id = placed.actor_id"
            signed = "signups.signup_date"
        if self.definition.new_by == "signup_date":
            return came_within(signed or "", history), joins
        seen = "placed.first_day"
        if self.definition.new_by == "first_any_event":
            joins += (
                " LEFT JOIN (SELECT actor_id, min(activity_date) AS any_day FROM gold.user_day GROUP BY actor_id) "
                "AS any_events ON any_events.actor_id = placed.actor_id"
            )
            seen = "least(any_events.any_day, placed.first_day)"
        condition = came_within(seen, history + timedelta(days=self.definition.warmup_days))
        return (f"({condition} OR {came_within(signed, history)})" if signed else condition), joins

    # --- rows

    def _rows(
        self, segment: Segment, counted: Mapping[date, Counts], periods: Sequence[tuple[date, date]]
    ) -> Iterable[dict[str, Any]]:
        for first, last in periods:
            before = self._before(first)
            own, timed = self._status(first, last)
            now, earlier = counted.get(first, Counts()), counted.get(before, Counts())
            for state, numbers in numbers_of(now, earlier).items():
                needs = state in _NEED_BEFORE
                is_known = self._is_known(first) and (not needs or self._is_known(before))
                yield {
                    "period_start": first,
                    "grain": self.definition.grain,
                    **dict(zip(self.days.by, segment, strict=True)),
                    "state": state,
                    **(numbers if is_known else dict.fromkeys(numbers)),
                    "status": timed if needs else own,
                }

    def _before(self, first: date) -> date:
        return self._spans((first - timedelta(days=1), first - timedelta(days=1)))[0][0]

    def _is_known(self, first: date) -> bool:
        """Whether a day of the period was received and none of it waits for a build."""
        after = next_period(first, self.definition.grain)
        if self.observed.is_behind(first, after):
            return False
        return any(self.observed.is_received(first + timedelta(days=number)) for number in range((after - first).days))

    def _status(self, first: date, last: date) -> tuple[Status, Status]:
        """Of what needs the period alone, and of what also needs the one before it."""
        own = self.observed.of_period(first, last + timedelta(days=1))
        before = self._before(first)
        assert self.observed.first is not None
        if first <= self.observed.first:
            return own, worst([own, "partial_left"])
        return own, worst([own, self.observed.of_period(before, first)])

    def _totals(
        self,
        days: ActorDays,
        counted: Mapping[Segment, Mapping[date, Counts]],
        periods: Sequence[tuple[date, date]],
    ) -> pa.Table | None:
        """Active actors of the periods against the sum of the segments, where an actor may be in several."""
        if not days.by or days.rule != "any":
            return None
        whole = days.whole()
        sql = counts_sql(self._placed(whole, periods[-1][1]), [])
        totals = _by_period(whole.gold.query(sql), []).get((), {})
        rows = []
        for first, _ in periods:
            total = totals.get(first, Counts()).active if self._is_known(first) else None
            parts = sum(of.get(first, Counts()).active for of in counted.values())
            rows.append((first, total, None if total is None else parts))
        return totals_table(rows)

    def _notes(self, rows: Sequence[Mapping[str, Any]], periods: Sequence[tuple[date, date]]) -> list[str]:
        notes = []
        unsure = sum(row["value"] or 0 for row in rows if row["state"] == "new_or_existing")
        if unsure and self.definition.new_by != "signup_date":
            until = (self.observed.first or periods[0][0]) + timedelta(days=self.definition.warmup_days)
            notes.append(
                f"Who was first seen before {until} ({self.definition.warmup_days} days of warmup) may have come "
                "before the data begin: new_or_existing, never new, and no quick_ratio beside them. --warmup 0 "
                "(`warmup_days=0`) calls them new."
            )
        if unsure and self.definition.new_by == "signup_date":
            notes.append("new_or_existing: firsts who signed up before the data begin, or whose signup is not known.")
        if self.signups is not None:
            notes.append(f"Signup dates come from {self.signups.source}.{self.signups.column}.")
        if self.days.by and self.definition.segment == "any":
            notes.append("Each value by itself: new, returning and churned mean active with that value.")
        return notes

    def _result(
        self, rows: list[dict[str, Any]], sql: str, notes: list[str], totals: pa.Table | None
    ) -> LifecycleResult:
        gold = self.days.gold
        tables = [*self.days.tables, *([self.signups.table] if self.signups else [])]
        tables += ["gold.user_day"] if self.definition.new_by == "first_any_event" else []
        plain = answer_by_period(
            gold,
            rows,
            self.days.by,
            self.definition,
            before=[pa.field("state", pa.string())],
            name=NAME,
            observed=self.observed,
            sql=sql,
            tables=tables,
            title=f"Lifecycle of active users by {self.definition.grain}"
            + (f" and {', '.join(self.days.by)}" if self.days.by else ""),
            notes=notes,
        )
        return LifecycleResult(plain.table, plain.sql, plain.sources, plain.title, plain.notes, totals)


def _by_period(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[Segment, dict[date, Counts]]:
    found: dict[Segment, dict[date, Counts]] = {}
    for row in rows:
        counts = Counts(**{name: int(row[name]) for name in COUNTED})
        found.setdefault(of_segment(row, names), {})[row["period_start"]] = counts
    return found


def numbers_of(now: Counts, earlier: Counts) -> dict[str, dict[str, Any]]:
    """The numbers of a period by state, from its actors and those of the period before."""
    churned, gained = earlier.leaving, now.new + now.resurrected
    found = {name: _census(getattr(now, name)) for name in COUNTED if name != "leaving"}
    found["churned"] = _census(churned)
    ratio, bounds = moments_bounds(gained + churned, gained, churned, gained, 0, churned)
    is_told = churned > 0 and now.new_or_existing == 0
    found["quick_ratio"] = {
        "value": ratio if is_told else None,
        "numerator": float(gained),
        "denominator": float(churned),
        "n": gained + churned,
        "ci_low": bounds[0] if is_told else None,
        "ci_high": bounds[1] if is_told else None,
    }
    low, high = wilson(churned, earlier.active)
    found["churn_rate"] = {
        "value": churned / earlier.active if earlier.active else None,
        "numerator": float(churned),
        "denominator": float(earlier.active),
        "n": earlier.active,
        "ci_low": low,
        "ci_high": high,
    }
    return {state: found[state] for state in STATES}


def _census(actors: int) -> dict[str, Any]:
    bare = dict.fromkeys(("denominator", "ci_low", "ci_high"))
    return {"value": float(actors), "numerator": float(actors), "n": actors, **bare}


UNTIL_ENDED = ("churned", "quick_ratio", "churn_rate")  # while a period is open these hold who will still come


def side_by_side(result: Result) -> Result:
    """The result for a reader: one row a period and segment, a column a state.

    An open period has no churn to quote: who has not come yet is not gone.
    """
    given = result.to_dicts()
    if not given:
        return for_reading(result)
    fixed = {"metric", "definition_version", "state", "value", "numerator", "denominator", "n", "ci_low", "ci_high"}
    names = [name for name in result.table.column_names if name not in fixed]
    keys = [name for name in names if name not in ("grain", "status", "watermark", "engine")]
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in given:
        key = tuple(row[name] for name in keys)
        line = merged.setdefault(key, {name: row[name] for name in names})
        line[row["state"]] = row["value"]
        line["status"] = worst([line["status"], row["status"]])
    running = [line for line in merged.values() if line["status"] == "open" and line["churned"] is not None]
    for line in running:
        line |= dict.fromkeys(UNTIL_ENDED)
    notes = result.notes
    if running:
        since = ", ".join(sorted({str(line["period_start"]) for line in running}))
        said = f"{since} is still open: more users will come, and who has not come yet is not gone. Churned and its "
        notes += (said + "ratios are not shown until it has ended (csv, json and .to_dicts() hold them so far).",)
    counts = [pa.field(state, pa.int64()) for state in STATES[:6]]
    ratios = [pa.field("quick_ratio", pa.float64()), pa.field("churn_rate", pa.float64(), metadata={"unit": "share"})]
    schema = result.table.schema
    head = [schema.field(name) for name in ("grain", *keys)]
    tail = [schema.field(name) for name in ("status", "watermark", "engine")]
    lines = [
        {**line, **{name: None if line[name] is None else int(line[name]) for name in STATES[:6]}}
        for line in merged.values()
    ]
    table = pa.Table.from_pylist(lines, schema=pa.schema([*head, *counts, *ratios, *tail]))
    return for_reading(Result(table, result.sql, result.sources, result.title, notes))
