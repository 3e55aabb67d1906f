"""A metric's numbers of each day by all of some dimensions at once, in parts that add up: what analyses look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine, TableVersion
from tidelake.errors import DefinitionError
from tidelake.gold.context import open_gold
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import exact_sum
from tidelake.metrics.answer import sources_of
from tidelake.metrics.catalogue import all_parts, catalogue_with, metric_named
from tidelake.metrics.conditions import condition
from tidelake.metrics.definition import Metric
from tidelake.metrics.dimensions import check_dimensions, conditional_columns, dimensions_of
from tidelake.metrics.facts import Facts, Pair
from tidelake.metrics.knowing import leaves_of
from tidelake.metrics.numbers import limited_rows
from tidelake.metrics.question import Question
from tidelake.metrics.status import Status

VALUES = 500  # of a dimension that stay apart; the rest is `(other)`
LEAVES = "temp.daily_leaves"
_HELD = 3_000_000  # rows of days and combinations that are worth keeping


@dataclass(frozen=True)
class Daily:
    """A metric by day and by every combination of some dimensions' values.

    An actor that is counted once a day stands in the combination of its last event of the day, so that the
    combinations add up to the whole.

    Attributes:
        by: The dimensions.
        rows: SELECT of `day, s0, s1 ..., numerator` and for a ratio `denominator`: one row a day and combination that
            occurs. A sum or a number of actors has its value as numerator.
        statuses: Status of each day from the first to the last that is looked at.
        is_ratio: Whether there is a denominator.
        notes: What a reader must know.
    """

    question: Question
    by: tuple[str, ...]
    rows: str
    statuses: Mapping[date, Status]
    is_ratio: bool
    tables: tuple[TableVersion, ...]
    notes: tuple[str, ...] = ()

    @property
    def metric(self) -> Metric:
        return self.question.metric

    @property
    def version(self) -> str:
        """Hash of the definition."""
        return self.metric.version(self.question.gold.project, all_parts(self.metric, self.question.known))

    @property
    def parts(self) -> tuple[str, ...]:
        """The columns that add up."""
        return ("numerator", "denominator") if self.is_ratio else ("numerator",)

    def query(self, sql: str) -> pa.Table:
        """Rows of a SELECT over `rows`, with the condition's values bound."""
        return self.question.table_of(sql)

    def held(self) -> Daily:
        """The same, with the rows in a table of their own where there are few enough of them."""
        listed = ", ".join(["day", *(f"s{at}" for at in range(len(self.by)))])
        found = self.query(f"SELECT * FROM ({self.rows}) AS leaves ORDER BY {listed} LIMIT {_HELD + 1}")
        if found.num_rows > _HELD:
            return self
        self.question.gold.temp(LEAVES.removeprefix("temp."), found)
        return replace(self, rows=f"SELECT * FROM {LEAVES}")


def daily(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    metric: str,
    *,
    by: Sequence[str] | None = None,
    also: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
) -> Daily:
    """A metric by day and by all of some dimensions.

    Args:
        by: Dimensions; None = those that tide.yml lists and the metric has, for count facts `entity`.
        also: More columns to cut by without `by`, where the metric has them.
        start: First local date; None = where the data begin.
        end: Last local date; None = where the data end.
        where: SQL over silver's columns: only rows for which it is true.

    Raises:
        UnknownNameError: Unknown metric or dimension.
        DefinitionError: The metric has no parts that add up, cannot be known here, or its fact has no such dimension.
    """
    project, known = catalogue_with(project, sources, metric)
    gold = open_gold(engine, lake, project, sources)
    definition = metric_named(metric, known)
    leaves = leaves_of(definition, known)
    _check_adds_up(definition, leaves)
    if by is None:
        has = dimensions_of(gold, definition, leaves)
        own = ("entity",) if definition.fact == "count" else project.dimensions
        by = [name for name in dict.fromkeys([*own, *also]) if name in has]
    check_dimensions(gold, definition, leaves, by)
    asked = condition(gold.events.attributes.spelled(where)) if where is not None else None
    if asked is not None:
        for leaf in leaves:
            asked.check_names(conditional_columns(gold, leaf), sources)
    question = Question.of(gold, definition, known, by=tuple(by), where=asked).between((start, end))
    if question.unknown:
        raise DefinitionError(f"{definition.name} cannot be known here: {question.unknown}")
    question = question.without_dates_behind()
    question.prepare()
    facts = question.facts()
    is_ratio = definition.kind == "ratio"
    facts = Pair(_apart(facts.above), _apart(facts.below)) if isinstance(facts, Pair) else _apart(facts)
    rows, _, said = limited_rows(question, facts, VALUES)
    listed = ", ".join(["day", *facts.segments])
    numbers = _numbers(definition)
    selected = f"SELECT {listed}, {numbers} FROM ({rows}) AS facts GROUP BY {listed}"
    statuses = {day: question.status(day) for day in question.periods}
    tables = sources_of(gold, facts.tables, by)
    return Daily(question, tuple(by), selected, statuses, is_ratio, tables, tuple(said))


def _check_adds_up(metric: Metric, leaves: Sequence[Metric]) -> None:
    """Raise for a metric that is no sum, no number of a day's actors and no ratio of such.

    Raises:
        DefinitionError: It is not.
    """
    if metric.kind == "formula":
        raise DefinitionError(
            f"{metric.name} is a formula, whose parts do not add up to it.",
            hint=f"Ask about its parts: {', '.join(metric.parts)}; or define it as a ratio of two metrics.",
        )
    if metric.kind in ("quantile", "typical"):
        raise DefinitionError(
            f"{metric.name} is a {metric.kind}: those of segments do not add up to that of all.",
            hint="Ask about a mean or a share of the same thing: `tide metrics list`.",
        )
    for leaf in leaves:
        if (leaf.window_days or 1) > 1:
            raise DefinitionError(
                f"{leaf.name} looks back {leaf.window_days} days, so that a sudden change is spread over as many.",
                hint="Ask about dau or active_users.",
            )


def _apart(facts: Facts | Pair) -> Facts:
    """Facts of which every row stands in one combination: an actor's day in that of its last event."""
    assert isinstance(facts, Facts)
    is_of_actors = facts.is_distinct or facts.metric.fact == "actor_day"
    return replace(facts, edge="last") if is_of_actors and facts.by else facts


def _numbers(metric: Metric) -> str:
    if metric.numerator is not None:
        return "CAST(sum(y) AS DOUBLE) AS numerator, CAST(sum(x) AS DOUBLE) AS denominator"
    if metric.kind in ("distinct", "mean_of_days"):
        return "CAST(count(DISTINCT actor_id) AS DOUBLE) AS numerator"
    total = f"CAST({exact_sum('amount', 'WIDE')} AS DOUBLE) AS numerator"
    if metric.kind == "ratio":
        return f"{total}, CAST(count(amount) AS DOUBLE) AS denominator"
    return total
