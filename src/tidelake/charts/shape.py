"""What kind of chart a table asks for: read from the names of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Kind = Literal["lines", "matrix", "steps", "bars", "curve", "columns", "states", "spikes", "spans"]
# Texts and flags of results that are no segments.
NO_SEGMENTS = (
    frozenset(("metric", "definition_version", "grain", "unit", "status", "engine", "step_name", "event", "state"))
    | {"cohort_grain", "cohort_source", "period_label", "verdict", "direction", "censored", "weekday"}
    | {"set_changes", "compared_status"}
)
_LABELS = {"hhi": "diversity (1 - HHI)", "level": "change a week", "censored": "median length in days"}
LARGEST = 8  # values of one dimension that are told apart: as many as there are colours


@dataclass(frozen=True)
class Shape:
    """How a table is drawn.

    Attributes:
        x: Column along the horizontal axis (matrix: the unit since entry; bars: the category).
        rows: Matrix: column of the cohorts.
        colour: Column whose values have colours of their own.
        panels: Columns whose values, taken together, have panels of their own.
        share: The value is a share, drawn in percent.
        y: Column that is drawn.
        label: What the value is, where no unit says it.
    """

    kind: Kind
    x: str
    rows: str | None = None
    colour: str | None = None
    panels: tuple[str, ...] = ()
    share: bool = False
    y: str = "value"
    label: str = ""

    @property
    def facets(self) -> str | None:
        """The column of the panels: `panel` where several columns make one."""
        return None if not self.panels else self.panels[0] if len(self.panels) == 1 else "panel"


def shape_of(table: pa.Table) -> Shape | None:
    """The chart for a table, or None where it holds no `value` to draw."""
    if "value" not in table.column_names or not table.num_rows:
        return None
    metadata = table.schema.field("value").metadata or {}
    share = metadata.get(b"unit") == b"share"
    names = table.column_names
    segments = [name for name in _texts(table) if name not in NO_SEGMENTS and not name.startswith("is_")]
    varied = tuple(name for name in segments if _count(table, name) > 1)
    if "period" in names:
        return _by_period(table, varied, share)
    if "step" in names:
        return Shape("steps", x="step", colour=_first(varied), panels=varied[1:], share=share)
    if "state" in names:
        return Shape("states", x="period_start", colour="state", panels=varied)
    if {"dimension", "segment"} <= set(names):
        return Shape("bars", x="segment", panels=("dimension",), share=share)
    if {"first_date", "last_date"} <= set(names):
        return Shape("spans", x="first_date", rows=_first(varied) or "metric", panels=varied[1:])
    if {"expected", "direction"} <= set(names):
        return Shape("spikes", x="period_start", colour=_first(varied), panels=varied[1:])
    for column, drawn in (("active_days", "actors"), ("weekday", "value")):
        if column in names and drawn in names:
            label = "times the mean of its week" if column == "weekday" else ""
            return Shape("columns", x=column, panels=varied, share=share and drawn == "value", y=drawn, label=label)
    label = next((said for column, said in _LABELS.items() if column in names), "")
    if "period_start" in names and _count(table, "period_start") > 1:
        return Shape("lines", x="period_start", colour=_first(varied), panels=varied[1:], share=share, label=label)
    if segments:
        return Shape("bars", x=_first(varied) or segments[0], panels=varied[1:], share=share, label=label)
    return Shape("bars", x="metric", share=share, label=label) if "metric" in names else None


def _by_period(table: pa.Table, varied: tuple[str, ...], share: bool) -> Shape:
    """Retention: a matrix of cohorts, a curve of one; bars where periods have names (`1-3`) or there is only one."""
    labels = table.column("period_label").to_pylist() if "period_label" in table.column_names else []
    numbered = all(label is None or label.isdigit() for label in labels)
    if "cohort_start" in table.column_names and _count(table, "cohort_start") > 1:
        x = "period" if numbered else "period_label"
        return Shape("matrix", x=x, rows="cohort_start", panels=varied, share=share)
    if numbered and _count(table, "period") > 1:
        return Shape("curve", x="period", colour=_first(varied), panels=varied[1:], share=share)
    named = "period_label" if labels else "period"
    if not varied:
        return Shape("bars", x=named, share=share)
    panels = (*varied[1:], *([named] if _count(table, named) > 1 else []))
    return Shape("bars", x=varied[0], panels=panels, share=share)


def _count(table: pa.Table, name: str) -> int:
    return len(table.column(name).unique())


def _texts(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if pa.types.is_string(field.type) or pa.types.is_boolean(field.type)]


def _first(varied: tuple[str, ...]) -> str | None:
    return varied[0] if varied else None
