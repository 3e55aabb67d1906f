"""The dates of a question beside those of the data: what is said of days that the data do not hold, or not whole."""

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
_NAMED = 3
_WORDS = {"missing": "no rows came", "degraded": "not all rows came, or too many wait in quarantine"}


def told_of_dates(
    ask: Callable[..., Answer],
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    *given: Any,
    **options: Any,
) -> Answer:
    """What a question answers, with a note where it asks for days outside of the data or in its holes.

    Raises:
        DefinitionError: The first date lies after the last.
    """
    asked: Asked = (options.get("start") or options.get("at"), options.get("end") or options.get("at"))
    in_order(*asked)
    result = ask(engine, lake, project, sources, *given, **options)
    statuses = _statuses(result)
    is_holed = not statuses.isdisjoint(("missing", "degraded"))
    if statuses == {"complete"} or (asked == (None, None) and not is_holed):
        return result
    metric = given[0] if given and isinstance(given[0], str) else getattr(given[0] if given else None, "metric", "")
    observed = _observed(engine, lake, project, sources, metric)
    notes = [outside(observed, *asked), holes(observed, *asked) if is_holed else None]
    said = tuple(note for note in notes if note is not None)
    return replace(result, notes=(*said, *result.notes)) if said else result


def holes(observed: Observed, start: date | None, end: date | None) -> str | None:
    """Which of the days asked for have no rows, or too few that can be trusted; None where there are none."""
    said = []
    for status, words in _WORDS.items():
        days = sorted(day for day, noted in observed.days.items() if noted == status)
        days = [day for day in days if (start or day) <= day <= (end or day)]
        if days:
            named = ", ".join(map(str, days[:_NAMED])) + (" ..." if len(days) > _NAMED else "")
            said.append(f"{status}: {words} on {len(days):,} {'day' if len(days) == 1 else 'days'} ({named})")
    return f"{'; '.join(said)}. Longer periods that hold such days are degraded." if said else None


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


def _statuses(result: Result) -> set[str]:
    table = result.table
    return set(table.column("status").unique().to_pylist()) if "status" in table.column_names else set()


def _observed(engine: Engine, lake: Tables, project: Project, sources: Mapping[str, Source], metric: str) -> Observed:
    gold = open_gold(engine, lake, project, sources)
    known = catalogue(project, sources)
    named = next((one for one in known.values() if metric and metric in (one.name, *one.aliases)), None)
    if named is not None:
        return Question.of(gold, named, known).observed
    return observe(gold, [source.name for source in gold.events.sources])
