"""One metric over time and by dimensions, every row with its status (METRICS section 0)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, get_args

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.gold.model import definition_hash
from tidelake.metrics.answer import Answer, number_fields, once_each, sources_of
from tidelake.metrics.catalogue import (
    GRAINS,
    Grain,
    Metric,
    all_parts,
    catalogue_with,
    metric_named,
    parts_of,
)
from tidelake.metrics.choosing import Which, check_event_names
from tidelake.metrics.comparing import Comparison, compared, comparison_fields, earlier_spans, with_elapsed
from tidelake.metrics.conditions import condition
from tidelake.metrics.dimensions import check_dimensions, conditional_columns
from tidelake.metrics.formula_numbers import formula_numbers
from tidelake.metrics.kinds.edges import Edge
from tidelake.metrics.knowing import grains_of, leaves_of
from tidelake.metrics.levels import level_column
from tidelake.metrics.members import members_of
from tidelake.metrics.not_done import event_of
from tidelake.metrics.numbers import OTHER, Kept, Numbers, numbers_of, select_of
from tidelake.metrics.question import Question

__all__ = ["OTHER", "SEGMENT_LIMIT", "MeasureResult", "measure", "metric_sql"]
SEGMENT_LIMIT = 50


@dataclass(frozen=True)
class MeasureResult(Answer):
    """A metric's rows; printed, what is the same in every row is said once.

    Attributes:
        totals: With dimensions, one row a period: `total`, `sum_of_segments`, `overlap` (an actor may count in
            several segments), `status`.
    """

    totals: pa.Table | None = None
    metric: Metric | None = field(default=None, repr=False)


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
    actor: str | None = None,
    segment: str = "any",
    compare: str | None = None,
    elapsed: bool = False,
    members: bool = False,
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
        actor: Another level of actor, as declared in tide.yml's `actors:`; None = the actor itself. Sums are the same
            at every level; a session has the level's value at its first event.
        segment: Distinct actors with `by`: `any` (under each value that they had in the period), `first` or `last`
            (under the one at their first or last event in it, or in the window that ends on the day).
        compare: `previous` or `year`: each complete period beside an earlier one.
        elapsed: With `compare`: also open periods, beside the same elapsed fraction of the earlier one.
        members: Give the actors behind the numbers in the place of the numbers.
        segment_limit: Values of a dimension that get rows of their own.

    Returns:
        One row a period and segment. `value` is null where the period was not received (`missing`) or the
        denominator is 0; zero is a value. Distinct and summed values are a census and have no interval.

    Raises:
        UnknownNameError: Unknown metric, dimension, grain, actor level or column.
        DefinitionError: The metric has no such grain, its fact no such dimension, or it has no members.
        QueryError: `where` is not one portable condition.
    """
    project, known = catalogue_with(project, sources, metric)
    gold = open_gold(engine, lake, project, sources)
    definition = metric_named(metric, known)
    if (counted := event_of(definition.name, project)) is not None:
        check_event_names(gold, [Which(event=(counted,))])
    by = (by,) if isinstance(by, str) else tuple(by)
    asked = condition(gold.events.attributes.spelled(where)) if where is not None else None
    leaves = leaves_of(definition, known)
    if asked is not None:
        for leaf in leaves:
            asked.check_names(conditional_columns(gold, leaf), sources)
    chosen = _checked_grain(definition, leaves, grain)
    check_dimensions(gold, definition, leaves, by)
    column = _actor_column(gold, leaves, actor)
    edge = _edge(leaves, by, segment)
    question = Question.of(gold, definition, known, by=by, grain=chosen, where=asked, actor=column, edge=edge)
    question = _between(question, leaves, start, end)
    if elapsed and compare is None:
        raise DefinitionError("`elapsed` says what open periods are compared with.", hint="Add --compare previous.")
    if members:
        if compare is not None:
            raise DefinitionError("Members are of one period each.", hint="Leave --compare out.")
        return _members(question, segment_limit)
    if compare is None:
        return _result(question, _numbers(question, segment_limit, None))
    comparison = Comparison.named(compare)
    both = question.between(*question.asked, *earlier_spans(question, comparison))
    found = _numbers(both, segment_limit, None)
    numbers = compared(question, found, comparison)
    if elapsed:
        numbers = with_elapsed(question, numbers, comparison, lambda part: _numbers(part, segment_limit, found.kept))
    return _result(question, numbers, comparison)


def metric_sql(gold: Gold, metric: Metric, known: Mapping[str, Metric] | None = None) -> str:
    """The SELECT of the metric over all dates with data, by its first grain; empty where there are none.

    `temp.metric_days` in it says which dates make which period. A formula has a SELECT for each of its parts.
    """
    known = {metric.name: metric} if known is None else known
    if metric.kind == "formula":
        found = {name: metric_sql(gold, part, known) for name, part in parts_of(metric, known).items()}
        return "\n\n".join(f"-- {name}\n{sql}" for name, sql in found.items() if sql)
    grain = grains_of(metric, leaves_of(metric, known))[0]
    question = Question.of(gold, metric, known, grain=grain).between((None, None))
    if question.unknown or not question.asked:
        return ""
    return select_of(question, question.facts().rows(), [])


def tables_of_metric(gold: Gold, metric: Metric, known: Mapping[str, Metric]) -> list[str]:
    """The tables that a metric reads."""
    if metric.kind == "formula":
        found = [table for part in parts_of(metric, known).values() for table in tables_of_metric(gold, part, known)]
        return list(dict.fromkeys(found))
    grain = grains_of(metric, leaves_of(metric, known))[0]
    question = Question.of(gold, metric, known, grain=grain)
    return [] if question.unknown else question.facts().tables


# --- what is asked


def _checked_grain(metric: Metric, leaves: Sequence[Metric], grain: str) -> Grain:
    if grain not in GRAINS:
        raise UnknownNameError("grain", grain, GRAINS)
    allowed = grains_of(metric, leaves)
    for known in GRAINS:
        if known == grain and known in allowed:
            return known
    if not allowed:
        raise DefinitionError(f"The parts of {metric.name} have no length of period in common.")
    hint = f"Use --grain {allowed[0]}, or `dau`, `wau`, `mau`, `active_users`."
    if metric.is_of_metrics:
        rolling = [leaf.name for leaf in leaves if leaf.is_rolling]
        also = f", for of a {grain} {rolling[0]} is the value of its last day" if rolling else ""
        hint = f"Use --grain {allowed[0]}{also}."
    raise DefinitionError(f"{metric.name} is a metric of a {' or '.join(allowed)}, not of a {grain}.", hint=hint)


def _actor_column(gold: Gold, leaves: Sequence[Metric], actor: str | None) -> str | None:
    """The column of an actor level."""
    if actor is None:
        return None
    column = level_column(gold, actor)
    for leaf in leaves:
        if leaf.fact == "count":
            raise DefinitionError(
                f"{leaf.name} counts what entities had, not who did it, so it has no --actor.",
                hint="Metrics of events, sessions and actors' days have.",
            )
    return column


def _edge(leaves: Sequence[Metric], by: Sequence[str], segment: str) -> Edge | None:
    """Which value of its own each actor counts under; None for each of them."""
    rules = (*get_args(Edge), "any")
    if segment not in rules:
        raise UnknownNameError("segment", segment, rules)
    if segment == "any":
        return None
    if not by:
        raise DefinitionError(f"--segment {segment} chooses among an actor's values of a dimension.", hint="Add --by.")
    for leaf in leaves:
        if leaf.kind not in ("distinct", "mean_of_days") or leaf.fact not in ("event", "actor_day"):
            raise DefinitionError(
                f"{leaf.name} does not count different actors, each of which could have one value.",
                hint="Leave --segment out: what is added up or averaged counts under the value that it has. Distinct "
                "metrics have it: dau, wau, mau, active_users and their like.",
            )
    return "first" if segment == "first" else "last"


def _between(question: Question, leaves: Sequence[Metric], start: date | None, end: date | None) -> Question:
    """The question over the dates asked for; those of a formula begin and end with the data of any of its parts."""
    if question.metric.is_of_metrics and (start is None or end is None):
        parts = [Question.of(question.gold, leaf, question.known).observed for leaf in leaves]
        firsts = [one.first for one in parts if one.first is not None]
        lasts = [one.last for one in parts if one.last is not None]
        start, end = start or min(firsts, default=None), end or max(lasts, default=None)
    return question.between((start, end))


def _numbers(question: Question, limit: int, kept: Kept | None) -> Numbers:
    if question.metric.kind == "formula" and not question.unknown:
        return formula_numbers(question, limit, kept, _numbers)
    return numbers_of(question, limit, kept)


# --- what is answered


def _fixed(question: Question) -> dict[str, Any]:
    parts = all_parts(question.metric, question.known)
    version = question.metric.version(question.gold.project, parts)
    return {
        "metric": question.metric.name,
        "definition_version": definition_hash(version, question.actor)[:12] if question.actor else version,
        "grain": question.grain,
        "watermark": question.observed.watermark,
        "engine": question.gold.engine.capabilities.dialect,
    }


def _title(question: Question) -> str:
    by = f" by {', '.join(question.by)}" if question.by else ""
    of = f" of each {question.actor}" if question.actor else ""
    by += f" (each actor's {question.edge} value)" if question.edge else ""
    return f"{question.metric.title or question.metric.name}{of}{by}"


_ENDS = (
    pa.field("status", pa.string()),
    pa.field("watermark", pa.timestamp("us", "UTC")),
    pa.field("engine", pa.string()),
)


def _begins(question: Question) -> list[pa.Field]:
    return [
        pa.field("metric", pa.string()),
        pa.field("definition_version", pa.string()),
        pa.field("period_start", pa.date32()),
        pa.field("grain", pa.string()),
        *(pa.field(name, pa.string()) for name in question.by),
    ]


def _result(question: Question, numbers: Numbers, comparison: Comparison | None = None) -> MeasureResult:
    unit = {"unit": question.metric.unit} if question.metric.unit else None
    schema = pa.schema(
        [
            *_begins(question),
            *number_fields(question.metric.unit),
            *(comparison_fields(unit) if comparison is not None else ()),
            *_ENDS,
        ]
    )
    once_each(schema.names)
    fixed = _fixed(question)
    table = pa.Table.from_pylist([{**row, **fixed} for row in numbers.rows], schema=schema)
    return MeasureResult(
        table=table,
        sql=numbers.sql,
        sources=sources_of(question.gold, numbers.tables, question.by),
        title=_title(question),
        notes=(*numbers.notes, *numbers.overlaps),
        totals=_totals_table(numbers.totals),
        metric=question.metric,
    )


def _totals_table(rows: list[dict[str, Any]] | None) -> pa.Table | None:
    if rows is None:
        return None
    kinds = {"total": pa.float64(), "sum_of_segments": pa.float64(), "overlap": pa.float64()}
    schema = pa.schema([("period_start", pa.date32()), *kinds.items(), ("status", pa.string())])
    return pa.Table.from_pylist(rows, schema=schema)


def _members(question: Question, limit: int) -> MeasureResult:
    found = members_of(question, limit)
    fixed = {**_fixed(question)}
    schema = pa.schema(
        [
            *_begins(question),
            pa.field("actor_id", pa.string()),
            pa.field("numerator", pa.float64()),
            pa.field("denominator", pa.float64()),
            *_ENDS,
        ]
    )
    size = found.rows.num_rows
    columns = [
        found.rows.column(item.name).cast(item.type)
        if item.name in found.rows.column_names
        else pa.repeat(pa.scalar(fixed[item.name], item.type), size)
        for item in schema
    ]
    return MeasureResult(
        table=pa.table(columns, schema=schema),
        sql=found.sql,
        sources=sources_of(question.gold, found.tables, question.by),
        title=f"{_title(question)}: the actors behind it",
        notes=found.notes,
        metric=question.metric,
    )
