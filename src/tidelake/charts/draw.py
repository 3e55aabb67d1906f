"""Charts of metric tables: open periods dashed, cells that cannot be known empty, intervals drawn.

The colours are those of Okabe and Ito, which the colour-blind can tell apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tidelake.charts.shape import LARGEST, Shape, shape_of
from tidelake.errors import UnsupportedError

if TYPE_CHECKING:
    import altair as alt

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6BB1", "#4D4D4D")
_GREY, _EMPTY = "#8A8F98", "#F1F2F4"
_SURE = ("complete", "partial_left")
_WIDTH, _HEIGHT = 680, 300
_BAR = 26


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
    if shape is None:
        raise UnsupportedError(
            "This table has no `value` to draw.", hint="Draw what `tide measure` and its like answer with."
        )
    import altair as alt

    table, said = _largest(table, shape)
    subtitle = ". ".join(filter(None, (subtitle, said)))
    # A dot in a name (users.age_group) would mean a value within a value.
    table = table.rename_columns([name.replace(".", " ") for name in table.column_names])
    shape = shape_of(table) or shape
    data = alt.InlineData(values=_rows(table, shape))
    drawn: Any = _DRAWN[shape.kind](data, table, shape)
    if shape.facets is not None:
        heading = alt.Header(labelFontSize=13, labelFontWeight="bold", labelAnchor="start")
        drawn = drawn.facet(facet=alt.Facet(f"{shape.facets}:N", title=None, header=heading), columns=1)
        drawn = drawn.resolve_scale(y="independent")
    if title:
        head: dict[str, Any] = {"subtitle": subtitle} if subtitle else {}
        drawn = drawn.properties(
            title=alt.TitleParams(title, anchor="start", fontSize=16, subtitleColor="#5F6570", offset=12, **head)
        )
    styled: alt.LayerChart | alt.FacetChart = _styled(drawn)
    return styled


def _largest(table: pa.Table, shape: Shape) -> tuple[pa.Table, str]:
    """Only the largest values of dimensions that are told apart by colour or panel, and a text that says so."""
    said = []
    weight = next(name for name in ("size", "denominator", "n", "value") if name in table.column_names)
    if table.column(weight).null_count == table.num_rows:
        weight = "value"
    told = [name for name in (shape.colour, *shape.panels) if name not in (None, "state", "dimension")]
    for name in told:
        count = len(table.column(name).unique())
        if count > LARGEST:
            sums = table.group_by(name).aggregate([(weight, "sum")]).sort_by([(f"{weight}_sum", "descending")])
            table = table.filter(pc.is_in(table.column(name), sums.column(name).slice(0, LARGEST).combine_chunks()))
            said.append(f"the {LARGEST} largest of {count:,} values of {name}")
    return table, "; ".join(said)


def _rows(table: pa.Table, shape: Shape) -> list[dict[str, Any]]:
    """Rows as plain values: dates as text, unknown statuses as complete."""
    wanted = [shape.x, shape.rows, shape.colour, *shape.panels, "value", "ci_low", "ci_high", "status", "n"]
    wanted += ["numerator", "denominator", "size", "event", "step_name", "verdict", "set_changes", shape.y]
    names = [name for name in dict.fromkeys(wanted) if name is not None and name in table.column_names]
    columns = {}
    for name in names:
        column = table.column(name)
        if pa.types.is_temporal(column.type) or (pa.types.is_boolean(column.type) and name != "set_changes"):
            column = pc.cast(column, pa.string())
        columns[name] = column.to_pylist()
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if shape.kind == "steps":
        for row in rows:
            told = row.get("step_name") or row.get("event")
            row["label"] = f"{row['step']}  {told}" if told else str(row["step"])
    for row in rows:
        row["sure"] = row.get("status", "complete") in _SURE
        if shape.facets == "panel":
            row["panel"] = ", ".join(str(row[name]) for name in shape.panels)
    if shape.kind in ("lines", "curve"):
        return _in_runs(rows, shape)
    return rows


def _in_runs(rows: list[dict[str, Any]], shape: Shape) -> list[dict[str, Any]]:
    """Rows with the `run` that they are drawn in: a line ends where its rows begin to be sure, or cease to be.

    The dashed line reaches to where the sure one begins: a copy of that row. Between two sure runs it is a run itself.
    """
    found: list[dict[str, Any]] = []
    last: dict[Any, dict[str, Any]] = {}
    runs = 0
    rows = [row for row in rows if row[shape.x] is not None]
    for row in sorted(rows, key=lambda each: each[shape.x]):
        key = tuple(row.get(name) for name in (shape.colour, *shape.panels) if name)
        before = last.get(key)
        if row["value"] is None and before is not None:
            row["sure"] = before["sure"]  # the gap is in the line that it interrupts
        is_cut = before is None or before["sure"] != row["sure"] or bool(row.get("set_changes"))
        runs += is_cut
        row["run"] = runs if before is None or is_cut else before["run"]
        if before is not None and is_cut and None not in (before["value"], row["value"]):
            again = {"sure": False, "is_again": True}
            if not row["sure"]:
                found.append({**before, **again, "run": row["run"]})
            elif not before["sure"]:
                found.append({**row, **again, "run": before["run"]})
            else:
                runs += 1
                found += [{**end, **again, "run": runs} for end in (before, row)]
        found.append(row)
        last[key] = row
    return found


def _format(shape: Shape) -> str:
    return ".1%" if shape.share else ",.4~r"


def _axis_format(table: pa.Table, shape: Shape) -> str:
    if shape.share:
        top = pc.max(table.column("value")).as_py() or 0
        return ".1%" if top < 0.1 else ".0%"
    top = pc.max(table.column("value")).as_py() or 0
    return "~s" if top >= 10_000 else ",d" if top >= 100 else ",.3~g"  # g writes 1200 as 1.2e+3


def _unit(table: pa.Table) -> str:
    unit: str = (table.schema.field("value").metadata or {}).get(b"unit", b"").decode()
    return {"share": "", "s": "seconds"}.get(unit, unit)


def _tooltip(table: pa.Table, shape: Shape) -> list[Any]:
    import altair as alt

    names = [name for name in (shape.rows, shape.x, shape.colour, shape.facets) if name]
    told = [alt.Tooltip(f"{name}:N") for name in names]
    told.append(alt.Tooltip("value:Q", format=_format(shape)))
    bounds = [name for name in ("ci_low", "ci_high") if name in table.column_names]
    told += [alt.Tooltip(f"{name}:Q", format=_format(shape)) for name in bounds]
    told += [
        alt.Tooltip(f"{name}:Q", format=",") for name in ("numerator", "denominator", "n") if name in table.column_names
    ]
    return [*told, alt.Tooltip("status:N")] if "status" in table.column_names else told


def _colour(shape: Shape) -> Any:
    import altair as alt

    if shape.colour is None:
        return alt.value(PALETTE[0])
    return alt.Color(f"{shape.colour}:N", scale=alt.Scale(range=list(PALETTE)), legend=alt.Legend(title=shape.colour))


def _has_interval(table: pa.Table) -> bool:
    return "ci_low" in table.column_names and table.column("ci_low").null_count < table.num_rows


def _lines(data: Any, table: pa.Table, shape: Shape) -> Any:
    import altair as alt

    is_time = shape.kind == "lines"
    x = (
        alt.X(
            f"{shape.x}:T",
            title=None,
            scale=alt.Scale(type="utc"),  # dates are dates: a browser west of Greenwich would show the day before
            axis=alt.Axis(grid=False, labelFlush=True, labelOverlap=True, **_ticks(table, shape)),
        )
        if is_time
        else alt.X(
            f"{shape.x}:Q", title=shape.x.replace("_", " "), axis=alt.Axis(grid=False, tickMinStep=1, format="d")
        )
    )
    y = alt.Y("value:Q", title=_unit(table) or None, axis=alt.Axis(format=_axis_format(table, shape), tickCount=6))
    base = alt.Chart(data)
    own = base.transform_filter("!datum.is_again")
    layers = []
    if _has_interval(table):
        band = own.mark_area(opacity=0.18).encode(
            x=x, y=alt.Y("ci_low:Q", title=_unit(table) or None), y2="ci_high:Q", color=_colour(shape)
        )
        layers.append(band)
    dashed = alt.StrokeDash(
        "sure:N", scale=alt.Scale(domain=[True, False], range=[[1, 0], [5, 4]]), legend=None, sort=None
    )
    detail = {"detail": [alt.Detail("run:N")]}
    line = base.mark_line(strokeWidth=2, clip=True).encode(x=x, y=y, color=_colour(shape), strokeDash=dashed, **detail)
    layers.append(line)
    distinct = len(table.column(shape.x).unique())
    size = 60 if distinct <= 40 else 0
    points = own.mark_point(size=size or 30, opacity=1 if size else 0, strokeWidth=1.5).encode(
        x=x,
        y=y,
        color=_colour(shape),
        fill=alt.condition("datum.sure", _colour_value(shape), alt.value("white")),
        tooltip=_tooltip(table, shape),
    )
    layers.append(points)
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)


_SHOWN_TICKS = 10


def _ticks(table: pa.Table, shape: Shape) -> dict[str, Any]:
    """Ticks at dates that have a row, named alike: 17 Nov, or the month where every date is the first of one."""
    import altair as alt

    days = sorted(set(pc.drop_null(table.column(shape.x)).to_pylist()))
    step = -(-len(days) // _SHOWN_TICKS)
    values = [alt.DateTime(year=day.year, month=day.month, date=day.day, utc=True) for day in days[::step]]
    is_monthly = all(day.day == 1 for day in days)
    if is_monthly:
        return {"values": values, "format": "%b %Y"}
    return {"values": values, "format": "%-d %b" if days[0].year == days[-1].year else "%-d %b %Y"}


def _colour_value(shape: Shape) -> Any:
    import altair as alt

    if shape.colour is None:
        return alt.value(PALETTE[0])
    return alt.Color(f"{shape.colour}:N", scale=alt.Scale(range=list(PALETTE)), legend=None)


def _matrix(data: Any, table: pa.Table, shape: Shape) -> Any:
    """Cohorts as rows; a cell that is not known yet is empty, one that only part of its cohort can tell is italic."""
    import altair as alt

    cohorts, periods = (len(table.column(name).unique()) for name in (shape.rows, shape.x))
    length = min(_HEIGHT // 2, max(60, cohorts * 24))
    x = alt.X(
        f"{shape.x}:O",
        sort=None,
        title=_title(shape.x),
        axis=alt.Axis(orient="top", labelAngle=0, ticks=False),
    )
    y = alt.Y(f"{shape.rows}:O", title=None, sort="ascending", axis=alt.Axis(ticks=False, domain=False))
    known = "isValid(datum.value)"
    top = pc.max(pc.fill_null(table.column("value"), 0)).as_py() or 1
    base = alt.Chart(data).encode(x=x, y=y)
    empty = base.transform_filter(f"!{known}").mark_rect(color=_EMPTY, stroke="white")
    cells = (
        base.transform_filter(known)
        .mark_rect(stroke="white")
        .encode(
            color=alt.Color(
                "value:Q",
                scale=alt.Scale(scheme="blues", domain=[0, top]),
                legend=alt.Legend(title=None, format=_axis_format(table, shape), gradientLength=length),
            ),
            opacity=alt.condition("datum.sure", alt.value(1), alt.value(0.45)),
            tooltip=_tooltip(table, shape),
        )
    )
    dark = f"datum.value > {top} * 0.55 && datum.sure"
    text = (
        base.transform_filter(known)
        .mark_text(fontSize=10)
        .encode(
            text=alt.Text("value:Q", format=".0%" if shape.share else ",.3~g"),
            color=alt.condition(dark, alt.value("white"), alt.value("#1F2430")),
        )
    )
    unknown = base.transform_filter(f"!{known}").mark_text(text="·", color=_GREY)
    wide = min(1000, max(240, periods * 46))
    return alt.layer(empty, cells, text, unknown).properties(width=wide, height=max(60, cohorts * 24))


def _bars(data: Any, table: pa.Table, shape: Shape) -> Any:
    """Horizontal bars, the largest first (steps: in their order), with intervals where there are any."""
    import altair as alt

    is_steps = shape.kind == "steps"
    name = "label" if is_steps else shape.x
    is_ordered = is_steps or shape.x == "period_label"
    order: Any = None if is_ordered else alt.EncodingSortField("value", op="max", order="descending")
    many = len(table.column(shape.x).unique())
    y = alt.Y(f"{name}:N", sort=order, title=_title(shape.x), axis=alt.Axis(labelLimit=260, ticks=False))
    x = alt.X("value:Q", title=_unit(table) or None, axis=alt.Axis(format=_axis_format(table, shape), tickCount=6))
    base = alt.Chart(data)
    offset = {"yOffset": alt.YOffset(f"{shape.colour}:N")} if shape.colour else {}
    opacity = alt.condition("datum.sure", alt.value(1), alt.value(0.5))
    colour = _colour(shape)
    if "verdict" in table.column_names:
        colour = alt.condition("datum.verdict == 'abnormal'", alt.value(PALETTE[5]), colour)
    layers: list[Any] = [
        base.mark_bar(cornerRadiusEnd=2).encode(
            x=x, y=y, color=colour, opacity=opacity, tooltip=_tooltip(table, shape), **offset
        )
    ]
    if _has_interval(table):
        layers.append(base.mark_rule(color="#1F2430").encode(x=alt.X("ci_low:Q"), x2="ci_high:Q", y=y, **offset))
    far = "ci_high" if _has_interval(table) else "value"
    layers.append(
        base.mark_text(align="left", dx=5, fontSize=11, color="#1F2430").encode(
            x=alt.X(f"{far}:Q"), y=y, text=alt.Text("value:Q", format=_format(shape)), **offset
        )
    )
    segments = len(table.column(shape.colour).unique()) if shape.colour else 1
    return alt.layer(*layers).properties(width=_WIDTH, height=max(_BAR * 2, many * segments * _BAR))


def _title(name: str) -> str | None:
    """A column's name as the title of its axis; nothing for one that only says which number it is."""
    return None if name in ("step", "metric", "segment", "period_label", "weekday") else name.replace("_", " ")


def _columns(data: Any, table: pa.Table, shape: Shape) -> Any:
    """Upright columns in the order of the table."""
    import altair as alt

    x = alt.X(f"{shape.x}:O", sort=None, title=_title(shape.x), axis=alt.Axis(labelAngle=0, ticks=False))
    form = ".0%" if shape.share else "~s"
    y = alt.Y(f"{shape.y}:Q", title=shape.y if shape.y != "value" else None, axis=alt.Axis(format=form, tickCount=6))
    bars = alt.Chart(data).mark_bar(cornerRadiusEnd=2, color=PALETTE[0])
    return bars.encode(x=x, y=y, tooltip=_tooltip(table, shape)).properties(width=_WIDTH, height=_HEIGHT)


_STATES = {"new": 2, "new_or_existing": 4, "resurrected": 1, "returning": 0, "churned": 5}  # colours of PALETTE


def _states(data: Any, table: pa.Table, shape: Shape) -> Any:
    """Growth accounting: those who are here above the axis, those who are gone below it."""
    import altair as alt

    names = list(_STATES)
    shown = alt.Chart(data).transform_filter(alt.FieldOneOfPredicate("state", names))
    shown = shown.transform_calculate(people="datum.state == 'churned' ? -datum.value : datum.value")
    colours = alt.Scale(domain=names, range=[PALETTE[number] for number in _STATES.values()])
    x = alt.X("period_start:O", title=None, axis=alt.Axis(labelAngle=-40, ticks=False, labelOverlap=True))
    return (
        shown.mark_bar()
        .encode(
            x=x,
            y=alt.Y("people:Q", title=None, axis=alt.Axis(format="~s")),
            color=alt.Color("state:N", scale=colours, sort=names, legend=alt.Legend(title=None)),
            opacity=alt.condition("datum.sure", alt.value(1), alt.value(0.45)),
            tooltip=_tooltip(table, shape),
        )
        .properties(width=_WIDTH, height=_HEIGHT)
    )


_DRAWN = {
    "lines": _lines,
    "curve": _lines,
    "matrix": _matrix,
    "steps": _bars,
    "bars": _bars,
    "columns": _columns,
    "states": _states,
}


def _styled(chart: Any) -> Any:
    return (
        chart.configure_view(stroke=None)
        .configure_axis(
            gridColor="#E6E8EB",
            domainColor="#B9BEC7",
            labelColor="#3A3F4A",
            labelFontSize=11,
            titleColor="#5F6570",
            titleFontSize=11,
            titleFontWeight="normal",
        )
        .configure_legend(labelFontSize=11, titleFontSize=11, titleFontWeight="normal")
        .configure(font="Inter, 'Helvetica Neue', Arial, sans-serif", background="white", padding=16)
    )
