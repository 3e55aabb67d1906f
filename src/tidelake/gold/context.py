"""What every gold build works with: engine, lake, project, sources and who watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa
from pydantic import Field

from tidelake.config import Project
from tidelake.contracts.source import Source, columns_by_field
from tidelake.contracts.table import quoted
from tidelake.engine.base import Engine
from tidelake.engine.progress import Progress, silent
from tidelake.engine.sql import check_names_in
from tidelake.errors import QueryError
from tidelake.gold.attributes import Asked, Attributes
from tidelake.gold.dates import Tables, rows_by_date, sum_kind
from tidelake.gold.events import IDENTITY_DAY, Events, event_sources


class AskedProject(Project):
    """The settings that a question sees which names saved cohorts or a level: part of every definition's hash.

    Attributes:
        asked: The cohorts.
        level: Column of another actor level (tide.yml's `actors:`), whose values count in the place of actors.
    """

    asked: Asked | None = Field(None, exclude=True)
    level: str | None = Field(None, exclude=True)

    @classmethod
    def of(cls, project: Project, **more: Any) -> AskedProject:
        """A project's settings with the cohorts or the level of a question."""
        return cls.model_construct(**{**dict(project), **more})

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """The settings, with the cohorts' versions and the level."""
        cohorts = {} if self.asked is None else {"cohorts": dict(self.asked.versions)}
        return {**super().model_dump(**options), **cohorts, **({} if self.level is None else {"actor": self.level})}


@dataclass(frozen=True)
class Gold:
    """One project's gold room.

    Attributes:
        engine: Runs the SELECTs.
        lake: Versions, file lists and notes of the tables.
        memo: What was worked out in this build already (`once`).
    """

    engine: Engine
    lake: Tables
    project: Project
    sources: Mapping[str, Source]
    events: Events
    progress: Progress = silent
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def level(self) -> str | None:
        """Column of the actor level that the question asks for; None = the actor itself."""
        return self.project.level if isinstance(self.project, AskedProject) else None

    def at_level(self) -> Gold:
        """The same with events whose actor is of the level that is asked for; gold's tables know the actor only."""
        return self if self.level is None else replace(self, events=replace(self.events, level=self.level))

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """A value that is worked out once a build; the key names everything that it depends on."""
        if key not in self.memo:
            self.memo[key] = make()
        return self.memo[key]

    def rows_by_date(self, tables: Iterable[tuple[str, str]]) -> Counter[date]:
        """Rows that some tables hold on each date: (table, date partition) each."""
        found: Counter[date] = Counter()
        for table, column in tables:
            version = self.lake.version(table)
            key = ("rows", table, column, version)
            found.update(self.once(key, partial(rows_by_date, self.lake, [(table, column)])))
        return found

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a SELECT as dictionaries."""
        rows: list[dict[str, Any]] = self.engine.query(sql).to_pylist()
        return rows

    def temp(self, name: str, rows: str | pa.Table) -> None:
        """Make `temp.name` from a SELECT or from rows."""
        self.engine.write(rows, f"temp.{name}", "overwrite")

    def forget(self, *names: str) -> None:
        """Drop `temp` tables that are no longer needed, where they were made: their memory is free again."""
        for name in names:
            self.engine.drop(f"temp.{name}")

    def columns(self, table: str) -> list[str]:
        """Names of a table's columns as SQL."""
        schema = self.engine.schema(table)
        return [] if schema is None else [quoted(name) for name in schema.names]

    def versions(self, tables: Mapping[str, Any] | tuple[str, ...] | list[str]) -> dict[str, int | None]:
        return {table: self.lake.version(table) for table in tables}


def open_gold(
    engine: Engine, lake: Tables, project: Project, sources: Mapping[str, Source], progress: Progress | None = None
) -> Gold:
    """The gold room over a lake whose silver tables are there."""
    schemas = {name: lake.schema(f"silver.{name}") for name, source in sources.items() if source.fact == "event"}
    asked = project.asked if isinstance(project, AskedProject) else None
    attributes = Attributes(sources, lake.schema, asked)
    events = Events(project, event_sources(sources, schemas), attributes=attributes)
    if events.anonymous_tables:
        events = events.stitching(is_made=lake.version(IDENTITY_DAY) is not None)
    events.check()
    if project.activity.where is not None and events.sources:
        _check_activity(project.activity.where, events.types, columns_by_field(sources))
    summed = {name for name in (*(rule.sum for rule in project.measures.values()), project.watch.column) if name}
    kinds = {
        name: sum_kind(lake, events.tables, name, is_whole=events.types[name] == "BIGINT")
        for name in summed & set(events.types)
    }
    return Gold(engine, lake, project, sources, replace(events, sum_kinds=kinds), progress or silent)


def _check_activity(where: str, columns: Mapping[str, str], parts: Mapping[str, Mapping[str, str]]) -> None:
    try:
        check_names_in(where, columns, parts, is_kept=True)
    except QueryError as error:
        raise QueryError(f"activity: where: {error}", hint=error.hint) from error
