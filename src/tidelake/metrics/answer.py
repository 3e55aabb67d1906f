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


def within_one(bounds: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    """The interval of a share, which lies between 0 and 1, where that of a ratio of sums goes beyond."""
    low, high = bounds
    return (None if low is None else max(0.0, low)), (None if high is None else min(1.0, high))


class Answer(Result):
    """A metric's rows; printed, what is the same in every row is said once."""

    def __str__(self) -> str:
        return Result.__str__(for_reading(self))

    def _repr_html_(self) -> str:
        return Result._repr_html_(for_reading(self))


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
    read = [*tables, *attribute_tables(gold, names)]
    versions = [(table, gold.lake.version(table)) for table in dict.fromkeys(read)]
    return Answer(
        table=pa.Table.from_pylist([{**row, **fixed} for row in rows], schema=schema),
        sql=sql,
        sources=tuple(TableVersion(table, version) for table, version in versions if version is not None),
        title=title,
        notes=(*notes, *attribute_notes(gold, names)),
    )
