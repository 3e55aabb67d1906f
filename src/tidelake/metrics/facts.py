"""The rows that metrics are computed from, as SELECTs: from gold where gold has them, else from silver.

Every SELECT gives `day`, one column `s0`, `s1` ... a dimension, and what the kinds need: `amount` and
`weight` (rows behind it) for sums, `actor_id` for distinct actors and sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import get_args

from tidelake.contracts.table import literal, quoted
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.builtin import ALL
from tidelake.gold.context import Gold
from tidelake.gold.events import CANONICAL
from tidelake.gold.sqltext import date_literal
from tidelake.metrics.catalogue import Fact, Metric

UNKNOWN = "(unknown)"
_NEVER_DIMENSIONS = frozenset(
    ("event_time", "event_id", "received_at", "seq", "content_hash", "file_id", "source_position", "batch_id")
) | {"ingested_at", "event_date", "actor_id", "valid_from", "valid_to"}


@dataclass(frozen=True)
class Facts:
    """One question's facts.

    Attributes:
        by: Dimensions.
        where: Condition over silver's columns (sessions: over theirs).
        first: First local date to read.
        last: Last local date to read.
    """

    gold: Gold
    metric: Metric
    by: tuple[str, ...]
    where: str | None
    first: date
    last: date

    @property
    def segments(self) -> list[str]:
        return [f"s{index}" for index in range(len(self.by))]

    @property
    def tables(self) -> list[str]:
        """The tables that the rows come from."""
        if self.metric.fact == "session":
            return ["gold.sessions"]
        if self.metric.fact == "count":
            return [self._count_table]
        if self._from_silver:
            return self.gold.events.inputs
        if self.metric.kind == "sum" and self.metric.fact == "event":
            return ["gold.event_day"]
        return ["gold.user_day_value" if self.by else "gold.user_day"]

    def rows(self) -> str:
        """SELECT of the rows."""
        if self.metric.fact == "session":
            return self._sessions()
        if self.metric.fact == "count":
            return self._counts()
        if self.metric.kind in ("distinct", "mean_of_days"):
            return self._actors()
        return self._actor_days() if self.metric.fact == "actor_day" else self._events()

    # --- events

    @property
    def _from_silver(self) -> bool:
        dimensions = self.gold.project.dimensions
        return self.where is not None or len(self.by) > 1 or any(name not in dimensions for name in self.by)

    def _within(self, column: str) -> str:
        return f"{column} BETWEEN {date_literal(self.first)} AND {date_literal(self.last)}"

    def _dimension(self) -> str:
        return literal(self.by[0] if self.by else ALL)

    def _events(self) -> str:
        column = quoted(self.metric.column or "event_count")
        if not self._from_silver:
            segment = ", value AS s0" if self.by else ""
            return (
                f"SELECT activity_date AS day{segment}, {column} AS amount, event_count AS weight FROM gold.event_day "
                f"WHERE dimension = {self._dimension()} AND {self._within('activity_date')}"
            )
        return (
            f"SELECT event_date AS day{self._listed()}, {self._amount()} AS amount, count(*) AS weight "
            f"FROM ({self._silver(everything=True)}) AS events WHERE is_counted GROUP BY event_date{self._grouped()}"
        )

    def _actor_days(self) -> str:
        column = quoted(self.metric.column or "")
        if not self._from_silver:
            table, chosen = self._day_table()
            return (
                f"SELECT activity_date AS day{chosen}, {column} AS amount, 1 AS weight FROM {table} "
                f"AND {self._within('activity_date')}"
            )
        return (
            f"SELECT event_date AS day{self._listed()}, {self._amount()} AS amount, 1 AS weight "
            f"FROM ({self._silver()}) AS events GROUP BY actor_id, event_date{self._grouped()}"
        )

    def _actors(self) -> str:
        if not self._from_silver:
            table, chosen = self._day_table()
            return (
                f"SELECT activity_date AS day{chosen}, actor_id FROM {table} AND is_active "
                f"AND {self._within('activity_date')}"
            )
        return (
            f"SELECT DISTINCT event_date AS day{self._listed()}, actor_id "
            f"FROM ({self._silver()}) AS events WHERE is_active"
        )

    def _day_table(self) -> tuple[str, str]:
        if not self.by:
            return "gold.user_day WHERE TRUE", ""
        return f"gold.user_day_value WHERE dimension = {self._dimension()}", ", value AS s0"

    def _amount(self) -> str:
        column = self.metric.column or "event_count"
        if column == "event_count":
            return "count(*)"
        if column == "active_event_count":
            return "count(*) FILTER (WHERE is_active)"
        return self.gold.events.measure(column)

    def _silver(self, *, everything: bool = False) -> str:
        events = self.gold.events
        provided = {"event_name", "source"}
        rule = events.project.measures.get(self.metric.column or "")
        wanted = [name for name in self.by if name not in provided]
        wanted += [name for name in (rule.sum, rule.distinct) if name] if rule is not None else []
        inner = events.select(columns=list(dict.fromkeys(wanted)), everything=everything, where=self.where)
        return f"SELECT * FROM ({inner}) AS read_events WHERE {self._within('event_date')}"

    def _listed(self) -> str:
        return "".join(f", {segment(name)} AS s{index}" for index, name in enumerate(self.by))

    def _grouped(self) -> str:
        return "".join(f", {segment(name)}" for name in self.by)

    # --- sessions

    def _sessions(self) -> str:
        dimensions = self.gold.project.dimensions
        named = "".join(f", {quoted('first_' + name)} AS {quoted(name)}" for name in dimensions)
        condition = f" AND ({self.where})" if self.where else ""
        return (
            f"SELECT session_date AS day, actor_id{self._listed()}, {self.metric.expression} AS amount, 1 AS weight "
            f"FROM (SELECT *{named} FROM gold.sessions) AS sessions WHERE {self._within('session_date')}{condition}"
        )

    # --- count facts

    @property
    def _count_table(self) -> str:
        if self.where is None and set(self.by) <= {"entity"}:
            return "gold.entity_day"
        return f"silver.{self.metric.source}"

    def _counts(self) -> str:
        column = quoted(self.metric.column or "")
        if self._count_table == "gold.entity_day":
            segments = ", entity AS s0" if self.by else ""
            return (
                f"SELECT activity_date AS day{segments}, {column} AS amount, 1 AS weight FROM gold.entity_day "
                f"WHERE source = {literal(self.metric.source or '')} AND {column} IS NOT NULL "
                f"AND {self._within('activity_date')}"
            )
        human = "TRUE" if self.gold.project.activity.any else "coalesce(traffic_class, 'human') = 'human'"
        condition = f" AND ({self.where})" if self.where else ""
        return (
            f"SELECT event_date AS day{self._listed()}, {column} AS amount, 1 AS weight "
            f"FROM silver.{self.metric.source} WHERE {human} AND {self._within('event_date')}{condition}"
        )


def segment(name: str) -> str:
    """A dimension's value as text; null has its own name."""
    return f"coalesce(CAST({quoted(name)} AS VARCHAR), '{UNKNOWN}')"


def conditional_columns(gold: Gold, metric: Metric) -> list[str]:
    """The columns that a metric's `where` can ask for."""
    if metric.fact in ("event", "actor_day"):
        return list(gold.events.types)
    table = "gold.sessions" if metric.fact == "session" else f"silver.{metric.source}"
    schema = gold.lake.schema(table)
    named = gold.project.dimensions if metric.fact == "session" else ()
    return [*(schema.names if schema is not None else ()), *named]


def check_dimensions(gold: Gold, metric: Metric, by: Sequence[str]) -> None:
    """Raise for dimensions that the metric's fact does not carry.

    Raises:
        UnknownNameError: No fact carries it.
        DefinitionError: Another fact does.
    """
    carried = {fact: dimensions_of(gold, fact, metric.source) for fact in get_args(Fact)}
    for name in by:
        if name in carried[metric.fact]:
            continue
        holders = [fact for fact, names in carried.items() if name in names]
        if holders:
            raise DefinitionError(
                f"'{metric.name}' is made from {metric.fact} facts, which do not carry '{name}'.",
                hint=f"Carried by: {', '.join(holders)} facts. "
                f"Dimensions of {metric.name}: {', '.join(carried[metric.fact]) or 'none'}."
                + (" List it under `dimensions:` in tide.yml." if metric.fact == "session" else ""),
            )
        parts = [part.strip() for part in name.split(",")]
        more = f"Repeat --by: {' '.join(f'--by {part}' for part in parts)}." if len(parts) > 1 else ""
        raise UnknownNameError("dimension", name, carried[metric.fact], more=more)
    if len(set(by)) != len(by):
        raise DefinitionError(f"A dimension is named twice: {', '.join(by)}.")


def dimensions_of(gold: Gold, fact: Fact, source: str | None) -> list[str]:
    """The names by which facts can be cut; none of events before the first build, for their columns are not known.

    Args:
        source: Count facts: the source whose entities are counted.
    """
    if fact == "session":
        return _session_dimensions(gold)
    if fact == "count":
        return _count_dimensions(gold, source)
    events = [name for name in gold.events.types if name not in _NEVER_DIMENSIONS and name != "session_id"]
    return [*events, "source"] if len(gold.events.sources) > 1 else events


def _session_dimensions(gold: Gold) -> list[str]:
    schema = gold.lake.schema("gold.sessions")
    own = [] if schema is None else [name for name in schema.names if name.startswith("first_watch_")]
    return [*gold.project.dimensions, *own, "is_single_event"]


def _count_dimensions(gold: Gold, source: str | None) -> list[str]:
    schema = gold.lake.schema(f"silver.{source}") if source else None
    if schema is None:
        return ["entity"]
    measures = set(gold.sources[source or ""].measures)
    return [name for name in schema.names if name not in _NEVER_DIMENSIONS and name not in measures] + (
        [] if "entity" in schema.names else ["entity"]
    )


EVENT_COLUMNS = CANONICAL
