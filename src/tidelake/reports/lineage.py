"""Which gold tables a project has and what each reads: from its definitions alone, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import DataFile, Engine, Layout
from tidelake.gold.build import lineage as gold_lineage
from tidelake.gold.context import Gold
from tidelake.gold.events import Events, event_sources

Needs = dict[str, tuple[str, ...]]

_TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "json": pa.string(),
}
# What every lake holds besides the tables of its sources.
_KEPT = (
    *("silver.quarantine", "silver.duplicates", "ops.files", "ops.ledger", "ops.dq_reports"),
    *("ops.restatements", "ops.coverage", "ops.watermarks", "ops.builds", "ops.findings", "ops.deliveries"),
)
_ALWAYS = ("event_id", "actor_id", "event_name", "session_id", "traffic_class")


def lineage(project: Project, sources: Mapping[str, Source]) -> tuple[Needs, Needs]:
    """Gold tables with the tables that each reads: the built-in ones, and the project's own models."""
    schemas = {f"silver.{name}": declared_schema(source, project) for name, source in sources.items()}
    known = {name: schemas[f"silver.{name}"] for name in sources}
    events = Events(project, event_sources(sources, known)).stitching()
    # Definitions look at schemas only; no query is run.
    gold = Gold(cast(Engine, None), _Declared(schemas), project, sources, events)
    return gold_lineage(gold)


def declared_schema(source: Source, project: Project) -> pa.Schema:
    """The columns that a source's silver table has by its contract and by what the project asks of it.

    Fields that the contract does not declare and the project names (dimensions, measures) are text or numbers.
    """
    parts = {field: part for part, field in source.mapping.items()}
    columns = {"event_date": pa.date32(), "event_time": _TYPES["timestamp"], **{name: pa.string() for name in _ALWAYS}}
    if source.mapping.anonymous_id is not None:
        columns["anonymous_id"] = pa.string()
    for name, rule in source.contract.fields.items():
        columns.setdefault(parts.get(name, name), _TYPES[rule.type])
    asked = [*project.dimensions, *project.session.split_by]
    asked += [measure.distinct for measure in project.measures.values() if measure.distinct]
    sums = [measure.sum for measure in project.measures.values() if measure.sum]
    for name in (*sums, *([project.watch.column] if project.watch.column else [])):
        columns.setdefault(name, pa.float64())
    for name in source.measures or (("views",) if source.fact == "count" else ()):
        columns.setdefault(name, pa.int64())
    for name in asked:
        columns.setdefault(name, pa.string())
    return pa.schema(list(columns.items()))


class _Declared:
    """A lake that knows schemas and holds nothing."""

    def __init__(self, schemas: Mapping[str, pa.Schema]) -> None:
        self._schemas = schemas

    def version(self, table: str) -> int | None:
        return None

    def schema(self, table: str) -> Any:
        return self._schemas.get(table)

    def layout(self, table: str) -> Layout:
        return Layout()

    def drop(self, table: str) -> None:
        return None

    def files(self, table: str) -> list[DataFile]:
        return []

    def note(self, table: str) -> dict[str, Any]:
        return {}

    def changed_partitions(
        self, table: str, column: str, since_version: int, *, taken: bool = False
    ) -> list[str] | None:
        return None

    def index_folder(self, name: str) -> Path | None:
        return None

    def tables(self) -> list[str]:
        return sorted([*self._schemas, *(name.replace("silver.", "bronze.") for name in self._schemas), *_KEPT])
