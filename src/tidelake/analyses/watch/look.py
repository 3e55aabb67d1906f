"""One look at a metric of the lake for all that watches it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tidelake.analyses.change.days import Days, LakeDays
from tidelake.analyses.change.words import where_text
from tidelake.analyses.watch.changes import Change, changes
from tidelake.analyses.watch.findings import LOOKED
from tidelake.analyses.watch.levels import standing
from tidelake.config import Project, Watch
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import UnknownNameError
from tidelake.gold.dates import Tables
from tidelake.metrics.daily import Daily, daily


def look(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    metric: str,
    *,
    watches: Sequence[Watch],
    where: str | None = None,
) -> Result:
    """What stands at a new level, and how each level stands; nothing is compared with earlier looks.

    Args:
        metric: Name or alias: a sum, actors of a day, or a ratio of such.
        watches: All that look at this metric among these rows.
        where: SQL over silver's columns: only rows for which it is true.

    Returns:
        `findings.LOOKED`: one row a change and one a watch with a level.

    Raises:
        UnknownNameError: Unknown metric, dimension, or value of a segment.
        DefinitionError: The metric has no parts that add up, or there are no days.
    """
    dims = tuple(dict.fromkeys(name for one in watches for name in (*one.by, *one.segment)))
    told = daily(engine, lake, project, sources, metric, by=dims, where=where)
    days = LakeDays(told)
    rows: list[dict[str, Any]] = []
    notes = list(told.notes)
    for one in watches:
        _check_segment(days, one)
        common = {"watch": name_of(one), "metric": told.metric.name, "version": told.version, "condition": where}
        if one.level is not None:
            rows.append(common | _level(days, told, one))
            continue
        seen = changes(days, by=one.by, segment=one.segment, direction=one.direction, error=one.false_alarms)
        rows += [common | row for row in _changed(days, told, seen.found)]
        notes += seen.notes
    return Result(
        pa.Table.from_pylist(rows, schema=LOOKED),
        sql=";\n\n".join(dict.fromkeys(days.asked)),
        sources=told.tables,
        notes=tuple(dict.fromkeys(notes)),
    )


def name_of(watch: Watch) -> str:
    """What a watch is called."""
    if watch.name is not None:
        return watch.name
    return f"{watch.metric}, {where_text(watch.segment)}" if watch.segment else watch.metric


def _check_segment(days: Days, watch: Watch) -> None:
    for dim, value in watch.segment.items():
        known = [name for (name,) in days.lines([dim]).names]
        if value not in known:
            raise UnknownNameError(f"value of {dim}", value, known, where=f"watch '{name_of(watch)}'")


def _level(days: Days, told: Daily, watch: Watch) -> dict[str, Any]:
    """How a level stands, as a row."""
    values = days.lines(within=[watch.segment] if watch.segment else None).value[0]
    ordered = sorted(told.statuses)
    found = standing(values, [told.statuses[day] for day in ordered], ordered[0], watch)
    return {
        "segment": where_text(watch.segment),
        "kind": "at_least" if watch.at_least is not None else "at_most",
        "status": found.state,
        "day": found.day,
        "value": found.value,
        "level": watch.level,
        "by_day": watch.by_day,
        "day_status": found.day_status,
    }


def _changed(days: Days, told: Daily, found: Sequence[Change]) -> Iterator[dict[str, Any]]:
    calendar = days.calendar
    newest = calendar.day(np.flatnonzero(calendar.known)[-1]) if calendar.known.any() else None
    for one in found:
        yield {
            "segment": where_text(one.segment),
            "kind": one.kind,
            "day": calendar.day(one.onset.at),
            "low": calendar.day(one.onset.low),
            "high": calendar.day(one.onset.high),
            "effect": one.onset.effect,
            "score": one.onset.score,
            "day_status": told.statuses[newest] if newest is not None else None,
        }
