"""Why did a metric of the lake move."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidelake.analyses.change.beside import beside
from tidelake.analyses.change.cut_off import without_cut_off_days
from tidelake.analyses.change.days import Days, LakeDays, TableDays
from tidelake.analyses.change.explain import Explained, Subject, explained
from tidelake.analyses.change.explanation import Explanation, headline, segments_table
from tidelake.analyses.change.fault_tables import source_days
from tidelake.analyses.change.faults import Fault, faults, verdict
from tidelake.analyses.change.hypotheses import judge
from tidelake.analyses.change.known_events import beside as coincidences
from tidelake.analyses.change.known_events import known_events
from tidelake.analyses.change.leaves import UNKNOWN
from tidelake.analyses.change.one_dimension import stories
from tidelake.analyses.change.recommend import recommendations
from tidelake.analyses.change.spans import Asked
from tidelake.analyses.change.tables import (
    beside_table,
    events_table,
    factor_words,
    factors_table,
    faults_table,
    hypotheses_table,
    stories_table,
)
from tidelake.analyses.change.tree import Moved, moved_factors
from tidelake.analyses.change.words import day_text
from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.engine.sql import columns_of
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.dates import Tables
from tidelake.metrics.daily import Daily, daily
from tidelake.metrics.factors import factors_of

_ROWS = {"event": "events", "session": "sessions", "actor_day": "days"}
"""What a share of a fact's rows counts."""


def explain(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    metric: str,
    *,
    at: date | None = None,
    start: date | None = None,
    end: date | None = None,
    baseline: tuple[date, date] | None = None,
    by: Sequence[str] | None = None,
    where: str | None = None,
    depth: int | None = None,
    others: Sequence[str] = (),
) -> Explanation:
    """Why a metric moved: since when, where, and what it cost.

    Args:
        metric: Name or alias: a sum, actors of a day, or a ratio of such.
        at: First local date of the change; None = it is looked for.
        start: First local date that is looked at; with `baseline` the first that is explained.
        end: Last of them.
        baseline: First and last local date looked back at; None = up to 56 days before the change.
        by: Dimensions among which the cause is looked for; None = those of tide.yml, for count facts `entity`.
        where: SQL over silver's columns: only rows for which it is true.
        depth: Most dimensions in one segment.
        others: Metrics that are shown beside it, over the same days and segments.

    Returns:
        As a table one row a segment that carries the change; `document()` has everything.

    Raises:
        UnknownNameError: Unknown metric or dimension.
        DefinitionError: The metric has no parts that add up, or the days asked for are not there.
        QueryError: `where` is not one portable condition.
    """
    by = (by,) if isinstance(by, str) else by
    asked = Asked(at, start, end, baseline)
    reach = {} if baseline is not None else {"start": start, "end": end}
    suspected = [name for one in project.hypotheses for name in columns_of(one.where)]
    told = daily(engine, lake, project, sources, metric, by=by, also=suspected, where=where, **reach)
    told = without_cut_off_days(told)
    days = LakeDays(told)
    found = explained(days, _subject(told), asked.of_days_held, depth=depth)
    parts: list[Result] = []
    more: Sequence[Moved] = ()
    missing: Sequence[str] = ()
    faulty = _faults(told, found)
    if faulty:
        parts.append(faults_table(faulty))
    if (whole := verdict(faulty)) is not None:
        found = Explained(found.subject, "data_fault", days, found.onset, found.spans, fault=whole)
    elif found.spans is not None:
        lake_of = partial(_days, engine, lake, project, sources, days=days, where=where)
        around, more, missing = _around(found, told, project, lake_of, others, depth)
        parts += around
    sql = ";\n\n".join(dict.fromkeys(days.asked))
    why = _explanation(found, told.notes, sql=sql, sources=told.tables, parts=parts, moved=more, missing=missing)
    days.release()
    return why


def _faults(told: Daily, found: Explained) -> list[Fault]:
    """Faults of the data around the change, of every source that the metric is made of; without a change none."""
    if found.spans is None:
        return []
    calendar, gold = found.days.calendar, told.question.gold
    known = np.flatnonzero(found.spans.baseline)
    first, onset = calendar.day(known[0]), calendar.day(found.spans.at)
    names = [told.metric.source] if told.metric.fact == "count" else [source.name for source in gold.events.sources]
    last = calendar.day(found.spans.until)
    read = [source_days(gold, name, first=first, last=last) for name in names if name]
    return [fault for one in read for fault in faults(one, first=first, onset=onset, last=last)]


def _days(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    metric: str,
    *,
    days: LakeDays,
    where: str | None,
) -> tuple[Subject, Days]:
    """Another metric by the same dimensions and over the same days."""
    first, last = days.calendar.day(0), days.calendar.day(len(days.calendar) - 1)
    told = daily(engine, lake, project, sources, metric, by=days.dims, start=first, end=last, where=where)
    return _subject(told), LakeDays(told, is_held=False)


def _around(
    found: Explained,
    told: Daily,
    project: Project,
    days_of: Callable[[str], tuple[Subject, Days]],
    others: Sequence[str],
    depth: int | None,
) -> tuple[list[Result], Sequence[Moved], Sequence[str]]:
    """What stands around a change: its factors, what is ruled out, suspicions, known events, other metrics."""
    assert found.spans is not None
    calendar = found.days.calendar
    onset = calendar.day(found.spans.at)
    low, high = (onset, onset)
    if found.onset is not None:
        low, high = (calendar.day(at) for at in (found.onset.onset.low, found.onset.onset.high))
    parts: list[Result] = []
    chain = factors_of(told.metric, told.question.known.get)
    moved: Sequence[Moved] = ()
    missing: Sequence[str] = ()
    if chain and found.located is not None and found.verdict != "no_change":
        read = [days_of(one.name)[1] for one in chain]
        names = [one.name for one in chain]
        moved = moved_factors(read, names, found.spans, is_ratio=found.days.is_ratio, depth=depth)
        parts.append(factors_table(moved, found))
    counted = [calendar.day(at) for at in np.flatnonzero(found.spans.baseline | found.spans.window)]
    if found.located is not None and found.verdict != "no_change":
        dims = [dim for dim in found.days.dims if dim not in found.located.left_out]
        told_by = [stories(found.days.table([dim]), [dim], onset=onset, days=counted) for dim in dims]
        parts.append(stories_table([one for story in told_by for one in story]))
    if project.hypotheses:
        judged = judge(
            found.days.table(found.days.dims), project.hypotheses, onset=onset, low=low, high=high, days=counted
        )
        parts.append(hypotheses_table(judged))
        missing = tuple(dict.fromkeys(name for one in judged for name in one.missing))
    events = coincidences(known_events(project), onset, low, high)
    if events:
        parts.append(events_table(events))
    if others:
        cells = found.located.cells if found.located is not None else []
        seen, apart = [], []
        for name in others:
            try:
                seen.append(beside(*days_of(name), cells, found.spans))
            except UnknownNameError:
                raise
            except DefinitionError as error:
                apart.append(f"{name} is left out: {error}")
        parts.append(beside_table(seen, notes=apart))
    return parts, moved, missing


def explain_table(
    table: pa.Table,
    by: Sequence[str],
    *,
    name: str = "value",
    unit: str | None = None,
    known: Sequence[date] | None = None,
    at: date | None = None,
    start: date | None = None,
    end: date | None = None,
    baseline: tuple[date, date] | None = None,
    depth: int | None = None,
) -> Explanation:
    """Why the numbers of a table moved: the same without a project.

    Args:
        table: One row a day and combination of the dimensions: `day`, the dimensions, and `value`, or for a ratio
            `numerator` and `denominator`. A combination without a row on a day has 0 there; a day without any
            row is missing.
        by: The dimensions.
        name: What the number is called.
        unit: What it is counted in.
        known: Days whose numbers count; None = those that have a row.
        at, start, end, baseline, depth: As for `explain`.

    Raises:
        UnknownNameError: The table lacks a column.
        DefinitionError: There are no rows, or the days asked for are not there.
    """
    asked = Asked(at, start, end, baseline)
    if baseline is None and (start is not None or end is not None):
        held = pc.and_(
            pc.greater_equal(table["day"], pa.scalar(start or date.min, pa.date32())),
            pc.less_equal(table["day"], pa.scalar(end or date.max, pa.date32())),
        )
        table = table.filter(held)
    days = TableDays(table, by, known=known)
    found = explained(days, Subject(name, name, unit), asked.of_days_held, depth=depth)
    return _explanation(found, ())


def _subject(told: Daily) -> Subject:
    metric = told.metric
    counted = metric.unit or metric.name
    if told.is_ratio and metric.numerator is None:
        counted = _ROWS.get(metric.fact or "", "") if metric.unit == "share" else metric.unit or ""
    elif told.is_ratio:
        parts = [told.question.known.get(name) for name in metric.parts]
        counted = (parts[0].unit or parts[0].name) if parts and parts[0] is not None else ""
    unit = None if metric.unit == counted and not told.is_ratio and metric.unit != "s" else metric.unit
    return Subject(metric.name, metric.title or metric.name, unit, "" if counted == "s" else counted, told.version)


def _explanation(
    found: Explained,
    notes: Sequence[str],
    *,
    sql: str = "",
    sources: Sequence[object] = (),
    parts: Sequence[Result] = (),
    moved: Sequence[Moved] = (),
    missing: Sequence[str] = (),
) -> Explanation:
    return Explanation(
        table=segments_table(found.located, found),
        sql=sql,
        sources=tuple(sources),  # type: ignore[arg-type]
        title=f"Why {found.subject.name} moved",
        notes=(*found.notes, *_of_days(found), *_of_empty(found), *_of_newcomers(found), *_of_loss(found), *notes),
        found=found,
        headline=headline(found),
        recommendations=tuple(recommendations(found, factor_words(moved, found), missing)),
        parts=tuple(parts),
    )


def _of_days(found: Explained) -> list[str]:
    """Which days do not count."""
    calendar = found.days.calendar
    missing = [day_text(calendar.day(at)) for at in np.flatnonzero(~calendar.known)]
    if not missing:
        return []
    named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    return [f"Left out, since {'it is' if len(missing) == 1 else 'they are'} missing, open or not complete: {named}."]


def _of_loss(found: Explained) -> list[str]:
    return [found.loss.note] if found.loss is not None else []


def _of_empty(found: Explained) -> list[str]:
    """Which dimensions tell nothing, since they have no values."""
    if found.located is None:
        return []
    empty = [dim for dim in found.days.dims if found.days.lines([dim]).names == ((UNKNOWN,),)]
    return [f"{dim} is empty in all rows, so that nothing can be told by it." for dim in empty]


def _of_newcomers(found: Explained) -> list[str]:
    if found.located is None or not found.located.left_out:
        return []
    named = ", ".join(found.located.left_out)
    said = "values came with the change and took from others, so that a sum cannot be compared by it"
    return [f"{named}: {said}. A ratio can, such as one per user."]


__all__ = ["Days", "explain", "explain_table"]
