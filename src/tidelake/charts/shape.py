"""What kind of chart a table asks for: read from the names of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Kind = Literal["lines", "matrix", "steps", "bars", "curve", "columns", "states"]
# Texts and flags of results that are no segments.
NO_SEGMENTS = frozenset(
    ("metric", "definition_version", "grain", "unit", "status", "engine", "step_name", "event", "state")
) | {"cohort_grain", "cohort_source", "period_label", "verdict", "direction", "censored", "weekday"}
_MOST_COLOURS = 8


@dataclass(frozen=True)
class Shape:
    """How a table is drawn.

    Attributes:
        x: Column along the horizontal axis (matrix: the unit since entry; bars: the category).
        rows: Matrix: column of the cohorts.
        colour: Column whose values have colours of their own.
        facets: Column whose values have panels of their own.
        share: The value is a share, drawn in percent.
        y: Column that is drawn.
    """

    kind: Kind
    x: str
    rows: str | None = None
    colour: str | None = None
    facets: str | None = None
    share: bool = False
    y: str = "value"


def shape_of(table: pa.Table) -> Shape | None:
    """The chart for a table, or None where it holds no `value` to draw."""
    if "value" not in table.column_names or not table.num_rows:
        return None
    metadata = table.schema.field("value").metadata or {}
    share = metadata.get(b"unit") == b"share"
    names = table.column_names
    segments = [name for name in _texts(table) if name not in NO_SEGMENTS and not name.startswith("is_")]
    if "cohort_start" in names and "period" in names:
        if len(table.column("cohort_start").unique()) > 1:
            return Shape("matrix", x="period", rows="cohort_start", facets=_first(segments, table), share=share)
        return Shape("curve", x="period", colour=_first(segments, table), share=share)
    if "step" in names:
        return Shape("steps", x="step", colour=_first(segments, table), share=share)
    if "state" in names:
        return Shape("states", x="period_start", colour="state", facets=_first(segments, table))
    if {"dimension", "segment"} <= set(names):
        return Shape("bars", x="segment", facets="dimension", share=share)
    for column, drawn in (("active_days", "actors"), ("weekday", "value")):
        if column in names and drawn in names:
            facets = _first(segments, table)
            return Shape("columns", x=column, facets=facets, share=share and drawn == "value", y=drawn)
    if "period_start" in names and len(table.column("period_start").unique()) > 1:
        return Shape("lines", x="period_start", colour=_first(segments, table), share=share)
    if segments:
        varied = [name for name in segments if len(table.column(name).unique()) > 1] or segments
        return Shape("bars", x=varied[0], colour=None, facets=varied[1] if len(varied) > 1 else None, share=share)
    return Shape("bars", x="metric", share=share) if "metric" in names else None


def _texts(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if pa.types.is_string(field.type) or pa.types.is_boolean(field.type)]


def _first(segments: list[str], table: pa.Table) -> str | None:
    varied = [name for name in segments if 1 < len(table.column(name).unique()) <= _MOST_COLOURS * 4]
    return varied[0] if varied else None
