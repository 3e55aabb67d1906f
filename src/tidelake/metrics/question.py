"""One question: a metric over periods and by dimensions, with the status of each period (METRICS section 0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import pyarrow as pa

from tidelake.errors import DefinitionError
from tidelake.gold.context import Gold
from tidelake.gold.dates import dates_behind
from tidelake.metrics.attributes import spelled_metric
from tidelake.metrics.catalogue import parts_of
from tidelake.metrics.conditions import Condition
from tidelake.metrics.definition import Grain, Metric
from tidelake.metrics.facts import Attributed, Facts, Pair, Spans
from tidelake.metrics.kinds.edges import Edge
from tidelake.metrics.knowing import check_whole_days, leaves_of, not_known
from tidelake.metrics.periods import dates_between, next_period, period_start, whole_periods
from tidelake.metrics.session_events import named_in, write_counts
from tidelake.metrics.status import Observed, Status, observe

Periods = dict[date, tuple[date, date]]


def observed_of(gold: Gold, metric: Metric) -> Observed:
    """What is known of when the sources of a metric of facts are complete."""
    counted = [metric.source or ""] if metric.fact == "count" else [source.name for source in gold.events.sources]
    found: Observed = gold.once(("observed", *counted), lambda: observe(gold, counted))
    return found


def _mark(observed: Observed) -> datetime:
    return observed.watermark or datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Question:
    """What is asked of one metric.

    Attributes:
        known: The project's metrics by name.
        by: Dimensions.
        where: Condition over the facts' rows.
        actor: Column that says who it was, where it is not the actor.
        asked: First and last dates that are asked for; several where they are compared.
        until: Only events up to this instant, and sessions that start by then.
        edge: Each actor counts under the value of its first, or last, event of the period; null = under each.
        unknown: Why the metric cannot be known here; None where it can. Nothing is read for it then.
    """

    gold: Gold
    metric: Metric
    known: Mapping[str, Metric]
    by: tuple[str, ...]
    grain: Grain
    where: Condition | None
    observed: Observed
    actor: str | None = None
    asked: Spans = ()
    unknown: str | None = None
    until: datetime | None = None
    edge: Edge | None = None

    @classmethod
    def of(
        cls,
        gold: Gold,
        metric: Metric,
        known: Mapping[str, Metric],
        *,
        by: tuple[str, ...] = (),
        grain: Grain = "day",
        where: Condition | None = None,
        actor: str | None = None,
        edge: Edge | None = None,
    ) -> Question:
        """The question, with what is known of its sources' completeness."""
        observed = min((observed_of(gold, leaf) for leaf in leaves_of(metric, known) or [metric]), key=_mark)
        unknown = not_known(gold, metric, known)
        return cls(gold, metric, known, by, grain, where, observed, actor, (), unknown, edge=edge)

    # --- reading

    def rows_of(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a SELECT, with the condition's values bound."""
        rows: list[dict[str, Any]] = self.table_of(sql).to_pylist()
        return rows

    def table_of(self, sql: str) -> pa.Table:
        """The same as an Arrow table."""
        values = self.where.values if self.where is not None else {}
        used = {name: value for name, value in values.items() if f"${name}" in sql}
        return self.gold.engine.query(sql, used or None)

    def facts(self, by: tuple[str, ...] | None = None, *, attributed: Attributed = "no") -> Facts | Pair:
        """The rows that the metric is worked out from."""
        by = self.by if by is None else by
        if self.metric.numerator is None:
            return self._facts_of(self.metric, by, attributed)
        above, below = (parts_of(self.metric, self.known)[name] for name in self.metric.parts)
        tops, bottoms = self._facts_of(above, by, "known"), self._facts_of(below, by, "known")
        if tops.metric.fact == bottoms.metric.fact:  # else no pass can be the same
            tops, bottoms = replace(tops, also=bottoms.needs), replace(bottoms, also=tops.needs)
        return Pair(tops, bottoms)

    def _facts_of(self, metric: Metric, by: tuple[str, ...], attributed: Attributed) -> Facts:
        where = self.where.sql if self.where is not None else None
        metric = spelled_metric(self.gold, metric)
        spans, edge = self._read_spans(), self.edge if by else None
        found = Facts(self.gold, metric, by, where, spans, self.actor, attributed, until=self.until, edge=edge)
        check_whole_days(found)
        return found

    def _read_spans(self) -> Spans:
        """The dates to read: whole periods, and the days that windows reach back."""
        before = timedelta(days=(self.metric.window_days or 1) - 1)
        found = []
        for start, end in self.asked:
            first, last = whole_periods(start, end, self.grain, self.gold.project.week_start)
            found.append((first - before, last))
        return tuple(found)

    def without_dates_behind(self) -> Question:
        """The question with no value for dates of which silver has rows that the table it reads does not have yet."""
        observed = self.observed
        if not self.asked or observed.first is None or observed.last is None:
            return self
        behind: set[date] = set()
        for table in self.facts().tables:
            days = dates_behind(self.gold.lake, self.gold.sources, table)
            behind |= set(dates_between(observed.first, observed.last)) if days is None else days
        return replace(self, observed=replace(observed, behind=frozenset(behind)))

    def prepare(self) -> None:
        """Make the `temp` tables that the facts are read with: which dates make which period, and sessions' events."""
        self._write_days()
        parts = [self.metric] if self.metric.numerator is None else parts_of(self.metric, self.known).values()
        named = [name for part in parts if part.fact == "session" for name in self._facts_of(part, (), "no").needs]
        if counted := named_in(self.gold, named):
            write_counts(self.gold, counted, self._read_spans())

    # --- periods

    def between(self, *spans: tuple[date | None, date | None]) -> Question:
        """The question over the periods that hold these dates; without bounds, over the dates with data."""
        found = []
        for start, end in spans:
            if start is not None and end is not None and start > end:
                raise DefinitionError(f"The first date {start} lies after the last {end}.")
            first, last = start or self.observed.first, end or self.observed.last
            if first is not None and last is not None:
                found.append((first, last))
        return replace(self, asked=tuple(found))

    @cached_property
    def periods(self) -> Periods:
        """The first and last date of every period that holds an asked date, by its start."""
        found: Periods = {}
        for start, end in self.asked:
            first = period_start(start, self.grain, self.gold.project.week_start)
            while first <= end:
                after = next_period(first, self.grain)
                found[first] = (first, after - timedelta(days=1))
                first = after
        return dict(sorted(found.items()))

    def represents(self, span: tuple[date, date]) -> date:
        """The date whose rolling value stands for a period: its last complete one, else its last with data."""
        days = list(dates_between(*span))
        complete = [day for day in days if self.observed.of_day(day) == "complete"]
        received = [day for day in days if self.observed.is_received(day)]
        return (complete or received or days)[-1]

    def counted_days(self, span: tuple[date, date]) -> list[date]:
        """The dates that a mean of days is over: the complete ones."""
        return [day for day in dates_between(*span) if self.observed.of_day(day) == "complete"]

    def _write_days(self) -> None:
        """Make `temp.metric_days`: which dates make which period."""
        days, starts = [], []
        for first, span in self.periods.items():
            if self.metric.is_rolling:
                chosen = [self.represents(span)]
            elif self.metric.kind == "mean_of_days":
                chosen = self.counted_days(span)
            else:
                chosen = list(dates_between(*span))
            days += chosen
            starts += [first] * len(chosen)
        table = pa.table({"day": pa.array(days, pa.date32()), "period_start": pa.array(starts, pa.date32())})
        self.gold.temp("metric_days", table)

    def status(self, first: date) -> Status:
        """The status of the period that begins on a date."""
        end = next_period(first, self.grain)
        if self.metric.is_rolling:
            day = self.represents((first, end - timedelta(days=1)))
            return self.observed.of_window_in(day, self.metric.window_days or 1, first, end)
        return self.observed.of_period(first, end)

    def is_received(self, span: tuple[date, date]) -> bool:
        """Whether a zero of the period is a value."""
        if self.metric.is_rolling:
            day = self.represents(span)
            last, length = self.observed.last, self.metric.window_days or 1
            first = day - timedelta(days=length - 1)
            is_known = last is not None and day <= last and not self.observed.is_behind(first, day + timedelta(days=1))
            return is_known and any(self.observed.is_received(one) for one in dates_between(first, day))
        if self.observed.is_behind(span[0], span[1] + timedelta(days=1)):
            return False
        return any(self.observed.is_received(day) for day in dates_between(*span))
