"""Diversity: how a period's views, events or watch time are spread over entities or categories (METRICS section 13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import exp
from typing import Any

import pyarrow as pa
from pydantic import Field

from tidelake.config import Project, Settings
from tidelake.contracts.source import Source, columns_by_field
from tidelake.contracts.table import quoted
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.engine.sql import check_expression, check_names_in
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import date_literal, exact_sum
from tidelake.metrics.answer import answer_by_period
from tidelake.metrics.catalogue import Grain, Metric, find_metric
from tidelake.metrics.dimensions import check_dimensions, conditional_columns, fact_dimensions, segment
from tidelake.metrics.facts import Facts
from tidelake.metrics.kinds.shares import concentration_sql
from tidelake.metrics.periods import dates_between, days_table, grain_named, next_period, whole_periods
from tidelake.metrics.series import observe_read, span
from tidelake.metrics.status import Observed

ENTITY = "entity"
_INDICES = ("hhi", "effective_number", "shannon", "shannon_exponential", "top_k_share")


class Diversity(Settings):
    """How a metric is spread over the values of `of`.

    Attributes:
        metric: The weight of a category: views, events, a measure, watch_seconds.
        of: The categories: `entity`, or a dimension.
        top_k: Categories in `top_k_share`.
    """

    metric: str
    of: str = ENTITY
    top_k: int = Field(10, ge=1)


def diversity(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Diversity | str,
    *,
    by: Sequence[str] = (),
    grain: str = "day",
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
    members: bool = False,
) -> Result:
    """How evenly a period's total is spread over categories.

    Args:
        by: Dimensions; the shares are taken within each of their values.
        grain: day, week or month.
        start: First local date; None = where the data begin.
        end: Last local date; None = where the data end.
        where: SQL over silver's columns (watch time of sessions: over those of sessions).
        members: The actors behind the weights instead: `category`, `actor_id` (null = rows without one) and their
            part as `value`. Count facts have none.

    Returns:
        One row a period and segment. With shares s: `value` = diversity = 1 - hhi, `hhi` = sum of s squared,
        `effective_number` = 1 / hhi, `shannon` = -sum of s ln s, `shannon_exponential` = e to that, `top_k_share` =
        `numerator` / `denominator`: the largest categories and all of them; `n` = categories with something. Null
        where nothing was received or the total is 0, and where a category has less than 0. A census: no interval.

    Raises:
        UnknownNameError: Unknown metric, dimension or grain.
        DefinitionError: The metric does not add up over categories, or does not carry them.
        QueryError: `where` is not one portable condition.
    """
    asked = definition if isinstance(definition, Diversity) else Diversity(metric=definition)
    gold = open_gold(engine, lake, project, sources)
    question = _Question(gold, asked, (by,) if isinstance(by, str) else tuple(by), grain_named(grain), where)
    return question.answer(start, end, members=members)


@dataclass(frozen=True)
class _Question:
    gold: Gold
    asked: Diversity
    by: tuple[str, ...]
    grain: Grain
    where: str | None

    @property
    def metric(self) -> Metric:
        return find_metric(self.asked.metric, self.gold.project, self.gold.sources)

    @property
    def is_declared_watch(self) -> bool:
        """Whether the weight is watch time that events declare, which any column of theirs can cut."""
        return self.metric.expression == "watch_seconds" and self.gold.project.watch.column is not None

    @property
    def segments(self) -> list[str]:
        return [f"s{index}" for index in range(1, len(self.by) + 1)]

    def answer(self, start: date | None, end: date | None, *, members: bool) -> Result:
        self._check()
        if members and self.metric.fact == "count":
            raise DefinitionError(f"'{self.metric.name}' counts entities, which have no actors: there are no members.")
        names = self._source_names()
        tables = self._tables()
        observed = observe_read(self.gold, names, tables)
        first, last = span(observed, start, end)
        rows: list[dict[str, Any]] = []
        notes: list[str] = []
        sql = ""
        if first is None or last is None:
            notes.append("The lake holds no rows for this metric yet.")
        else:
            first, last = whole_periods(first, last, self.grain, self.gold.project.week_start)
            sql = self.sql(first, last, observed)
            found = self.gold.query(sql)
            rows = self._rows(found, first, last, observed)
            if members:
                sql = self._members_sql(first, last)
                rows = [self._member(row, observed) for row in self.gold.query(sql)]
            elif any(row["negatives"] for row in found):
                notes.append("A category has less than 0 in some periods: it has no share, so their values are null.")
        named = f" by {', '.join(self.by)}" if self.by else ""
        before, after = list[pa.Field](), list[pa.Field]()
        if members:
            before = [pa.field(name, pa.string()) for name in ("category", "actor_id")]
        else:
            after = [pa.field(name, pa.float64(), _unit(name)) for name in _INDICES]
            values = "entities" if self.asked.of == ENTITY else f"values of {self.asked.of}"
            notes.append(f"value = diversity = 1 - hhi; n = {values} with something; k = {self.asked.top_k}")
        return answer_by_period(
            self.gold,
            rows,
            self.by,
            self.asked,
            before=before,
            after=after,
            name=f"diversity of {self.asked.metric} over {self.asked.of}",
            observed=observed,
            sql=sql,
            tables=tables,
            title=f"Diversity of {self.metric.name} over {self.asked.of}{named}",
            notes=notes,
        )

    def _check(self) -> None:
        metric, names = self.metric, (self.asked.of, *self.by)
        if not metric.is_additive:
            raise DefinitionError(
                f"'{metric.name}' does not add up over categories, so they have no shares of it.",
                hint="Weigh them with events, sessions, watch_seconds, a measure of tide.yml, or views.",
            )
        if self.asked.of in self.by:
            raise DefinitionError(f"'{self.asked.of}' is both the category and a dimension.")
        if self.is_declared_watch:
            known = fact_dimensions(self.gold, "event")
            for name in names:
                if name not in known:
                    raise UnknownNameError("dimension", name, known)
        else:
            check_dimensions(self.gold, metric, [metric], names)
        if self.where is not None:
            check_expression(self.where)
            columns = list(self.gold.events.types) if self.is_declared_watch else conditional_columns(self.gold, metric)
            check_names_in(self.where, columns, columns_by_field(self.gold.sources))

    def _source_names(self) -> list[str]:
        if self.metric.fact == "count":
            return [self.metric.source or ""]
        return [source.name for source in self.gold.events.sources]

    def _facts(self, first: date, last: date) -> Facts:
        return Facts(self.gold, self.metric, (self.asked.of, *self.by), self.where, ((first, last),))

    def _tables(self) -> list[str]:
        return self.gold.events.inputs if self.is_declared_watch else self._facts(date.min, date.max).tables

    def sql(self, first: date, last: date, observed: Observed) -> str:
        """The SELECT; `temp.diversity_days` says which dates make which period."""
        days = [day for day in dates_between(first, last) if day not in observed.behind]
        self.gold.temp("diversity_days", days_table(days, self.grain, self.gold.project.week_start))
        facts = self._watched(first, last) if self.is_declared_watch else self._facts(first, last).rows()
        groups = ["period_start", *self.segments]
        listed = ", ".join(["days.period_start", *self.segments])
        rows = (
            f"SELECT {listed}, s0 AS category, CAST({exact_sum('amount', 'WIDE')} AS DOUBLE) AS amount "
            f"FROM ({facts}) AS facts JOIN temp.diversity_days AS days ON days.day = facts.day GROUP BY {listed}, s0"
        )
        return concentration_sql(rows, groups, top_k=self.asked.top_k)

    def _members_sql(self, first: date, last: date) -> str:
        """SELECT of each actor's part of each category's weight, by period."""
        if self.is_declared_watch:
            facts = self._watched(first, last)
        elif self.metric.fact == "session":
            facts = self._facts(first, last).rows()
        else:
            facts = self._acted(first, last)
        listed = ", ".join(["days.period_start", *self.segments, "s0", "actor_id"])
        return (
            f"SELECT {listed}, {exact_sum('amount', 'WIDE')} AS value FROM ({facts}) AS facts "
            f"JOIN temp.diversity_days AS days ON days.day = facts.day GROUP BY {listed} ORDER BY {listed}"
        )

    def _member(self, row: Mapping[str, Any], observed: Observed) -> dict[str, Any]:
        given = dict(zip(self.by, (row[name] for name in self.segments), strict=True))
        first = row["period_start"]
        status = observed.of_period(first, next_period(first, self.grain))
        return {**row, **given, "category": row["s0"], "grain": self.grain, "status": status}

    def _acted(self, first: date, last: date) -> str:
        """SELECT of what each actor's events add to the metric, by day and category."""
        events, column = self.gold.events, self.metric.column or "event_count"
        names = (self.asked.of, *self.by)
        rule = self.gold.project.measures.get(column)
        used = [*names, *([rule.sum] if rule is not None and rule.sum else [])]
        counted = "count(*) FILTER (WHERE is_active)" if column == "active_event_count" else "count(*)"
        amount = counted if rule is None else events.measure(column)
        columns = [name for name in dict.fromkeys(used) if name not in ("event_name", "source")]
        cut = "".join(f", {segment(name)} AS s{index}" for index, name in enumerate(names))
        grouped = "".join(f", {segment(name)}" for name in names)
        return (
            f"SELECT event_date AS day, actor_id{cut}, {amount} AS amount "
            f"FROM ({events.select(columns=columns, everything=True, where=self.where)}) AS events WHERE is_counted "
            f"AND event_date BETWEEN {date_literal(first)} AND {date_literal(last)} "
            f"GROUP BY event_date, actor_id{grouped}"
        )

    def _watched(self, first: date, last: date) -> str:
        events, column = self.gold.events, self.gold.project.watch.column or ""
        names = (self.asked.of, *self.by)
        cut = "".join(f", {segment(name)} AS s{index}" for index, name in enumerate(names))
        columns = [name for name in dict.fromkeys([*names, column]) if name not in ("event_name", "source")]
        return (
            f"SELECT event_date AS day, actor_id{cut}, {quoted(column)} AS amount "
            f"FROM ({events.select(columns=columns, where=self.where)}) AS events "
            f"WHERE {events.watch_event} AND event_date BETWEEN {date_literal(first)} AND {date_literal(last)}"
        )

    def _rows(
        self, found: Sequence[Mapping[str, Any]], first: date, last: date, observed: Observed
    ) -> list[dict[str, Any]]:
        """A row for every period and every segment that occurs."""
        occurring = sorted({tuple(row[name] for name in self.segments) for row in found}) if self.by else [()]
        by_key = {(row["period_start"], *(row[name] for name in self.segments)): row for row in found}
        rows = []
        while first <= last:
            after = next_period(first, self.grain)
            is_known = not observed.is_behind(first, after)
            status = observed.of_period(first, after)
            for values in occurring:
                row = by_key.get((first, *values)) if is_known else None
                given = dict(zip(self.by, values, strict=True))
                rows.append({"period_start": first, "grain": self.grain, "status": status, **given, **indices(row)})
            first = after
        return rows


def indices(row: Mapping[str, Any] | None) -> dict[str, Any]:
    """The indices from a row of `concentration_sql`; null where nothing was received or a category is below 0."""
    if row is None or row["negatives"] or not row["total"]:
        return {}
    return {
        "value": 1 - row["hhi"],
        "hhi": row["hhi"],
        "effective_number": 1 / row["hhi"],
        "shannon": row["shannon"],
        "shannon_exponential": exp(row["shannon"]),
        "top_k_share": row["top_amount"] / row["total"],
        "numerator": row["top_amount"],
        "denominator": row["total"],
        "n": row["categories"],
    }


def _unit(name: str) -> dict[str, str] | None:
    return {"unit": "share"} if name == "top_k_share" else None
