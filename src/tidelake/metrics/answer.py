"""What every question about metrics answers with: the columns that each row carries, and the tables behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import ValidationError

from tidelake.config import Settings
from tidelake.engine.base import TableVersion
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.context import Gold
from tidelake.gold.model import definition_hash
from tidelake.metrics.attributes import attribute_notes, attribute_tables
from tidelake.metrics.dimensions import refuse_column
from tidelake.metrics.reading import for_reading
from tidelake.metrics.status import Observed

NUMBERS = ("value", "numerator", "denominator", "n", "ci_low", "ci_high")
_SETTINGS = {"timezone", "week_start", "activity", "session", "watch", "measures"}


Kind = TypeVar("Kind", bound=Settings)
_OPTIONS = {  # the command's words for settings that are called otherwise in Python
    "threshold_seconds": "--below",
    "abnormal_difference": "--abnormal",
    "same_margin": "--same",
    "threshold": "--above",
    "top_k": "--top",
    "min_change": "--min-change",
    "window_days": "--window",
    "power_days": "--power",
    "warmup_days": "--warmup",
    "observation_days": "--observation",
    "prediction_days": "--prediction",
}


def called(name: str) -> str:
    """A setting as whoever gave it knows it: the command's option, and Python's name."""
    return f"{_OPTIONS[name]} (`{name}`)" if name in _OPTIONS else name


def defined(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """A question's definition from what a caller gave.

    Raises:
        DefinitionError: A value cannot be; says which and why.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        check_settings(kind, error)
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ").removesuffix(".")
        where = f"{kind.__name__.lower()}, {called(name)}"
        raise DefinitionError(f"{where}: {message[:1].lower()}{message[1:]}.") from error


def check_settings(kind: type[Settings], error: ValidationError) -> None:
    """Raise for a setting that there is not; the command's word for one counts as near.

    Raises:
        UnknownNameError: There is none of that name; proposes the nearest.
    """
    for fault in error.errors(include_url=False):
        if fault["type"] == "extra_forbidden":
            given = str(fault["loc"][-1])
            names = {option.lstrip("-").replace("-", "_"): name for name, option in _OPTIONS.items()}
            known = [info.alias or name for name, info in kind.model_fields.items()]
            meant = names.get(given)
            near = [meant] if meant in known else [*known, "by", "start", "end", "where", "grain"]
            more = f"`{meant}` is its name in Python." if meant in known else ""
            raise UnknownNameError("setting", given, near, where=kind.__name__.lower(), more=more) from error


def version_of(gold: Gold, definition: Settings) -> str:
    """Hash of a definition and of the project's settings that it depends on."""
    return definition_hash(definition.model_dump(), gold.project.model_dump(include=_SETTINGS))[:12]


def number_fields(unit: str | None) -> list[pa.Field]:
    """`value, numerator, denominator, n, ci_low, ci_high`; `unit` = `share` prints as a percentage."""
    kinds = dict.fromkeys(NUMBERS, pa.float64()) | {"n": pa.int64()}
    metadata = {"unit": unit} if unit else None
    counted = ("value",) if unit != "share" else ("value", "ci_low", "ci_high")
    return [pa.field(name, kind, metadata=metadata if name in counted else None) for name, kind in kinds.items()]


def once_each(names: Sequence[str]) -> None:
    """Raise where a dimension has the name of another column of the answer.

    Raises:
        DefinitionError: It has; says which.
    """
    for name in names:
        if names.count(name) > 1:
            refuse_column(name)


def within_one(bounds: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    """The interval of a share, which lies between 0 and 1, where that of a ratio of sums goes beyond."""
    low, high = bounds
    return (None if low is None else max(0.0, low)), (None if high is None else min(1.0, high))


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
    once_each(schema.names)
    return Answer(
        table=pa.Table.from_pylist([{**row, **fixed} for row in rows], schema=schema),
        sql=sql,
        sources=sources_of(gold, tables, names),
        title=title if gold.level is None else f"{title} (each {gold.level})",
        notes=(*notes, *attribute_notes(gold, names)),
    )


def totals_table(rows: Iterable[tuple[date, int | None, int | None]]) -> pa.Table:
    """One row a period where an actor may be in several segments: `total`, `sum_of_segments` and their `overlap`.

    Args:
        rows: First date of the period, the whole and the sum of its segments; None where they are not known.
    """
    schema = pa.schema(
        [("period_start", pa.date32()), *((name, pa.int64()) for name in ("total", "sum_of_segments", "overlap"))]
    )
    told = [
        {
            "period_start": first,
            "total": total,
            "sum_of_segments": summed,
            "overlap": None if total is None or summed is None else summed - total,
        }
        for first, total, summed in rows
    ]
    return pa.Table.from_pylist(told, schema=schema)


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
