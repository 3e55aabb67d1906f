"""Which actors were active on which dates, by dimensions: what lifecycle, power curve and stickiness are made from.

One reading of `gold.user_day` or `gold.user_day_value`; of silver for a condition or a dimension not declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Literal, TypeVar, get_args

import pyarrow as pa
from pydantic import ValidationError

from tidelake.config import Project, Settings
from tidelake.contracts.source import Source
from tidelake.contracts.table import literal, quoted
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.engine.sql import check_expression
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables, dates_behind
from tidelake.gold.sqltext import date_literal, one_of
from tidelake.metrics.answer import called
from tidelake.metrics.attributes import actor_day_rows, is_of_actors
from tidelake.metrics.choosing import Which
from tidelake.metrics.dimensions import check_by, fact_dimensions
from tidelake.metrics.periods import Grain, dates_between, in_order, next_period, period_start
from tidelake.metrics.status import Observed, Status, observe

SegmentRule = Literal["any", "first", "last"]
SEGMENT_LIMIT = 50
OTHER, UNKNOWN = "(other)", "(unknown)"
Segment = tuple[str, ...]
Definition = TypeVar("Definition", bound=Settings)


class OfActorDays(Settings):
    """What every question about active dates has.

    Attributes:
        by: Dimensions.
        segment: `any`: an actor counts under each value that it was active with; `first` or `last`: under one.
        where: Condition over silver's columns: only events for which it is true make an actor active.
    """

    by: tuple[str, ...] = ()
    segment: SegmentRule = "any"
    where: str | None = None


@dataclass(frozen=True)
class ActorDays:
    """The active dates of every actor.

    Attributes:
        by: Dimensions.
        rule: `any`: an actor counts under each value of its active events of a date. `first`, `last`: under one value
            on all dates, that of the first event of its first active date, or of the last event of its last one.
        where: Condition over silver's columns.
        observed: What is complete; dates that wait for a build are in `behind`.
        kept: Values that keep a row of their own, by dimension; the others are `(other)`. None = all do.
    """

    gold: Gold
    by: tuple[str, ...]
    rule: SegmentRule
    where: str | None
    observed: Observed
    kept: Mapping[int, tuple[str, ...]]

    @property
    def names(self) -> list[str]:
        """The columns of the dimensions in `rows`."""
        return [f"s{index}" for index in range(len(self.by))]

    @property
    def tables(self) -> list[str]:
        """The tables that are read."""
        if self._is_from_silver:
            return self.gold.events.inputs
        is_whole = self._is_by_edge or self._is_of_actors or not self.by
        return ["gold.user_day" if is_whole else "gold.user_day_value"]

    def rows(self, first: date, last: date) -> str:
        """SELECT of distinct `day`, columns of the dimensions, and `actor_id`.

        Args:
            first: First local date.
            last: Last local date; what comes after it plays no part in `last` values.
        """
        found = self._by_edge(first, last) if self._is_by_edge else self._by_any(first, last)
        if not self.kept:
            return found
        columns = [
            f"CASE WHEN {one_of(name, self.kept[index])} THEN {name} ELSE '{OTHER}' END AS {name}"
            if index in self.kept
            else name
            for index, name in enumerate(self.names)
        ]
        return f"SELECT DISTINCT day, {', '.join(columns)}, actor_id FROM ({found}) AS uncut"

    def limited(self, first: date, last: date, limit: int) -> tuple[ActorDays, list[str]]:
        """The same with the smallest values of each dimension put together, and what to say of it."""
        kept, said = {}, []
        for index, (name, column) in enumerate(zip(self.by, self.names, strict=True)):
            top = self.gold.query(
                f"SELECT {column} AS segment, count(*) AS weight FROM ({self.rows(first, last)}) AS facts "
                f"GROUP BY {column} ORDER BY weight DESC, segment LIMIT {limit + 1}"
            )
            if len(top) > limit:
                kept[index] = tuple(row["segment"] for row in top[:limit])
                said.append(f"{name} has over {limit} values: the {limit} largest are shown, the others are {OTHER}.")
        return replace(self, kept=kept), said

    def members(
        self,
        plain: Result,
        found: Iterable[Mapping[str, Any]],
        title: str,
        *,
        is_in: Callable[[Mapping[str, Any]], tuple[bool, bool | None]],
        before: Sequence[pa.Field] = (),
        parts: Sequence[pa.Field] = (),
    ) -> Result:
        """The actors behind an answer: the dimensions, actor_id, is_in_numerator, is_in_denominator.

        Args:
            plain: The answer, without rows.
            found: One row an actor and segment.
            is_in: Whether an actor is in the numerator, and in the denominator; null where the number has none.
            before: Columns of `found` before the dimensions.
            parts: Columns of `found` after the actor.
        """
        rows = []
        for row in found:
            top, below = is_in(row)
            own = {one.name: row[one.name] for one in (*before, *parts)}
            named = dict(zip(self.by, of_segment(row, self.names), strict=True))
            rows.append(
                {**own, **named, "actor_id": row["actor_id"], "is_in_numerator": top, "is_in_denominator": below}
            )
        listed = [*before, *(pa.field(name, pa.string()) for name in (*self.by, "actor_id")), *parts]
        flags = [pa.field(name, pa.bool_()) for name in ("is_in_numerator", "is_in_denominator")]
        table = pa.Table.from_pylist(rows, schema=pa.schema([*listed, *flags]))
        return Result(table, plain.sql, plain.sources, title, plain.notes)

    def whole(self) -> ActorDays:
        """The same without dimensions."""
        return replace(self, by=(), rule="any", kept={})

    # --- by the value at an edge

    @property
    def _is_by_edge(self) -> bool:
        return bool(self.by) and self.rule != "any" and not self._is_of_actors

    @cached_property
    def _is_of_actors(self) -> bool:
        """Whether the dimensions are what an actor is on all its days alike: any, first and last value are one."""
        return self.where is None and is_of_actors(self.gold, self.by)

    @property
    def _is_from_silver(self) -> bool:
        if self._is_of_actors:
            return False
        if self.gold.level is not None:
            return True
        is_declared = set(self.by) <= set(self.gold.project.dimensions)
        return self.where is not None or not is_declared or (len(self.by) > 1 and not self._is_by_edge)

    def _events(self) -> str:
        wanted = [name for name in self.by if name not in ("event_name", "source")]
        return self.gold.events.select(columns=wanted, where=self.where)

    def _by_any(self, first: date, last: date) -> str:
        days = f"BETWEEN {date_literal(first)} AND {date_literal(last)}"
        if self._is_from_silver:
            listed = "".join(f", {_value(name)} AS s{index}" for index, name in enumerate(self.by))
            return (
                f"SELECT DISTINCT event_date AS day{listed}, actor_id FROM ({self._events()}) AS read_events "
                f"WHERE is_active AND event_date {days}"
            )
        if self._is_of_actors:
            listed = "".join(f", {_value(name)} AS s{index}" for index, name in enumerate(self.by))
            rows = actor_day_rows(self.gold, self.by)
            return f"SELECT activity_date AS day{listed}, actor_id FROM {rows} WHERE is_active AND activity_date {days}"
        if not self.by:
            return f"SELECT activity_date AS day, actor_id FROM gold.user_day WHERE is_active AND activity_date {days}"
        return (
            "SELECT activity_date AS day, value AS s0, actor_id FROM gold.user_day_value "
            f"WHERE dimension = {literal(self.by[0])} AND is_active AND activity_date {days}"
        )

    def _by_edge(self, first: date, last: date) -> str:
        """An actor's first value lies at its first date ever, so that all dates before `last` are read for it."""
        days = "BETWEEN {} AND {}"
        since = (self.observed.first or first) if self.rule == "first" else first
        read = days.format(date_literal(min(since, first)), date_literal(last))
        order = "activity_date" if self.rule == "first" else "activity_date DESC"
        if not self._is_from_silver:
            found = (
                f"SELECT activity_date AS day{self._edges(order, f'{self.rule}_')}, actor_id FROM gold.user_day "
                f"WHERE is_active AND activity_date {read}"
            )
        else:
            order = self.gold.events.order("event_time", backwards=self.rule == "last")
            active_days = (
                "SELECT *, max(CASE WHEN is_active THEN 1 ELSE 0 END) OVER (PARTITION BY actor_id, event_date) "
                f"AS of_day FROM ({self._events()}) AS read_events WHERE event_date {read}"
            )
            valued = (
                f"SELECT event_date AS day{self._edges(order, '')}, actor_id, is_active "
                f"FROM ({active_days}) AS days WHERE of_day = 1"
            )
            listed = "".join(f", {name}" for name in self.names)
            found = f"SELECT DISTINCT day{listed}, actor_id FROM ({valued}) AS valued WHERE is_active"
        return f"SELECT * FROM ({found}) AS valued_days WHERE day >= {date_literal(first)}"

    def _edges(self, order: str, prefix: str) -> str:
        return "".join(
            f", first_value({_value(prefix + name)}) OVER (PARTITION BY actor_id ORDER BY {order}) AS s{index}"
            for index, name in enumerate(self.by)
        )


def _value(name: str) -> str:
    return f"coalesce(CAST({quoted(name)} AS VARCHAR), '{UNKNOWN}')"


def open_actor_days(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    asked: OfActorDays,
) -> ActorDays:
    """The active dates that a question is about.

    Raises:
        UnknownNameError: No event source has the dimension, or the condition's column.
        DefinitionError: The project has no events.
        QueryError: `where` is not one portable condition.
    """
    gold, by, where = open_gold(engine, lake, project, sources).at_level(), asked.by, asked.where
    if not any(source.fact == "event" for source in sources.values()):
        raise DefinitionError(
            "This project has no source of events, so that nobody is active in it.",
            hint="`tide metrics list` says what its counts can be asked for.",
        )
    if where is not None:
        check_expression(where)
        if gold.events.types:  # else no event has come yet: which columns there will be is not known
            Which(where=where).check(gold)
    check_by(gold, by, fact_dimensions(gold, "actor_day"))
    observed = observe(gold, [source.name for source in gold.events.sources])
    found = ActorDays(gold, by, asked.segment, where, observed, {})
    if observed.first is None or observed.last is None:
        return found
    behind: set[date] = set()
    for table in found.tables:
        days = dates_behind(lake, sources, table)
        behind |= set(dates_between(observed.first, observed.last)) if days is None else days
    return replace(found, observed=replace(observed, behind=frozenset(behind)))


def definition_of(model: type[Definition], **given: Any) -> Definition:
    """A definition from what a caller gave.

    Raises:
        UnknownNameError: An option or a choice that there is not.
        DefinitionError: A number that cannot be.
    """
    try:
        return model.model_validate({**given, "by": _names(given.get("by", ()))})
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0])
        if fault["type"] == "literal_error":
            choices = get_args(model.model_fields[name].annotation)
            raise UnknownNameError(name, str(fault["input"]), choices) from error
        if fault["type"] == "extra_forbidden":
            raise UnknownNameError("option", name, model.model_fields) from error
        message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
        raise DefinitionError(f"{called(name)} {fault['input']}: {message}.") from error


def _names(by: Sequence[str] | str) -> tuple[str, ...]:
    return (by,) if isinstance(by, str) else tuple(by)


def spans(start: date, end: date, grain: Grain, week_start: str) -> list[tuple[date, date]]:
    """First and last date of each period that holds a date from `start` to `end`."""
    found, first = [], period_start(start, grain, week_start)
    while first <= end:
        after = next_period(first, grain)
        found.append((first, after - timedelta(days=1)))
        first = after
    return found


def asked_dates(observed: Observed, start: date | None, end: date | None) -> tuple[date, date] | None:
    """The dates that are asked for; without bounds, those with data. None where there are none.

    Raises:
        DefinitionError: The first lies after the last.
    """
    in_order(start, end)
    if observed.first is None or observed.last is None:
        return None
    found = (start or observed.first, end or observed.last)
    return found if found[0] <= found[1] else None


def last_complete(observed: Observed, first: date, last: date) -> date:
    """The date whose rolling value stands for some: the last complete one, else the last received, else the last."""
    days = list(dates_between(first, last))
    complete = [day for day in days if observed.of_day(day) == "complete"]
    received = [day for day in days if observed.is_received(day)]
    return (complete or received or days)[-1]


def last_ended(observed: Observed) -> date | None:
    """The last local date that has ended by the watermark less the lateness; None where none with data has."""
    if observed.first is None or observed.watermark is None:
        return None
    end = (observed.watermark - observed.lateness).astimezone(observed.zone).date()
    last = end - timedelta(days=1)
    return last if last >= observed.first else None


def received_days(observed: Observed, last: date, length: int) -> int:
    """Dates of a window whose zero is a value; 0 where the window holds dates that wait for a build or for data."""
    first = last - timedelta(days=length - 1)
    if observed.last is None or last > observed.last or observed.is_behind(first, last + timedelta(days=1)):
        return 0
    return sum(observed.is_received(day) for day in dates_between(first, last))


def window_status(observed: Observed, day: date, length: int, span: tuple[date, date]) -> Status:
    """The status of a rolling value that stands for the dates of a span."""
    return observed.of_window_in(day, length, span[0], span[1] + timedelta(days=1))


def segment_values(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> list[Segment]:
    """The values that occur, in order; one empty one where there are no dimensions."""
    return sorted({tuple(row[name] for name in names) for row in rows}) if names else [()]


def of_segment(row: Mapping[str, Any], names: Sequence[str]) -> Segment:
    """A row's values."""
    return tuple(row[name] for name in names)
