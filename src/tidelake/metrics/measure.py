"""One metric over time and by dimensions, every row with its status (METRICS section 0)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source, columns_by_field
from tidelake.engine.base import Engine, TableVersion
from tidelake.engine.result import Result
from tidelake.engine.sql import check_expression, check_names_in
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables, dates_behind
from tidelake.metrics.catalogue import GRAINS, Grain, Metric, find_metric
from tidelake.metrics.facts import Facts, check_dimensions, conditional_columns
from tidelake.metrics.kinds.distinct import distinct_sql, mean_of_days_sql, rolling_distinct_sql
from tidelake.metrics.kinds.ratios import mean_sql, quantile_sql
from tidelake.metrics.kinds.sums import sum_sql
from tidelake.metrics.periods import dates_between, next_period, period_start
from tidelake.metrics.reading import for_reading
from tidelake.metrics.status import Observed, Status, observe

SEGMENT_LIMIT = 50
OTHER = "(other)"
_NUMBERS = ("value", "numerator", "denominator", "n", "ci_low", "ci_high")


@dataclass(frozen=True)
class MeasureResult(Result):
    """A metric's rows; printed, what is the same in every row is said once.

    Attributes:
        totals: With dimensions, one row a period: `total`, `sum_of_segments`, `overlap` (an actor may count in
            several segments), `status`.
    """

    totals: pa.Table | None = None
    metric: Metric | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return Result.__str__(for_reading(self))

    def _repr_html_(self) -> str:
        return Result._repr_html_(for_reading(self))


def measure(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    metric: str,
    *,
    by: Sequence[str] = (),
    grain: str = "day",
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
    segment_limit: int = SEGMENT_LIMIT,
) -> MeasureResult:
    """One metric over time.

    Args:
        engine: Runs the SELECT.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        metric: Name or alias.
        by: Dimensions; a row a value. Beyond `segment_limit` values the rest is `(other)`.
        grain: day, week (named by its first date) or month.
        start: First local date; None = where the data begin.
        end: Last local date; None = where the data end.
        where: SQL over silver's columns (session metrics: over those of sessions): only rows for which it is true.
        segment_limit: Values of a dimension that get rows of their own.

    Returns:
        One row a period and segment. `value` is null where the period was not received (`missing`) or the
        denominator is 0; zero is a value. Distinct and summed values are a census and have no interval.

    Raises:
        UnknownNameError: Unknown metric, dimension or grain.
        DefinitionError: The metric has no such grain, or its fact no such dimension.
        QueryError: `where` is not one portable condition, or names a column that is not there.
    """
    gold = open_gold(engine, lake, project, sources)
    definition = find_metric(metric, project, sources)
    if where is not None:
        check_expression(where)
    by = (by,) if isinstance(by, str) else tuple(by)
    if where is not None:
        check_names_in(where, conditional_columns(gold, definition), columns_by_field(sources))
    chosen = _checked_grain(definition, grain)
    check_dimensions(gold, definition, by)
    question = _Question(gold, definition, by, chosen, where, _observed(gold, definition))
    question = question.between(start, end).without_dates_behind()
    return question.answer(segment_limit)


def metric_sql(gold: Gold, metric: Metric) -> str:
    """The SELECT of the metric over all dates with data, by its first grain; empty where there are none.

    `temp.metric_days` in it says which dates make which period.
    """
    question = _Question(gold, metric, (), metric.grains[0], None, _observed(gold, metric)).between(None, None)
    return question.sql() if question.start is not None else ""


def _checked_grain(metric: Metric, grain: str) -> Grain:
    if grain not in GRAINS:
        raise UnknownNameError("grain", grain, GRAINS)
    for known in GRAINS:
        if known == grain and known in metric.grains:
            return known
    raise DefinitionError(
        f"{metric.name} is a metric of a {' or '.join(metric.grains)}, not of a {grain}.",
        hint=f"Use --grain {metric.grains[0]}, or `dau`, `wau`, `mau`, `active_users`.",
    )


def _observed(gold: Gold, metric: Metric) -> Observed:
    if metric.fact == "count":
        return observe(gold, [metric.source or ""])
    return observe(gold, [source.name for source in gold.events.sources])


@dataclass(frozen=True)
class _Question:
    gold: Gold
    metric: Metric
    by: tuple[str, ...]
    grain: Grain
    where: str | None
    observed: Observed
    start: date | None = None
    end: date | None = None

    def between(self, start: date | None, end: date | None) -> _Question:
        """The question over the periods that hold these dates; without bounds, over the dates with data."""
        if start is not None and end is not None and start > end:
            raise DefinitionError(f"The first date {start} lies after the last {end}.")
        return replace(self, start=start or self.observed.first, end=end or self.observed.last)

    def sql(self) -> str:
        """The SELECT of the values, before small segments are put together."""
        return self._sql(self._facts(self.by).rows())

    def without_dates_behind(self) -> _Question:
        """The question with no value for dates of which silver has rows that the table it reads does not have yet."""
        observed = self.observed
        if self.start is None or self.end is None or observed.first is None or observed.last is None:
            return self
        behind: set[date] = set()
        for table in self._facts(self.by).tables:
            days = dates_behind(self.gold.lake, self.gold.sources, table)
            behind |= set(dates_between(observed.first, observed.last)) if days is None else days
        return replace(self, observed=replace(observed, behind=frozenset(behind)))

    def answer(self, limit: int) -> MeasureResult:
        periods = self._periods()
        notes = self._notes()
        if not periods:
            return self._result([], {}, "", notes, None)
        self._write_days(periods)
        facts, said = self._limited(limit)
        sql = self._sql(facts)
        found = self.gold.query(sql)
        rows = self._filled(found, periods, self._occurring(facts, found))
        totals = self._totals(found, periods) if self.by else None
        return self._result(rows, periods, sql, [*notes, *said, *self._total_notes(totals)], totals)

    # --- periods

    def _periods(self) -> dict[date, tuple[date, date]]:
        """The first and last date of every period that holds an asked date, by its start."""
        if self.start is None or self.end is None:
            return {}
        found: dict[date, tuple[date, date]] = {}
        first = period_start(self.start, self.grain, self.gold.project.week_start)
        while first <= self.end:
            after = next_period(first, self.grain)
            found[first] = (first, after - timedelta(days=1))
            first = after
        return found

    def _represents(self, span: tuple[date, date]) -> date:
        """The date whose rolling value stands for a period: its last complete one, else its last with data."""
        days = list(dates_between(*span))
        complete = [day for day in days if self.observed.of_day(day) == "complete"]
        received = [day for day in days if self.observed.is_received(day)]
        return (complete or received or days)[-1]

    def _counted_days(self, span: tuple[date, date]) -> list[date]:
        """The dates that a mean of days is over: the complete ones."""
        return [day for day in dates_between(*span) if self.observed.of_day(day) == "complete"]

    def _write_days(self, periods: Mapping[date, tuple[date, date]]) -> None:
        days, starts = [], []
        for first, span in periods.items():
            if self.metric.is_rolling:
                chosen = [self._represents(span)]
            elif self.metric.kind == "mean_of_days":
                chosen = self._counted_days(span)
            else:
                chosen = list(dates_between(*span))
            days += chosen
            starts += [first] * len(chosen)
        table = pa.table({"day": pa.array(days, pa.date32()), "period_start": pa.array(starts, pa.date32())})
        self.gold.temp("metric_days", table)

    def _status(self, first: date, span: tuple[date, date]) -> Status:
        end = next_period(first, self.grain)
        if self.metric.is_rolling:
            return self.observed.of_window_in(self._represents(span), self.metric.window_days or 1, first, end)
        return self.observed.of_period(first, end)

    def _is_received(self, span: tuple[date, date]) -> bool:
        if self.metric.is_rolling:
            day = self._represents(span)
            last, length = self.observed.last, self.metric.window_days or 1
            first = day - timedelta(days=length - 1)
            is_known = last is not None and day <= last and not self.observed.is_behind(first, day + timedelta(days=1))
            return is_known and any(self.observed.is_received(one) for one in dates_between(first, day))
        if self.observed.is_behind(span[0], span[1] + timedelta(days=1)):
            return False
        return any(self.observed.is_received(day) for day in dates_between(*span))

    # --- numbers

    def _facts(self, by: tuple[str, ...]) -> Facts:
        assert self.start is not None
        assert self.end is not None
        first = period_start(self.start, self.grain, self.gold.project.week_start)
        last = next_period(period_start(self.end, self.grain, self.gold.project.week_start), self.grain)
        before = timedelta(days=(self.metric.window_days or 1) - 1)
        return Facts(self.gold, self.metric, by, self.where, first - before, last - timedelta(days=1))

    def _limited(self, limit: int) -> tuple[str, list[str]]:
        """The facts with the smallest values of each dimension put together, and what to say of it."""
        facts = self._facts(self.by)
        rows, said = facts.rows(), []
        for index, name in enumerate(self.by):
            column = facts.segments[index]
            weight = "sum(amount)" if self.metric.kind == "sum" else "count(*)"
            top = (
                f"SELECT {column} AS segment, {weight} AS weight FROM ({rows}) AS facts GROUP BY {column} "
                f"ORDER BY weight DESC NULLS LAST, segment"
            )
            values = self.gold.query(f"SELECT count(*) AS n FROM ({top.split(' ORDER BY', maxsplit=1)[0]}) AS counted")[
                0
            ]["n"]
            if values <= limit:
                continue
            kept = self.gold.engine.query(f"{top} LIMIT {limit}").select(["segment"])
            self.gold.temp(f"metric_top_{index}", kept)
            others = [f"facts.{other}" for other in facts.segments if other != column]
            columns = ["facts.day", *others, *(f"facts.{more}" for more in self._carried())]
            rows = (
                f"SELECT {', '.join(columns)}, coalesce(top.segment, '{OTHER}') AS {column} FROM ({rows}) AS facts "
                f"LEFT JOIN temp.metric_top_{index} AS top ON top.segment = facts.{column}"
            )
            said.append(f"{name} has {values} values: the {limit} largest are shown, the others are {OTHER}.")
        return rows, said

    def _carried(self) -> list[str]:
        if self.metric.kind in ("distinct", "mean_of_days"):
            return ["actor_id"]
        return ["amount", "weight", "actor_id"] if self.metric.fact == "session" else ["amount", "weight"]

    def _sql(self, rows: str, segments: Sequence[str] | None = None) -> str:
        names = self._facts(self.by).segments if segments is None else segments
        kind = self.metric.kind
        if kind == "distinct" and (self.metric.window_days or 0) > 1:
            return rolling_distinct_sql(rows, names, window_days=self.metric.window_days or 1)
        if kind == "distinct":
            return distinct_sql(rows, names)
        if kind == "mean_of_days":
            return mean_of_days_sql(rows, names)
        if kind == "ratio":
            return mean_sql(rows, names)
        if kind == "quantile":
            return quantile_sql(rows, names, quantile=self.metric.quantile or 0.5)
        return sum_sql(rows, names)

    # --- rows

    def _occurring(self, facts: str, found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        """The segments that occur, also on dates that do not stand for their period."""
        names = self._facts(self.by).segments
        if names and self.metric.is_rolling and self.grain != "day":
            found = self.gold.query(f"SELECT DISTINCT {', '.join(names)} FROM ({facts}) AS facts")
        return sorted({tuple(row[name] for name in names) for row in found}) if names else [()]

    def _filled(
        self,
        found: list[dict[str, Any]],
        periods: Mapping[date, tuple[date, date]],
        segments: Sequence[tuple[Any, ...]],
    ) -> list[dict[str, Any]]:
        """A row for every period and every segment that occurs: 0 where received, null where not."""
        names = self._facts(self.by).segments
        by_key = {(row["period_start"], *(row[name] for name in names)): row for row in found}
        rows = []
        for first, span in periods.items():
            status, received = self._status(first, span), self._is_received(span)
            for values in segments:
                row = by_key.get((first, *values))
                numbers = {name: row[name] for name in _NUMBERS} if row else self._empty(span, received=received)
                if not received:
                    numbers = dict.fromkeys(_NUMBERS)
                rows.append(
                    {"period_start": first, "status": status, **dict(zip(self.by, values, strict=True)), **numbers}
                )
        return rows

    def _empty(self, span: tuple[date, date], *, received: bool) -> dict[str, Any]:
        numbers: dict[str, Any] = dict.fromkeys(_NUMBERS)
        counted = len(self._counted_days(span)) if received and self.metric.kind == "mean_of_days" else 0
        if counted:
            numbers |= {"value": 0.0, "numerator": 0.0, "denominator": float(counted), "n": counted}
        if received and self.metric.kind in ("sum", "distinct") and not self._is_unknown():
            numbers |= {"value": 0.0, "numerator": 0.0, "n": 0}
        return numbers

    def _is_unknown(self) -> bool:
        """Whether no source can tell the number, or gold has a row for every zero: then it is null, not 0."""
        if self._facts(self.by).tables == ["gold.entity_day"] and self.by:
            return True
        return self._is_watch_unknown()

    def _is_watch_unknown(self) -> bool:
        return self.metric.expression == "watch_seconds" and not self.gold.events.has_watch

    def _totals(self, found: list[dict[str, Any]], periods: Mapping[date, tuple[date, date]]) -> pa.Table | None:
        if self.metric.kind not in ("sum", "distinct"):
            return None
        whole_of = replace(self, by=()).without_dates_behind()  # it may be read from another table
        plain = self.gold.query(self._sql(self._facts(()).rows(), []))
        total = {row["period_start"]: row["value"] for row in plain}
        parts: dict[date, float] = {}
        for row in found:
            parts[row["period_start"]] = parts.get(row["period_start"], 0.0) + (row["value"] or 0.0)
        rows = []
        for first, span in periods.items():
            whole = total.get(first, 0.0) if whole_of._is_received(span) else None
            summed = parts.get(first, 0.0) if whole is not None else None
            rows.append(
                {
                    "period_start": first,
                    "total": whole,
                    "sum_of_segments": summed,
                    "overlap": None if whole is None or summed is None else summed - whole,
                    "status": whole_of._status(first, span),
                }
            )
        kinds = {"total": pa.float64(), "sum_of_segments": pa.float64(), "overlap": pa.float64()}
        schema = pa.schema([("period_start", pa.date32()), *kinds.items(), ("status", pa.string())])
        return pa.Table.from_pylist(rows, schema=schema)

    def _total_notes(self, totals: pa.Table | None) -> list[str]:
        if totals is None or self.metric.is_additive:
            return []
        known = [row for row in totals.to_pylist() if row["total"] is not None]
        complete = [row for row in known if row["status"] == "complete"] or known
        if not complete:
            return []
        row = complete[-1]
        numbers = f"total {row['total']:,.0f}, sum of segments {row['sum_of_segments']:,.0f}"
        return [f"{row['period_start']}: {numbers}, overlap {row['overlap']:,.0f} (an actor may count in several)."]

    def _notes(self) -> list[str]:
        notes = []
        if self.observed.first is None:
            notes.append("The lake holds no rows for this metric yet.")
        if self.metric.is_rolling and self.grain != "day":
            notes.append(
                f"{self.metric.name} of a {self.grain} is the value of its last complete day; "
                f"average_dau is the mean of the days, active_users counts everybody of the {self.grain} once."
            )
        if self._is_watch_unknown():
            notes.append("No event tells what was watched, so this is not known: see `watch:` in docs/settings.md.")
        if self.metric.fact == "session" and any(name in self.gold.project.dimensions for name in self.by):
            notes.append("A session counts for the value at its first event.")
        return notes

    def _result(
        self,
        rows: list[dict[str, Any]],
        periods: Mapping[date, tuple[date, date]],
        sql: str,
        notes: list[str],
        totals: pa.Table | None,
    ) -> MeasureResult:
        unit = {"unit": self.metric.unit} if self.metric.unit else None
        fixed = {
            "metric": self.metric.name,
            "definition_version": self.metric.version(self.gold.project),
            "grain": self.grain,
            "watermark": self.observed.watermark,
            "engine": self.gold.engine.capabilities.dialect,
        }
        schema = pa.schema(
            [
                pa.field("metric", pa.string()),
                pa.field("definition_version", pa.string()),
                pa.field("period_start", pa.date32()),
                pa.field("grain", pa.string()),
                *(pa.field(name, pa.string()) for name in self.by),
                pa.field("value", pa.float64(), metadata=unit),
                pa.field("numerator", pa.float64()),
                pa.field("denominator", pa.float64()),
                pa.field("n", pa.int64()),
                pa.field("ci_low", pa.float64()),
                pa.field("ci_high", pa.float64()),
                pa.field("status", pa.string()),
                pa.field("watermark", pa.timestamp("us", "UTC")),
                pa.field("engine", pa.string()),
            ]
        )
        table = pa.Table.from_pylist([{**row, **fixed} for row in rows], schema=schema)
        tables = self._facts(self.by).tables if periods else []
        versions = [
            TableVersion(name, version) for name in tables if (version := self.gold.lake.version(name)) is not None
        ]
        by = f" by {', '.join(self.by)}" if self.by else ""
        return MeasureResult(
            table=table,
            sql=sql,
            sources=tuple(versions),
            title=f"{self.metric.title or self.metric.name}{by}",
            notes=tuple(notes),
            totals=totals,
            metric=self.metric,
        )
