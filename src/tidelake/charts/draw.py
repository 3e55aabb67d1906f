"""Charts of metric tables: open periods dashed, cells that cannot be known empty, intervals drawn."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tidelake.charts.bars import bars, columns, matrix, states
from tidelake.charts.look import styled
from tidelake.charts.notebook import offline
from tidelake.charts.over_time import in_runs, lines, spans, spikes
from tidelake.charts.shape import LARGEST, Shape, shape_of
from tidelake.errors import UnsupportedError

if TYPE_CHECKING:
    import altair as alt

_WHOLE = ("complete", "partial_left")
_OVER_TIME = ("lines", "states", "columns")  # of these a period that the data begin in is not whole
_ROWS = 40  # bars one below the other
_UNSURE = {
    "lines": "hollow and dashed: not complete",
    "matrix": "paler: known of a part of the cohort",
    **dict.fromkeys(("states", "bars"), "paler: not complete"),
}


def chart_of(table: pa.Table, *, title: str = "", subtitle: str = "") -> alt.LayerChart | alt.FacetChart:
    """The chart for a table of one metric.

    Args:
        table: With a column `value`, and what it is by: `period_start`, `cohort_start` and `period`, `step`, `days`, or
            a category. `status`, `ci_low` and `ci_high` are drawn where they are there.
        title: Above the chart.
        subtitle: Below the title, smaller.

    Raises:
        UnsupportedError: The table holds nothing to draw.
    """
    if "value" not in table.column_names and "pooled" in table.column_names:
        table = table.rename_columns(["value" if name == "pooled" else name for name in table.column_names])
        subtitle = subtitle or "dashed where other cohorts stand behind it than before"
    shape = shape_of(table)
    if shape is not None and not table.column("value").null_count < table.num_rows and shape.y == "value":
        raise UnsupportedError("No value is known, so there is nothing to draw.", hint="The column status says why.")
    if shape is None and "value" in table.column_names and not table.num_rows:
        raise UnsupportedError("There are no rows to draw.", hint="The notes of the answer say why.")
    if shape is None:
        raise UnsupportedError(
            "This table has no `value` to draw.", hint="Draw what `tide measure` and its like answer with."
        )
    import altair as alt

    table, said = _largest(table, shape)
    if not subtitle and "compared_value" in table.column_names and shape.kind == "lines" and shape.colour is None:
        subtitle = "grey: the earlier period that each is compared with"
    # A dot in a name (users.age_group) would mean a value within a value.
    table = table.rename_columns([name.replace(".", " ") for name in table.column_names])
    shape = shape_of(table) or shape
    rows = _rows(table, shape)
    is_unsure = any(not row["sure"] and row["value"] is not None and "is_again" not in row for row in rows)
    marked = _UNSURE.get(shape.kind, "") if is_unsure else ""
    marked = "paler: it may have been longer" if shape.kind == "spans" else marked
    abnormal = "red: abnormal" if any(row.get("verdict") == "abnormal" for row in rows) else ""
    subtitle = ". ".join(filter(None, (subtitle, said, marked, abnormal)))
    data = alt.InlineData(values=rows)
    drawn: Any = _DRAWN[shape.kind](data, table, shape)
    if shape.facets is not None:
        heading = alt.Header(labelFontSize=13, labelFontWeight="bold", labelAnchor="start")
        drawn = drawn.facet(facet=alt.Facet(f"{shape.facets}:N", title=None, header=heading), columns=1)
        drawn = drawn.resolve_scale(y="shared" if shape.kind == "columns" else "independent")
    if title:
        head: dict[str, Any] = {"subtitle": subtitle} if subtitle else {}
        drawn = drawn.properties(
            title=alt.TitleParams(title, anchor="start", fontSize=16, subtitleColor="#5F6570", offset=12, **head)
        )
    return offline(styled(drawn))


def _largest(table: pa.Table, shape: Shape) -> tuple[pa.Table, str]:
    """Only the largest values of dimensions that are told apart by colour or panel, and a text that says so."""
    said = []
    weight = next(name for name in ("size", "denominator", "n", "value") if name in table.column_names)
    if table.column(weight).null_count == table.num_rows:
        weight = "value"
    told = {name: LARGEST for name in (shape.colour, *shape.panels) if name and name not in ("state", "dimension")}
    if shape.kind in ("bars", "spans"):
        told[shape.rows or shape.x] = _ROWS
    if shape.kind == "bars" and (unknown := table.column("value").null_count):
        table = table.filter(pc.is_valid(table.column("value")))
        said.append(f"{unknown:,} without a value left out")
    for name, limit in told.items():
        count = len(table.column(name).unique())
        if count > limit:
            sums = table.group_by(name).aggregate([(weight, "sum")]).sort_by([(f"{weight}_sum", "descending")])
            table = table.filter(pc.is_in(table.column(name), sums.column(name).slice(0, limit).combine_chunks()))
            said.append(f"the {limit} largest of {count:,} values of {name}")
    return table, "; ".join(said)


def _rows(table: pa.Table, shape: Shape) -> list[dict[str, Any]]:
    """Rows as plain values: dates as text, unknown statuses as complete."""
    wanted = [shape.x, shape.rows, shape.colour, *shape.panels, "value", "ci_low", "ci_high", "status", "n"]
    wanted += ["numerator", "denominator", "size", "event", "step_name", "verdict", "set_changes", shape.y]
    wanted += ["expected", "direction", "last_date", "is_censored", "compared_value"]
    names = [name for name in dict.fromkeys(wanted) if name is not None and name in table.column_names]
    columns = {}
    for name in names:
        column = table.column(name)
        if pa.types.is_temporal(column.type) or (pa.types.is_boolean(column.type) and name != "set_changes"):
            column = pc.cast(column, pa.string())
        columns[name] = column.to_pylist()
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if shape.kind == "spans":
        for row in rows:
            row["after"] = str(date.fromisoformat(row["last_date"]) + timedelta(days=1))
    if shape.kind == "steps":
        for row in rows:
            told = row.get("step_name") or row.get("event")
            row["label"] = f"{row['step']}  {told}" if told else str(row["step"])
    for row in rows:
        status = row.get("status", "complete")
        row["sure"] = status == "complete" or (status in _WHOLE and shape.kind not in _OVER_TIME)
        if shape.facets == "panel":
            row["panel"] = ", ".join(str(row[name]) for name in shape.panels)
    if shape.kind in ("lines", "curve"):
        return in_runs(rows, shape)
    return rows


_DRAWN = {
    "lines": lines,
    "curve": lines,
    "matrix": matrix,
    "steps": bars,
    "bars": bars,
    "columns": columns,
    "states": states,
    "spikes": spikes,
    "spans": spans,
}
