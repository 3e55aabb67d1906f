"""What every question about metrics answers with: the columns that each row carries, and the tables behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import ValidationError

from tidelake.config import Settings
from tidelake.engine.base import TableVersion
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError
from tidelake.gold.context import Gold
from tidelake.gold.model import definition_hash
from tidelake.metrics.attributes import attribute_notes, attribute_tables
from tidelake.metrics.reading import for_reading
from tidelake.metrics.status import Observed

NUMBERS = ("value", "numerator", "denominator", "n", "ci_low", "ci_high")
_SETTINGS = {"timezone", "week_start", "activity", "session", "watch", "measures"}


Kind = TypeVar("Kind", bound=Settings)


def defined(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """A question's definition from what a caller gave.

    Raises:
        DefinitionError: A value cannot be; says which and why.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise DefinitionError(f"{kind.__name__.lower()}, {name}: {message[:1].lower()}{message[1:]}.") from error


def version_of(gold: Gold, definition: Settings) -> str:
    """Hash of a definition and of the project's settings that it depends on."""
    return definition_hash(definition.model_dump(), gold.project.model_dump(include=_SETTINGS))[:12]


def number_fields(unit: str | None) -> list[pa.Field]:
    """`value, numerator, denominator, n, ci_low, ci_high`; `unit` = `share` prints as a percentage."""
    kinds = dict.fromkeys(NUMBERS, pa.float64()) | {"n": pa.int64()}
    metadata = {"unit": unit} if unit else None
    counted = ("value",) if unit != "share" else ("value", "ci_low", "ci_high")
    return [pa.field(name, kind, metadata=metadata if name in counted else None) for name, kind in kinds.items()]


class Answer(Result):
    """A metric's rows; printed, as `for_people` has them."""

    def for_people(self) -> Result:
        """The table for people: what is the same in every row is said once."""
        return for_reading(self)

    def __str__(self) -> str:
        return Result.__str__(self.for_people())

    def _repr_html_(self) -> str:
        return Result._repr_html_(self.for_people())


def answer(
    gold: Gold,
    rows: Iterable[Mapping[str, Any]],
    fields: Sequence[pa.Field],
    *,
    name: str,
    version: str,
    observed: Observed,
    sql: str,
    tables: Iterable[str],
    title: str,
    notes: Sequence[str] = (),
) -> Result:
    """A result whose rows begin with `metric, definition_version` and end with `status, watermark, engine`.

    Args:
        rows: With `status`, and a value for each of `fields`.
        fields: The columns between.
        name: The metric.
        tables: Tables that were read; their versions become the result's sources.
    """
    fixed = {
        "metric": name,
        "definition_version": version,
        "watermark": observed.watermark,
        "engine": gold.engine.capabilities.dialect,
    }
    schema = pa.schema(
        [
            pa.field("metric", pa.string()),
            pa.field("definition_version", pa.string()),
            *fields,
            pa.field("status", pa.string()),
            pa.field("watermark", pa.timestamp("us", "UTC")),
            pa.field("engine", pa.string()),
        ]
    )
    names = [item.name for item in fields]
    return Answer(
        table=pa.Table.from_pylist([{**row, **fixed} for row in rows], schema=schema),
        sql=sql,
        sources=sources_of(gold, tables, names),
        title=title,
        notes=(*notes, *attribute_notes(gold, names)),
    )


def sources_of(gold: Gold, tables: Iterable[str], names: Sequence[str]) -> tuple[TableVersion, ...]:
    """The tables that were read, with those of the attributes among some names, each with its version."""
    read = dict.fromkeys([*tables, *attribute_tables(gold, names)])
    versions = [(table, gold.lake.version(table)) for table in read]
    return tuple(TableVersion(table, version) for table, version in versions if version is not None)


def answer_by_period(
    gold: Gold,
    rows: Iterable[Mapping[str, Any]],
    by: Sequence[str],
    definition: Settings,
    *,
    before: Sequence[pa.Field] = (),
    unit: str | None = None,
    after: Sequence[pa.Field] = (),
    **more: Any,
) -> Result:
    """A result with a row a period and segment: `period_start, grain`, the dimensions, and the numbers.

    Args:
        by: The dimensions.
        definition: What was asked.
        before: Columns before the numbers.
        unit: Of the value.
        after: Columns after the numbers.
        more: As `answer` takes them.
    """
    fields = [
        pa.field("period_start", pa.date32()),
        pa.field("grain", pa.string()),
        *(pa.field(name, pa.string()) for name in by),
        *before,
        *number_fields(unit),
        *after,
    ]
    return answer(gold, rows, fields, version=version_of(gold, definition), **more)
