"""What each actor has of a metric under a release and under its control: read through the metric's own facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from tidelake.analyses.canary.cells import Cell, Common, common_cells
from tidelake.contracts.table import literal
from tidelake.errors import DefinitionError
from tidelake.gold.context import Gold
from tidelake.gold.sqltext import date_literal, exact_sum
from tidelake.metrics.catalogue import Metric, metric_named
from tidelake.metrics.conditions import condition
from tidelake.metrics.dimensions import (
    UNKNOWN,
    check_by,
    check_dimensions,
    conditional_columns,
    fact_dimensions,
    segment,
)
from tidelake.metrics.knowing import grains_of, leaves_of
from tidelake.metrics.members import members_sql
from tidelake.metrics.question import Question

CELLS = "temp.canary_cells"
UNITS = "temp.canary_units"
PER = "active_days"  # what sums are divided by


@dataclass(frozen=True)
class Release:
    """What is compared: a column's value with another one."""

    column: str
    new: str
    control: str


@dataclass(frozen=True)
class ActorRows:
    """A metric by actor.

    Attributes:
        table: One row an actor, side and segment: `is_new`, the dimensions, `actor_id`, `numerator`, `denominator`.
        common: The days and cells that they are of.
    """

    table: pa.Table
    common: Common
    sql: str
    tables: tuple[str, ...]
    question: Question


def ratio_metric(metric: Metric) -> Metric:
    """The metric as a ratio of sums over actors: a sum is divided by actors' active days.

    Raises:
        DefinitionError: It is neither a sum nor a ratio, or of entities.
    """
    if metric.fact == "count":
        raise DefinitionError(f"{metric.name} counts what entities had: no release served them.")
    if metric.kind == "ratio":
        return metric
    if metric.kind != "sum":
        why = "counts actors, whom the rollout and not the release decides" if "distinct" in metric.kind else "is none"
        raise DefinitionError(
            f"A canary compares sums and ratios of sums over actors; {metric.name} ({metric.kind}) {why}.",
            hint="Ask for plays_per_user, sessions_per_user, watch_seconds, bounce_session and their like.",
        )
    title = f"{metric.title or metric.name} per user and active day"
    name = f"{metric.name} per active day"
    return Metric(name=name, title=title, kind="ratio", numerator=metric.name, denominator=PER)


def question_of(
    gold: Gold,
    name: str,
    known: Mapping[str, Metric],
    by: Sequence[str],
    *,
    span: tuple[date | None, date | None],
    where: str | None = None,
) -> Question:
    """The metric of each day by some dimensions, checked.

    Args:
        span: First and last local date; None = where the data begin and end.
        where: SQL over the fact's columns.

    Raises:
        UnknownNameError: No such metric or dimension.
        DefinitionError: The metric cannot be compared, or its fact does not carry a dimension.
    """
    metric = ratio_metric(metric_named(name, known))
    leaves = leaves_of(metric, known)
    if "day" not in grains_of(metric, leaves):
        raise DefinitionError(f"{metric.name} is not a metric of a day, so that days cannot be compared.")
    check_dimensions(gold, metric, leaves, by)
    asked = condition(gold.events.attributes.spelled(where)) if where is not None else None
    if asked is not None:
        for leaf in leaves:
            asked.check_names(conditional_columns(gold, leaf), gold.sources)
    question = Question.of(gold, metric, known, by=tuple(by), grain="day", where=asked).between(span)
    if question.unknown:
        raise DefinitionError(f"{metric.name} cannot be known here: {question.unknown}")
    return question.without_dates_behind()


def complete_days(question: Question) -> list[date]:
    """The days asked for that are complete: METRICS section 0 compares no others."""
    return [first for first in question.periods if question.status(first) == "complete"]


def member_rows(question: Question) -> tuple[str, list[str], tuple[str, ...]]:
    """SELECT of a row an actor, day and segment (`period_start`, `s0` ..., `actor_id`, `numerator`, `denominator`).

    Returns:
        Also the names of the segments' columns, and the tables that are read.
    """
    question.prepare()
    facts = question.facts(attributed="known")
    return members_sql(question, facts.rows(), facts.segments), list(facts.segments), tuple(facts.tables)


def write_units(gold: Gold, release: Release, names: Sequence[str], start: date | None, end: date | None) -> None:
    """Make `temp.canary_units`: of each actor, day and side the segment of the first event, so that a day counts once.

    By its first event, since what comes after may be what the release did. Columns: event_date, actor_id, `s0` (the
    release's column) and `s1` ... .

    Raises:
        UnknownNameError: The events do not carry the release's column or a dimension.
    """
    columns = [release.column, *names]
    known = fact_dimensions(gold, "event")
    check_by(gold, columns, known)
    read = [name for name in columns if name not in ("event_name", "source")]
    both = f"{segment(release.column)} IN ({literal(release.new)}, {literal(release.control)})"
    days = [f"event_date >= {date_literal(start)}"] if start else []
    days += [f"event_date <= {date_literal(end)}"] if end else []
    listed = "".join(f", {segment(name)} AS s{at}" for at, name in enumerate(columns))
    order = gold.events.order("event_time")
    ranked = (
        f"SELECT event_date, actor_id{listed}, row_number() OVER (PARTITION BY actor_id, event_date, "
        f"{segment(release.column)} ORDER BY {order}) AS place FROM ({gold.events.select(columns=read)}) AS events "
        f"WHERE {' AND '.join([both, *days])}"
    )
    kept = "".join(f", s{at}" for at in range(len(columns)))
    first = f"SELECT event_date, actor_id{kept} FROM ({ranked}) AS ranked WHERE place = 1"
    gold.temp(UNITS.removeprefix("temp."), first)


def read_actors(question: Question, release: Release, names: Sequence[str]) -> ActorRows:
    """Each actor's part of the metric under the release and its control, where and when both run.

    The question's one dimension is the release's column, so that the sums are those of `tide measure --by` it; the
    segments of an actor's day come from `temp.canary_units`. Days are weighted so that both sides have the same mix of
    them; see `cells`.
    """
    members, _, tables = member_rows(question)
    columns = [f"s{at}" for at in range(1, len(names) + 1)]
    cut = "".join(f", {name}" for name in columns)
    told = "".join(f", coalesce(units.{name}, {literal(UNKNOWN)}) AS {name}" for name in columns)
    rows = (
        f"SELECT members.period_start, members.s0, members.actor_id, numerator, denominator{told} "
        f"FROM ({members}) AS members LEFT JOIN {UNITS} AS units ON units.event_date = members.period_start "
        f"AND units.s0 = members.s0 AND units.actor_id = members.actor_id "
        f"WHERE members.s0 IN ({literal(release.new)}, {literal(release.control)}) AND members.actor_id IS NOT NULL"
    )
    counted = (
        f"SELECT period_start, s0{cut}, count(*) AS actors, {exact_sum('denominator', 'WIDE')} AS denominator "
        f"FROM ({rows}) AS members GROUP BY period_start, s0{cut}"
    )
    days = set(complete_days(question))
    cells = [
        Cell(
            row["period_start"],
            row["s0"] == release.new,
            tuple(row[name] for name in columns),
            row["actors"],
            float(row["denominator"] or 0),
        )
        for row in question.rows_of(counted)
        if row["period_start"] in days
    ]
    common = common_cells(sorted(cells, key=lambda one: (one.day, one.is_new, one.segment)))
    question.gold.temp(CELLS.removeprefix("temp."), _factors(common, release, columns))
    same = " AND ".join(f"cells.{name} = members.{name}" for name in ("period_start", "s0", *columns))
    keys = "".join(f", members.{name}" for name in columns)
    weighted = ", ".join(
        f"CAST({exact_sum(f'factor * coalesce({part}, 0)', 'WIDE')} AS DOUBLE) AS {part}"
        for part in ("numerator", "denominator")
    )
    sql = (
        f"SELECT members.s0{keys}, members.actor_id, {weighted} FROM ({rows}) AS members "
        f"JOIN {CELLS} AS cells ON {same} GROUP BY members.s0{keys}, members.actor_id"
    )
    found = question.table_of(f"SELECT * FROM ({sql}) AS by_actor ORDER BY actor_id, s0{cut}")
    is_new = pc.equal(found.column("s0"), release.new)
    kept = ("actor_id", "numerator", "denominator")
    table = pa.table([is_new, *(found.column(name) for name in (*columns, *kept))], names=["is_new", *names, *kept])
    return ActorRows(table, common, sql, tables, question)


def _factors(common: Common, release: Release, columns: Sequence[str]) -> pa.Table:
    """What the rows of each cell count."""
    rows = sorted(common.factors.items())
    held: dict[str, pa.Array] = {
        "period_start": pa.array([day for (day, _, _), _ in rows], pa.date32()),
        "s0": pa.array([release.new if new else release.control for (_, new, _), _ in rows], pa.string()),
    }
    for at, name in enumerate(columns):
        held[name] = pa.array([segment[at] for (_, _, segment), _ in rows], pa.string())
    return pa.table({**held, "factor": pa.array([factor for _, factor in rows], pa.float64())})
