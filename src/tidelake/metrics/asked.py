"""The dates of a question beside those of the data: said wherever a day was asked for that the data do not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, TypeVar

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.gold.context import open_gold
from tidelake.gold.dates import Tables
from tidelake.metrics.catalogue import catalogue
from tidelake.metrics.periods import in_order
from tidelake.metrics.question import Question
from tidelake.metrics.status import Observed, observe

Answer = TypeVar("Answer", bound=Result)
Asked = tuple[date | None, date | None]


def told_of_dates(
    ask: Callable[..., Answer],
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    *given: Any,
    **options: Any,
) -> Answer:
    """What a question answers, with a note where it asks for days outside of the data.

    Raises:
        DefinitionError: The first date lies after the last.
    """
    asked: Asked = (options.get("start") or options.get("at"), options.get("end") or options.get("at"))
    in_order(*asked)
    result = ask(engine, lake, project, sources, *given, **options)
    if asked == (None, None) or _is_complete(result):
        return result
    metric = given[0] if given and isinstance(given[0], str) else getattr(given[0] if given else None, "metric", "")
    note = outside(_observed(engine, lake, project, sources, metric), *asked)
    return result if note is None else replace(result, notes=(note, *result.notes))


def outside(observed: Observed, start: date | None, end: date | None) -> str | None:
    """When the data begin and end, where some of the days asked for lie outside; None where none does."""
    if observed.first is None or observed.last is None or observed.watermark is None:
        return None
    if (
        (start is None or start >= observed.first)
        and (end is None or end <= observed.last)
        and not (start is not None and start > observed.last)
    ):
        return None
    mark = f"{observed.watermark.astimezone(observed.zone):%Y-%m-%d %H:%M} {observed.zone.key}"
    return f"Asked for days outside of the data, which are of {observed.first} to {observed.last} (watermark {mark})."


def _is_complete(result: Result) -> bool:
    """Whether every row is of days that the data hold whole."""
    table = result.table
    return (
        bool(table.num_rows)
        and "status" in table.column_names
        and set(table.column("status").unique().to_pylist()) == {"complete"}
    )


def _observed(engine: Engine, lake: Tables, project: Project, sources: Mapping[str, Source], metric: str) -> Observed:
    gold = open_gold(engine, lake, project, sources)
    known = catalogue(project, sources)
    named = next((one for one in known.values() if metric and metric in (one.name, *one.aliases)), None)
    if named is not None:
        return Question.of(gold, named, known).observed
    return observe(gold, [source.name for source in gold.events.sources])
