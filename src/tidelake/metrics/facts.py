"""The rows that metrics are computed from, as SELECTs: from gold where gold has them, else from silver.

Every SELECT gives `day`, one column `s0`, `s1` ... a dimension, and what the kinds need: `amount` and
`weight` (rows behind it) for sums, `actor_id` for distinct actors, sessions, and sums that are asked by actor.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Literal

from tidelake.contracts.table import literal, quoted
from tidelake.engine.sql import columns_of
from tidelake.gold.builtin import ALL
from tidelake.gold.context import Gold
from tidelake.gold.sqltext import date_literal, exact_sum, instant_literal, one_of
from tidelake.metrics.attributes import actor_day_rows, is_of_actors, session_rows
from tidelake.metrics.conditions import conjunction
from tidelake.metrics.definition import Metric
from tidelake.metrics.dimensions import UNKNOWN, segment
from tidelake.metrics.kinds.edges import Edge
from tidelake.metrics.session_events import KEY, TABLE, named_in

__all__ = ["UNKNOWN", "Attributed", "Facts", "Pair", "Rows", "Spans", "segment"]
_READ = frozenset(("source", "event_date", "event_time", "seq", "event_id", "actor_id", "event_name"))
_LEVEL = "actor_level"
Attributed = Literal["no", "known", "all"]
Spans = tuple[tuple[date, date], ...]


@dataclass(frozen=True)
class Rows:
    """A SELECT in pieces, so that two that read the same rows can be told to be one.

    Attributes:
        columns: What tells rows apart: day, segments and, where it is asked, the actor, each as `sql AS name`.
        amount: What is added up or ranked.
        weight: Rows behind it.
        source: FROM and all that follows.
    """

    columns: tuple[str, ...]
    amount: str | None
    weight: str | None
    source: str
    is_distinct: bool = False

    def sql(self) -> str:
        """The SELECT."""
        named = [(self.amount, "amount"), (self.weight, "weight")]
        listed = [*self.columns, *(f"{text} AS {name}" for text, name in named if text is not None)]
        return f"SELECT {'DISTINCT ' if self.is_distinct else ''}{', '.join(listed)} FROM {self.source}"


@dataclass(frozen=True)
class Facts:
    """One question's facts.

    Attributes:
        by: Dimensions.
        where: Condition over silver's columns (sessions: over theirs).
        spans: First and last local dates to read.
        actor: Column that says who it was, where it is not `actor_id`; of a session, that of its first event.
        attributed: Whether sums of events are given by actor: not, of known actors only, or with the rest in a row
            whose actor is null.
        also: Columns to read besides, so that another metric's facts can be read in the same pass.
        until: Only events up to this instant, and sessions that start by then.
        edge: An actor's day has one value of the dimensions: that of its first, or last, event; null = each.
    """

    gold: Gold
    metric: Metric
    by: tuple[str, ...]
    where: str | None
    spans: Spans
    actor: str | None = None
    attributed: Attributed = "no"
    also: tuple[str, ...] = ()
    until: datetime | None = None
    edge: Edge | None = None

    @property
    def segments(self) -> list[str]:
        return [f"s{index}" for index in range(len(self.by))]

    @property
    def tables(self) -> list[str]:
        """The tables that the rows come from."""
        if self.metric.fact == "session":
            return ["gold.sessions", *(self.gold.events.inputs if self._has_level else [])]
        if self.metric.fact == "count":
            return [self._count_table]
        if self._from_silver:
            return self.gold.events.inputs
        if self._from_event_day:
            return ["gold.event_day"]
        is_whole = not self.by or self._is_of_actors or self.edge is not None
        return ["gold.user_day" if is_whole else "gold.user_day_value"]

    @property
    def is_distinct(self) -> bool:
        """Whether an actor has one row a day and value: those of distinct actors have, of gold and of silver."""
        return self.metric.kind in ("distinct", "mean_of_days") and self.metric.fact == "event"

    @property
    def carried(self) -> list[str]:
        """Columns of the rows besides the day and the segments."""
        if self.metric.kind in ("distinct", "mean_of_days"):
            return ["actor_id"]
        return ["amount", "weight", "actor_id"] if self._has_actor else ["amount", "weight"]

    def rows(self) -> str:
        """SELECT of the rows."""
        return self.pieces().sql()

    def pieces(self) -> Rows:
        """The SELECT of the rows in pieces."""
        if self.metric.fact == "session":
            return self._sessions()
        if self.metric.fact == "count":
            return self._counts()
        if self.metric.fact == "actor_day":
            return self._actor_days()
        if self.metric.kind in ("distinct", "mean_of_days"):
            return self._actors()
        return self._events() if self.metric.kind == "sum" else self._single_events()

    @property
    def _has_actor(self) -> bool:
        sums = self.metric.kind == "sum" and self.metric.fact == "event"
        return self.metric.fact != "count" and (not sums or self.attributed != "no")

    @property
    def _has_level(self) -> bool:
        """Whether it matters that the actor is another: not where rows are added up, whoever they are of."""
        adds_up = self.metric.kind == "sum" and self.metric.fact != "actor_day" and self.attributed == "no"
        return self.actor is not None and self.metric.fact != "count" and not adds_up

    @property
    def _who(self) -> str:
        return f"CAST({quoted(self.actor)} AS VARCHAR)" if self.actor is not None else "actor_id"

    @property
    def _has_uncounted(self) -> bool:
        """Whether a measure is asked for that gold does not carry, so that its events are counted here."""
        schema = self.gold.lake.schema("gold.user_day") if self.metric.fact == "actor_day" else None
        measures = self.gold.project.measures
        return schema is not None and any(name in measures and name not in schema.names for name in self.needs)

    # --- what to read

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """Columns that the definition names."""
        named = [self.metric.column] if self.metric.column else []
        for text in (self.metric.expression, self.metric.where):
            named += columns_of(text) if text else []
        return tuple(dict.fromkeys(named))

    @property
    def _definition_where(self) -> str | None:
        """The definition's own condition over silver's rows; those of other facts are over theirs."""
        if self.metric.fact != "event":
            return None
        names = one_of("event_name", self.metric.event) if self.metric.event else None
        return conjunction([names, self.metric.where])

    @property
    def _silver_where(self) -> str | None:
        own, until = self._definition_where, self._until("event_time")
        asked = None if self._told and own is None and until is None else self.where
        return conjunction([own, asked, until]) if own or until else asked

    @cached_property
    def _told(self) -> list[str]:
        """The attributes of actors that the condition is about: gold's days are enough for these, and for it."""
        is_of_days = self.metric.fact == "actor_day" or self.metric.kind in ("distinct", "mean_of_days")
        if not self.where or not is_of_days or self.actor is not None or self.metric.fact == "session":
            return []
        told = self.gold.events.attributes
        names = list(columns_of(told.spelled(self.where)))
        is_of_gold = len(self.by) < 2 and set(self.by) <= set(self.gold.project.dimensions)
        return names if is_of_actors(self.gold, [*names, *([] if is_of_gold else self.by)]) else []

    def _until(self, column: str) -> str | None:
        return f"{column} <= {instant_literal(self.until)}" if self.until is not None else None

    @property
    def _from_silver(self) -> bool:
        if self._silver_where is not None or self._has_level or self._has_uncounted:
            return True
        if self._is_of_actors:
            return False
        if (len(self.by) > 1 and self.edge is None) or any(
            name not in self.gold.project.dimensions for name in self.by
        ):
            return True
        if self.metric.fact == "event" and self.metric.kind not in ("distinct", "mean_of_days"):
            is_sum = self.metric.kind == "sum" and self.metric.expression is None
            return not is_sum or self.attributed == "all"
        return False

    @cached_property
    def _is_of_actors(self) -> bool:
        """Whether the dimensions are what an actor is on all its days alike, so that gold's days can be cut by them."""
        is_of_days = self.metric.fact == "actor_day" or self.metric.kind in ("distinct", "mean_of_days")
        return is_of_days and is_of_actors(self.gold, self.by)

    @property
    def _from_event_day(self) -> bool:
        return self.metric.fact == "event" and self.metric.kind == "sum" and self.attributed == "no"

    def _within(self, column: str) -> str:
        spans = [f"{column} BETWEEN {date_literal(first)} AND {date_literal(last)}" for first, last in self.spans]
        return spans[0] if len(spans) == 1 else f"({' OR '.join(spans)})"

    def _dimension(self) -> str:
        return literal(self.by[0] if self.by else ALL)

    def _named(self, day: str, *, has_values: bool, has_actor: bool) -> tuple[str, ...]:
        """The columns that tell rows apart; `has_values`: the segment is the column `value`."""
        segments = ["value AS s0"] if has_values and not self._is_of_actors and self.edge is None else self._listed
        who = [f"{self._who} AS actor_id" if self._has_level else "actor_id"] if has_actor else []
        return (f"{day} AS day", *segments, *who)

    @property
    def _listed(self) -> list[str]:
        if self._has_edges and self._from_silver:
            return self.segments
        prefix = f"{self.edge}_" if self._has_edges else ""
        return [f"{segment(prefix + name)} AS s{index}" for index, name in enumerate(self.by)]

    @property
    def _grouped(self) -> str:
        if self._has_edges:
            return "".join(f", {name}" for name in self.segments)
        return "".join(f", {segment(name)}" for name in self.by)

    @property
    def _has_edges(self) -> bool:
        """Whether the values are those of an actor's first or last event of a day."""
        return self.edge is not None and not self._is_of_actors

    # --- events

    def _events(self) -> Rows:
        column = quoted(self.metric.column or "event_count")
        has_actor = self.attributed != "no"
        if not self._from_silver and self._from_event_day:
            return Rows(
                self._named("activity_date", has_values=bool(self.by), has_actor=False),
                column,
                "event_count",
                f"gold.event_day WHERE dimension = {self._dimension()} AND {self._within('activity_date')}",
            )
        if not self._from_silver:
            return Rows(
                self._named("activity_date", has_values=bool(self.by), has_actor=True),
                column,
                "event_count",
                f"{self._day_table()} AND {self._within('activity_date')}",
            )
        who = self._who if self._has_level else "actor_id"
        actors = f" AND {who} IS NOT NULL" if self.attributed == "known" else ""
        return Rows(
            self._named("event_date", has_values=False, has_actor=has_actor),
            self._amount(),
            "count(*)",
            f"({self._silver(everything=True)}) AS events WHERE is_counted{actors} "
            f"GROUP BY event_date{self._grouped}{f', {who}' if has_actor else ''}",
        )

    def _single_events(self) -> Rows:
        """A row an event of a known actor."""
        return Rows(
            self._named("event_date", has_values=False, has_actor=True),
            self.metric.expression,
            "1",
            self._known_events,
        )

    def _actors(self) -> Rows:
        if not self._from_silver:
            return Rows(
                self._named("activity_date", has_values=bool(self.by), has_actor=True),
                None,
                None,
                f"{self._day_table()} AND is_active AND {self._within('activity_date')}",
            )
        listed = self._named("event_date", has_values=False, has_actor=True)
        return Rows(listed, None, None, f"{self._known_events} WHERE is_active", is_distinct=True)

    @property
    def _known_events(self) -> str:
        """The events that count and say who it was."""
        rows = self._silver()
        if self._has_level:
            every = f"({self._silver(everything=True)}) AS every_event"
            rows = f"SELECT * FROM {every} WHERE is_counted AND {self._who} IS NOT NULL"
        if self._has_edges:
            order = self.gold.events.order("event_time", backwards=self.edge == "last")
            who = self._who if self._has_level else "actor_id"
            window = f"OVER (PARTITION BY {who}, event_date ORDER BY {order})"
            values = "".join(
                f", first_value({segment(name)}) {window} AS s{index}" for index, name in enumerate(self.by)
            )
            rows = f"SELECT *{values} FROM ({rows}) AS in_order"
        return f"({rows}) AS events"

    def _day_table(self) -> str:
        is_whole = self._is_of_actors or not self.by or self._has_edges
        table = "gold.user_day" if is_whole else "gold.user_day_value"
        among = "TRUE" if is_whole else f"dimension = {self._dimension()}"
        about = [*(self.by if self._is_of_actors else ()), *self._told]
        if self._told:
            among += f" AND ({self.gold.events.attributes.spelled(self.where or '')})"
        return f"{actor_day_rows(self.gold, about, table) if about else table} WHERE {among}"

    def _amount(self) -> str:
        if self.metric.expression is not None:
            return f"coalesce({exact_sum(f'({self.metric.expression})', 'WIDE')}, 0)"
        return self._of_events(self.metric.column or "event_count")

    def _of_events(self, column: str) -> str:
        """A column of gold as an aggregate over events."""
        if column == "event_count":
            return "count(*)"
        if column == "active_event_count":
            return "count(*) FILTER (WHERE is_active)"
        if column == "is_active":
            return "count(*) FILTER (WHERE is_active) > 0"
        return self.gold.events.measure(column)

    def _silver(self, *, everything: bool = False) -> str:
        events = self.gold.events
        wanted = [name for name in self.by if name not in _READ]
        wanted += [self.actor] if self.actor else []
        for name in (*self.needs, *self.also):
            rule = events.project.measures.get(name)
            if rule is not None:
                wanted += [one for one in (rule.sum, rule.distinct) if one]
            elif self.metric.fact == "event" and self.metric.expression:
                is_read = name in events.types or events.attributes.of(name) is not None
                wanted += [name] if is_read and name not in _READ else []
        inner = events.select(columns=list(dict.fromkeys(wanted)), everything=everything, where=self._silver_where)
        return f"SELECT * FROM ({inner}) AS read_events WHERE {self._within('event_date')}"

    # --- actors' days

    def _actor_days(self) -> Rows:
        where = conjunction([self.metric.where])
        condition = f" AND {where}" if where else ""
        is_distinct = self.metric.kind in ("distinct", "mean_of_days")
        amount = None if is_distinct else self.metric.expression or quoted(self.metric.column or "")
        weight = None if is_distinct else "1"
        if not self._from_silver:
            listed = self._named("activity_date", has_values=bool(self.by), has_actor=True)
            source = f"{self._day_table()}{condition} AND {self._within('activity_date')}"
            return Rows(listed, amount, weight, source)
        listed = ("event_date AS day", *self.segments, "actor_id")
        return Rows(listed, amount, weight, f"({self._days_of_silver()}) AS days WHERE TRUE{condition}")

    def _days_of_silver(self) -> str:
        wanted = dict.fromkeys((*self.needs, *self.also))
        columns = "".join(f", {self._of_events(name)} AS {quoted(name)}" for name in wanted)
        listed = "".join(f", {text}" for text in self._listed)
        who = self._who if self._has_level else "actor_id"
        return (
            f"SELECT event_date{listed}, {who} AS actor_id{columns} FROM {self._known_events} "
            f"GROUP BY {who}, event_date{self._grouped}"
        )

    # --- sessions

    def _sessions(self) -> Rows:
        asked = conjunction([self.metric.where, self.where, self._until("started_at")])
        condition = f" AND {asked}" if asked else ""
        is_distinct = self.metric.kind in ("distinct", "mean_of_days")
        counted = named_in(self.gold, (*self.needs, *self.also))
        counts = _with_counts(counted) if counted else "gold.sessions"
        expression = self.metric.expression or (quoted(self.metric.column) if self.metric.column else None)
        columns = self._named("session_date", has_values=False, has_actor=not self._has_level)
        if self._has_level:
            counts, columns = self._with_level(counts), (*columns, f"{_LEVEL} AS actor_id")
            if self.metric.kind != "sum" or self.attributed == "known":
                condition += f" AND {_LEVEL} IS NOT NULL"
        return Rows(
            columns,
            None if is_distinct else expression,
            None if is_distinct else "1",
            f"{session_rows(self.gold, self.by, asked, table=counts)} WHERE {self._within('session_date')}{condition}",
        )

    def _with_level(self, sessions: str) -> str:
        """Sessions with the other actor of their first event; where several at its instant differ, the least."""
        events = self.gold.events.select(columns=[self.actor or ""])
        levels = (
            f"SELECT actor_id, event_time, min({self._who}) AS {_LEVEL} FROM ({events}) AS events "
            f"WHERE {self._who} IS NOT NULL GROUP BY actor_id, event_time"
        )
        return (
            f"(SELECT made.*, levels.{_LEVEL} FROM (SELECT * FROM {sessions}) AS made LEFT JOIN ({levels}) AS levels "
            "ON levels.actor_id = made.actor_id AND levels.event_time = made.started_at) AS levelled"
        )

    # --- count facts

    @property
    def _count_table(self) -> str:
        is_whole = self.where is None and self.metric.where is None and self.until is None
        if is_whole and set(self.by) <= {"entity"}:
            return "gold.entity_day"
        return f"silver.{self.metric.source}"

    def _counts(self) -> Rows:
        column = quoted(self.metric.column or "")
        if self._count_table == "gold.entity_day":
            return Rows(
                ("activity_date AS day", *(["entity AS s0"] if self.by else [])),
                column,
                "1",
                f"gold.entity_day WHERE source = {literal(self.metric.source or '')} AND {column} IS NOT NULL "
                f"AND {self._within('activity_date')}",
            )
        human = "TRUE" if self.gold.project.activity.any else "coalesce(traffic_class, 'human') = 'human'"
        asked = conjunction([self.metric.where, self.where, self._until("event_time")])
        condition = f" AND {asked}" if asked else ""
        return Rows(
            self._named("event_date", has_values=False, has_actor=False),
            column,
            "1",
            f"silver.{self.metric.source} WHERE {human} AND {self._within('event_date')}{condition}",
        )


@dataclass(frozen=True)
class Pair:
    """The facts of a ratio: `y` above and `x` below the line for each actor; in one pass where both read the same."""

    above: Facts
    below: Facts

    @property
    def segments(self) -> list[str]:
        return self.above.segments

    @property
    def tables(self) -> list[str]:
        return list(dict.fromkeys([*self.above.tables, *self.below.tables]))

    @property
    def carried(self) -> list[str]:
        return ["actor_id", "y", "x"]

    def rows(self) -> str:
        """SELECT of the rows."""
        above, below = self.above.pieces(), self.below.pieces()
        y, x = above.amount or "1", below.amount or "1"
        kept = ", ".join(["day", *self.segments, "actor_id"])
        if (above.columns, above.source) == (below.columns, below.source) and not above.is_distinct:
            return f"SELECT {', '.join(above.columns)}, {_number(y)} AS y, {_number(x)} AS x FROM {above.source}"
        none = "CAST(NULL AS DECIMAL(28, 9))"
        tops = f"SELECT {kept}, {_number('amount' if above.amount else '1')} AS y, {none} AS x FROM ({above.sql()})"
        bottoms = f"SELECT {kept}, {none} AS y, {_number('amount' if below.amount else '1')} AS x FROM ({below.sql()})"
        return f"{tops} AS above UNION ALL {bottoms} AS below"


def _with_counts(names: list[str]) -> str:
    """gold.sessions with what its events add up to, by the columns that tell sessions apart."""
    columns = "".join(f", coalesce(counts.{quoted(name)}, 0) AS {quoted(name)}" for name in names)
    keys = " AND ".join(f"counts.{key} = made.{key}" for key in KEY)
    return f"(SELECT made.*{columns} FROM gold.sessions AS made LEFT JOIN {TABLE} AS counts ON {keys}) AS counted"


def _number(text: str) -> str:
    return f"CAST({text} AS DECIMAL(28, 9))"
