"""The actors behind a metric's numbers, with the part that each has in them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tidelake.errors import DefinitionError
from tidelake.gold.sqltext import exact_sum
from tidelake.metrics.kinds.edges import edge_actors_sql
from tidelake.metrics.kinds.ratios import by_actor_sql, parts_once
from tidelake.metrics.kinds.typical import typical_actors_sql
from tidelake.metrics.numbers import counts_once, limited_rows
from tidelake.metrics.question import Question

_NONE = "CAST(NULL AS DOUBLE)"


@dataclass(frozen=True)
class Members:
    """Who is behind the numbers.

    Attributes:
        rows: One row per period, segment and actor: `period_start`, the dimensions, `actor_id`, `numerator`,
            `denominator`, `status`. Added up over actors, these are the number's numerator and denominator. A
            quantile's actors have the number of their rows as `denominator`. The actor of events without one is null.
    """

    rows: pa.Table
    sql: str
    tables: tuple[str, ...]
    notes: tuple[str, ...]


def members_of(question: Question, limit: int) -> Members:
    """The members of a metric of facts, or of a ratio of two.

    Args:
        limit: Values of a dimension that are shown under their own names.

    Raises:
        DefinitionError: Count facts have no actors, and a formula has only those of its parts.
    """
    metric = question.metric
    if metric.kind == "formula":
        raise DefinitionError(
            f"{metric.name} is worked out from other metrics' values and has no members of its own.",
            hint=f"Ask for those of {', '.join(metric.parts)}, or define it as `kind: ratio`.",
        )
    if metric.fact == "count":
        raise DefinitionError(
            f"{metric.name} counts what entities had, not who did it: there are no actors behind it.",
            hint="Metrics of events, sessions and actors' days have members.",
        )
    if not question.periods or question.unknown:
        return Members(_table(question, None), "", (), (question.unknown,) if question.unknown else ())
    question = question.without_dates_behind()
    question.prepare()
    facts = question.facts(attributed="all")
    rows, _, said = limited_rows(question, facts, limit)
    sql = members_sql(question, rows, facts.segments)
    order = ", ".join(["period_start", *facts.segments, "actor_id"])
    found = question.table_of(f"SELECT * FROM ({sql}) AS members ORDER BY {order}")
    return Members(_table(question, found), sql, tuple(facts.tables), tuple(said))


def members_sql(question: Question, rows: str, segments: list[str]) -> str:
    """SELECT of the actors: period_start, segments, actor_id, numerator, denominator.

    Args:
        rows: The facts, by actor.
    """
    metric = question.metric
    keys = f"period_start{''.join(f', {name}' for name in segments)}, actor_id"
    joined = f"FROM ({rows}) AS facts JOIN temp.metric_days AS days ON days.day = facts.day"
    if metric.kind == "distinct":
        first = f"add_days(days.day, {1 - (metric.window_days or 1)})"
        if metric.is_rolling:
            joined = f"FROM ({rows}) AS facts JOIN temp.metric_days AS days ON facts.day BETWEEN {first} AND days.day"
        if question.edge is not None and segments:
            actors = edge_actors_sql(joined, segments, edge=question.edge)
            return f"SELECT {keys}, 1e0 AS numerator, {_NONE} AS denominator FROM ({actors}) AS chosen"
        return f"SELECT DISTINCT {keys}, 1e0 AS numerator, {_NONE} AS denominator {joined}"
    if metric.kind == "mean_of_days":
        days = "CAST(count(DISTINCT facts.day) AS DOUBLE)"
        return f"SELECT {keys}, {days} AS numerator, {_NONE} AS denominator {joined} GROUP BY {keys}"
    if metric.kind == "typical":
        bounds = {"at_least": metric.at_least, "below": metric.below}
        actors = typical_actors_sql(rows, segments, quantile=metric.quantile or 0.5, **bounds)
        return f"SELECT {keys}, 1e0 AS numerator, {_NONE} AS denominator FROM ({actors}) AS chosen"
    if metric.numerator is not None:
        parts = by_actor_sql(rows, segments, **parts_once(counts_once(question)))
        named = "CAST(y AS DOUBLE) AS numerator, CAST(x AS DOUBLE) AS denominator"
        return f"SELECT {keys}, {named} FROM ({parts}) AS by_actor WHERE y <> 0 OR x <> 0"
    if metric.kind in ("ratio", "quantile"):
        top = "CAST(sum(CAST(amount AS DECIMAL(28, 9))) AS DOUBLE)" if metric.kind == "ratio" else _NONE
        counted = "CAST(count(*) AS DOUBLE)"
        where = "WHERE amount IS NOT NULL"
        return f"SELECT {keys}, {top} AS numerator, {counted} AS denominator {joined} {where} GROUP BY {keys}"
    part = f"{exact_sum('amount', 'WIDE')} AS numerator, {_NONE} AS denominator"
    return f"SELECT * FROM (SELECT {keys}, {part} {joined} GROUP BY {keys}) AS parts WHERE numerator <> 0"


def _table(question: Question, found: pa.Table | None) -> pa.Table:
    """The members of periods that have a value, with the period's status and the dimensions' names."""
    names = ["period_start", *question.by, "actor_id", "numerator", "denominator"]
    texts = dict.fromkeys((*question.by, "actor_id"), pa.string())
    kinds = {"period_start": pa.date32(), **texts, "numerator": pa.float64(), "denominator": pa.float64()}
    schema = pa.schema([(name, kinds[name]) for name in names])
    if found is None:
        return schema.empty_table().append_column("status", pa.array([], pa.string()))
    statuses = {first: question.status(first) for first, span in question.periods.items() if question.is_received(span)}
    periods = found.column("period_start").to_pylist()
    kept = pa.array([first in statuses for first in periods], pa.bool_())
    table = found.rename_columns(names).cast(schema).filter(kept)
    told = pa.array([statuses[first] for first in periods if first in statuses], pa.string())
    return table.append_column("status", told)
