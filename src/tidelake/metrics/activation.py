"""Activation: the share of new actors who do something soon after they first appear (METRICS section 9)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Self, Unpack

import pyarrow as pa
from pydantic import model_validator

from tidelake.config import Duration, Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.engine.sql import check_expression
from tidelake.errors import DefinitionError
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import date_literal, micros
from tidelake.metrics.attributes import attributes_of, session_rows
from tidelake.metrics.choosing import Which, check_event_names, event_rows
from tidelake.metrics.conditions import check_columns
from tidelake.metrics.dimensions import check_by, fact_dimensions, segment
from tidelake.metrics.event_question import NO_EVENTS, EventQuestion, Named, definition_from
from tidelake.metrics.funnel_definition import words
from tidelake.metrics.intervals import wilson
from tidelake.metrics.levels import by_level, refuse_level
from tidelake.metrics.narrowing import Narrowing

_DAY = timedelta(days=1)


class Activation(Named):
    """An activation.

    Attributes:
        criterion: Events of which an actor does at least `times` within the time; null with `session`.
        times: How often, at least.
        within: How long after the first activity, that instant included; null = 7 days. With `session` how long an
            actor must have been observed; null = the longest that a session can be.
        session: Condition over the columns of `gold.sessions` that the actor's first session must fulfil
            (`watch_seconds >= 30`), in place of `criterion`; null counts as false.
        after_first: Whether the event that makes the actor new does not count as the criterion.
        warmup: An actor first seen so soon after the data begin may have been there before, and is not new.
    """

    name: str = "activation"
    criterion: Which | None = None
    times: int = 1
    within: Duration | None = None
    session: str | None = None
    after_first: bool = False
    warmup: Duration = timedelta(days=28)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.criterion is None) == (self.session is None):
            raise ValueError("name what activates: criterion (events) or session (a condition on the first session)")
        if self.times < 1:
            raise ValueError("times must be at least 1")
        return self


def activation_of(criterion: str | Which | None = None, **options: Any) -> Activation:
    """An activation from texts.

    Raises:
        DefinitionError: It says no criterion, or options do not go together.
    """
    return definition_from(Activation, criterion=None if criterion is None else Which.parse(criterion), **options)


@by_level
def activation(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Activation,
    **narrowed: Unpack[Narrowing],
) -> Result:
    """The share of new actors who fulfil a criterion within a time of their first activity.

    Args:
        narrowed: `by` the value at the actor's first event, dates and `grain` of it, and `where` over silver's
            columns that it must fulfil (`session`: by columns and over columns of sessions).

    Returns:
        One row a period and segment. `numerator`: activated, `denominator`: new actors whose time has ended,
        `value`: their ratio with Wilson's interval; `open_actors`: new actors whose time has not ended;
        `possibly_old`: actors first seen within `warmup` of the first data, who count nowhere else;
        `seconds_median`: from the first activity to the criterion.
    """
    return _Question.ask(engine, lake, project, sources, definition, **narrowed).answer()


@by_level
def activation_members(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Activation,
    **narrowed: Unpack[Narrowing],
) -> Result:
    """The new actors behind the numbers: one row each with its cell, `in_numerator` and `in_denominator`."""
    return _Question.ask(engine, lake, project, sources, definition, **narrowed).members()


class _Question(EventQuestion[Activation]):
    def check(self) -> None:
        asked = self.definition
        if asked.session is None:
            known = fact_dimensions(self.gold, "event")
            if self.where is not None:
                Which(where=self.where).check(self.gold)
        else:
            refuse_level(self.gold, "session")
            known = fact_dimensions(self.gold, "session")
            schema = self.gold.lake.schema("gold.sessions")
            if schema is None:
                raise DefinitionError("The lake has no gold.sessions yet.", hint="Run `tide build` first.")
            columns = [*schema.names, *self.gold.project.dimensions, *attributes_of(self.gold, "session")]
            for option, condition in (("--session", asked.session), ("--where", self.where)):
                if condition is not None:
                    check_expression(condition)
                    check_columns(self.gold.events.attributes.spelled(condition), columns, {}, where=option)
        check_by(self.gold, self.by, known)

    # --- one row an actor

    def _actors(self) -> str:
        """SELECT of every actor's first activity.

        Grain: one row per actor first seen in the range. Columns: actor_id, first_date, t, s0 ..., reached_t
        (microseconds of the criterion, null where it was not reached).
        """
        rows = self._from_events() if self.definition.session is None else self._from_sessions()
        return f"SELECT * FROM ({rows}) AS actors WHERE {self.within_dates('first_date')}"

    @property
    def within(self) -> timedelta:
        """How long an actor has to fulfil the criterion."""
        of_session = self.gold.project.session.cap
        return self.definition.within or (timedelta(days=7) if self.definition.session is None else of_session)

    def _from_events(self) -> str:
        asked = self.definition
        assert asked.criterion is not None
        assert self.end is not None
        last = self.end + timedelta(days=math.ceil(self.within / _DAY) + 1)
        flags = {"activates": Which(active=True), "fits": asked.criterion}
        flags |= {"wanted": Which(where=self.where)} if self.where else {}
        rows = event_rows(self.gold, flags, columns=self.by, last=last)
        values = "".join(f", {segment(name)} AS s{index}" for index, name in enumerate(self.by))
        wanted = "wanted" if self.where else "TRUE"
        # The first activity is the active event of which `begun` counts one; what stands before it has 0.
        begun = (
            "sum(CASE WHEN activates THEN 1 ELSE 0 END) OVER (PARTITION BY actor_id "
            f"ORDER BY {self.gold.events.order('event_time')} ROWS UNBOUNDED PRECEDING)"
        )
        placed = (
            f"SELECT actor_id, event_date, epoch_micros(event_time) AS t, activates, fits, {wanted} AS wanted{values}, "
            f"{begun} AS begun, "
            "min(CASE WHEN activates THEN epoch_micros(event_time) END) OVER (PARTITION BY actor_id) AS first_t "
            f"FROM ({rows}) AS events"
        )
        is_first = "(activates AND begun = 1)"
        fits = f"fits AND begun > 0 AND t - first_t <= {micros(self.within)}"
        if asked.after_first:
            fits += f" AND NOT {is_first}"
        own = "".join(f", max(CASE WHEN is_first THEN {name} END) AS {name}" for name in self.segments)
        counted = (
            f"SELECT actor_id, event_date, t, {is_first} AS is_first, wanted, "
            f"{''.join(f'{name}, ' for name in self.segments)}CASE WHEN {fits} THEN t END AS fit_t, "
            f"sum(CASE WHEN {fits} THEN 1 ELSE 0 END) OVER (PARTITION BY actor_id ORDER BY t, begun "
            "ROWS UNBOUNDED PRECEDING) AS done "
            f"FROM ({placed}) AS placed WHERE first_t IS NOT NULL AND t - first_t <= {micros(self.within)}"
        )
        return (
            "SELECT actor_id, first_date, t, reached_t" + "".join(f", {name}" for name in self.segments) + " FROM ("
            "SELECT actor_id, max(CASE WHEN is_first THEN event_date END) AS first_date, "
            "max(CASE WHEN is_first THEN t END) AS t, max(CASE WHEN is_first AND wanted THEN 1 END) AS is_wanted, "
            f"min(CASE WHEN done >= {asked.times} THEN fit_t END) AS reached_t{own} "
            f"FROM ({counted}) AS counted GROUP BY actor_id) AS by_actor WHERE is_wanted = 1"
        )

    def _from_sessions(self) -> str:
        asked, spelled = self.definition, self.gold.events.attributes.spelled
        reached, where = spelled(asked.session or ""), spelled(self.where or "")
        values = "".join(f", {segment(name)} AS s{index}" for index, name in enumerate(self.by))
        wanted = f"coalesce(({where}), FALSE)" if where else "TRUE"
        ranked = (
            "SELECT *, row_number() OVER (PARTITION BY actor_id ORDER BY started_at, session_id) AS place "
            "FROM gold.sessions WHERE active_event_count > 0"
        )
        rows = session_rows(self.gold, self.by, reached, where, table=f"({ranked}) AS ranked")
        return (
            f"SELECT actor_id, session_date AS first_date, epoch_micros(started_at) AS t, "
            f"CASE WHEN coalesce(({reached}), FALSE) THEN epoch_micros(ended_at) END AS reached_t{values} "
            f"FROM {rows} WHERE place = 1 AND {wanted}"
        )

    @property
    def _state(self) -> str:
        """`new`, `open` or `possibly_old`, SQL over the rows of `_actors`."""
        known_from = (self.observed.first or date.min) + timedelta(days=math.ceil(self.definition.warmup / _DAY))
        return (
            f"CASE WHEN first_date < {date_literal(known_from)} THEN 'possibly_old' "
            f"WHEN t > {self.closed_until - micros(self.within)} THEN 'open' ELSE 'new' END"
        )

    def _placed(self) -> str:
        """The rows of `_actors` with `period_start` and `state`."""
        placed = f"{self.period_of('first_date')} AS period_start, {self._state} AS state"
        return f"SELECT *, {placed} FROM ({self._actors()}) AS first_seen"

    # --- answers

    def answer(self) -> Result:
        if self.start is None or self.end is None:
            return self.result([], "", [NO_EVENTS], after=_AFTER)
        sql = (
            f"SELECT {self.keys}, count(*) FILTER (WHERE state = 'new') AS observed_actors, "
            "count(*) FILTER (WHERE state = 'new' AND reached_t IS NOT NULL) AS activated, "
            "count(*) FILTER (WHERE state = 'open') AS open_actors, "
            "count(*) FILTER (WHERE state = 'possibly_old') AS possibly_old, "
            "median(CASE WHEN state = 'new' THEN (reached_t - t) / 1000000 END) AS seconds_median "
            f"FROM ({self._placed()}) AS placed GROUP BY {self.keys}"
        )
        found = self.gold.query(sql)
        if self.definition.criterion is not None:
            is_met = any(row["activated"] for row in found)
            check_event_names(self.gold, [self.definition.criterion], is_met=is_met)
        tables = None if self.definition.session is None else ["gold.sessions"]
        return self.result(self._rows(found), sql, self._notes(found), after=_AFTER, tables=tables)

    def members(self) -> Result:
        """One row an actor of every denominator."""
        if self.start is None:
            return self.members_result(None)
        sql = (
            f"SELECT {self.keys}, actor_id, CASE WHEN reached_t IS NULL THEN 0 ELSE 1 END AS in_numerator, "
            f"1 AS in_denominator FROM ({self._placed()}) AS placed WHERE state = 'new' ORDER BY {self.keys}, actor_id"
        )
        return self.members_result(sql)

    def _rows(self, found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        keyed = self.keyed(found)
        rows = []
        for key, cell in self.cells(keyed, self.within):
            row, is_known = keyed.get(key, {}), cell["status"] != "missing"
            activated, new = int(row.get("activated", 0)), int(row.get("observed_actors", 0))
            low, high = wilson(activated, new)
            rows.append(
                {
                    **cell,
                    "value": activated / new if new else None,
                    "numerator": float(activated) if is_known else None,
                    "denominator": float(new) if is_known else None,
                    "n": new if is_known else None,
                    "ci_low": low,
                    "ci_high": high,
                    "open_actors": int(row.get("open_actors", 0)) if is_known else None,
                    "possibly_old": int(row.get("possibly_old", 0)) if is_known else None,
                    "seconds_median": row.get("seconds_median"),
                }
            )
        return rows

    def _notes(self, found: Sequence[Mapping[str, Any]]) -> list[str]:
        asked, notes = self.definition, []
        waiting = sum(int(row["open_actors"]) for row in found)
        old = sum(int(row["possibly_old"]) for row in found)
        if waiting:
            notes.append(f"{waiting:,} new actors have been observed for less than {words(self.within)}: left out.")
        if old:
            notes.append(
                f"{old:,} actors were first seen within {words(asked.warmup)} of the first data and may have been "
                "there before: left out. With a warmup of 0d they count as new."
            )
        return notes

    @property
    def title(self) -> str:
        asked = self.definition
        what = f"first session with {asked.session}" if asked.session else str(asked.criterion)
        return f"{self.called}: {what}, within {words(self.within)}{self.cut_words}"


_AFTER = (
    pa.field("open_actors", pa.int64()),
    pa.field("possibly_old", pa.int64()),
    pa.field("seconds_median", pa.float64(), metadata={"unit": "s"}),
)
