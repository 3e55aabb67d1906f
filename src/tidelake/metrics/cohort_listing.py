"""The saved cohorts of a project: how large each is, what it means, its SQL, and who is in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.metrics.answer import Answer
from tidelake.metrics.cohort_definition import Cohort
from tidelake.metrics.cohorts import FOLDER, Members, last_complete, load_cohorts, observed_events

_DURING = timedelta(days=28)  # what a cohort of the question's own dates is shown for
_FIELDS = pa.schema(
    [
        ("name", pa.string()),
        ("title", pa.string()),
        ("definition_version", pa.string()),
        ("definition", pa.string()),
        ("at", pa.date32()),
        ("looks_at", pa.string()),
        ("actors", pa.int64()),
        pa.field("share", pa.float64(), metadata={"unit": "share"}),
        ("status", pa.string()),
        ("watermark", pa.timestamp("us", "UTC")),
        ("engine", pa.string()),
    ]
)


def cohorts_of(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    name: str | None = None,
    *,
    at: date | None = None,
) -> Result:
    """The project's cohorts with their sizes; with a name only that one, and its SQL.

    Args:
        at: The first date of a question that they would be asked for; None = the day after the last complete one.
            Windows of the question's own dates are the 28 days before it.

    Returns:
        One row a cohort. `actors` and `share` (of the actors seen by the last date that it looks at) are null where
        its dates hold no data.

    Raises:
        UnknownNameError: There is no such cohort.
    """
    gold = open_gold(engine, lake, project, sources)
    known = load_cohorts(project, sources)
    wanted = list(known.values()) if name is None else [_named(known, name)]
    found = [_at(gold, cohort, at) for cohort in wanted]
    rows = [_row(cohort, one) for cohort, one in zip(wanted, found, strict=True)]
    tables = dict.fromkeys(source for one in found if one is not None for source in one.sources())
    notes = () if known else (f"There is no cohort yet: a file {FOLDER}/NAME.yml makes one.",)
    one = found[0] if name is not None else None
    return Answer(
        table=pa.Table.from_pylist(rows, schema=_FIELDS),
        sql=one.sql if one is not None else "",
        sources=tuple(tables),
        title="Cohorts" if name is None else f"Cohort {wanted[0].title or name}",
        notes=(*notes, *([wanted[0].description] if name is not None and wanted[0].description else [])),
    )


def cohort_members(
    engine: Engine, lake: Tables, project: Project, sources: Mapping[str, Source], name: str, *, at: date | None = None
) -> Result:
    """The actors of a cohort, one row each.

    Args:
        at: As of `cohorts_of`.

    Raises:
        UnknownNameError: There is no such cohort.
        DefinitionError: Its dates hold no data.
    """
    gold = open_gold(engine, lake, project, sources)
    cohort = _named(load_cohorts(project, sources), name)
    found = _at(gold, cohort, at)
    if found is None or found.status == "missing":
        looked = "nothing was built yet" if found is None else f"it looks at {found.span_words()}"
        raise DefinitionError(f"The cohort '{name}' has no data: {looked}.", hint="Ask for another date: --at.")
    found.prepare()
    rows = engine.query(f"SELECT actor_id FROM ({found.sql}) AS members ORDER BY actor_id")
    fixed = {key: value for key, value in _row(cohort, found, counts=False).items() if key in _OF_MEMBERS}
    columns = {
        **{key: pa.repeat(pa.scalar(fixed[key], _FIELDS.field(key).type), len(rows)) for key in _OF_MEMBERS[:3]},
        "actor_id": rows.column(0),
        **{key: pa.repeat(pa.scalar(fixed[key], _FIELDS.field(key).type), len(rows)) for key in _OF_MEMBERS[3:]},
    }
    return Answer(
        table=pa.table(columns),
        sql=found.sql,
        sources=tuple(found.sources()),
        title=f"Members of {cohort.title or name}",
        notes=(found.words(),),
    )


_OF_MEMBERS = ("name", "definition_version", "at", "status", "watermark", "engine")


def _named(known: Mapping[str, Cohort], name: str) -> Cohort:
    if name not in known:
        more = "" if known else f"A file {FOLDER}/NAME.yml makes one."
        raise UnknownNameError("cohort", name, known, more=more)
    return known[name]


def _at(gold: Gold, cohort: Cohort, at: date | None) -> Members | None:
    """A cohort for a question that begins on a date; None before the first build."""
    observed = observed_events(gold)
    known = last_complete(observed)
    if at is None and known is None:
        return None
    at = at or (known or date.min) + timedelta(days=1)
    is_during = any(leaf.window is not None and leaf.window.is_during for leaf in cohort.condition.leaves())
    return Members(gold, cohort, observed, at - _DURING if is_during else at, at - timedelta(days=1))


def _row(cohort: Cohort, found: Members | None, *, counts: bool = True) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": cohort.name,
        "title": cohort.title or None,
        "definition": str(cohort.condition),
        "status": "missing",
    }
    if found is None:
        return row
    row |= {
        "definition_version": found.version,
        "at": found.last + timedelta(days=1),
        "looks_at": found.span_words(),
        "status": found.status,
        "watermark": found.observed.watermark,
        "engine": found.gold.engine.capabilities.dialect,
    }
    if counts and found.status != "missing":
        found.prepare()
        (told,) = found.gold.query(
            f"SELECT (SELECT count(*) FROM ({found.sql}) AS members) AS actors, "
            f"(SELECT count(*) FROM ({found.seen()}) AS seen) AS seen"
        )
        row |= {"actors": told["actors"], "share": told["actors"] / told["seen"] if told["seen"] else None}
    return row
