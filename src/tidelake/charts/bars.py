"""Charts of things side by side: bars, upright columns, growth accounting, and the cells of a matrix."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tidelake.charts.look import (
    EMPTY,
    GREY,
    HEIGHT,
    INK,
    PALETTE,
    PANEL,
    WIDTH,
    axis_format,
    axis_title,
    colour,
    has_interval,
    number_format,
    tooltip,
    value_title,
)
from tidelake.charts.shape import Shape

_BAR = 26


def bars(data: Any, table: pa.Table, shape: Shape) -> Any:
    """Horizontal bars, the largest first (steps: in their order), with intervals where there are any."""
    import altair as alt

    is_steps = shape.kind == "steps"
    name = "label" if is_steps else shape.x
    is_ordered = is_steps or shape.x == "period_label"
    order: Any = None if is_ordered else alt.EncodingSortField("value", op="max", order="descending")
    many = len(table.column(shape.x).unique())
    y = alt.Y(f"{name}:N", sort=order, title=axis_title(shape.x), axis=alt.Axis(labelLimit=260, ticks=False))
    x = alt.X("value:Q", title=value_title(table, shape), axis=alt.Axis(format=axis_format(table, shape), tickCount=6))
    base = alt.Chart(data)
    offset = {"yOffset": alt.YOffset(f"{shape.colour}:N")} if shape.colour else {}
    opacity = alt.condition("datum.sure", alt.value(1), alt.value(0.5))
    shown = colour(shape)
    if "verdict" in table.column_names:
        shown = alt.condition("datum.verdict == 'abnormal'", alt.value(PALETTE[5]), shown)
    layers: list[Any] = [
        base.mark_bar(cornerRadiusEnd=2).encode(
            x=x, y=y, color=shown, opacity=opacity, tooltip=tooltip(table, shape), **offset
        )
    ]
    if has_interval(table):
        layers.append(base.mark_rule(color=INK).encode(x=alt.X("ci_low:Q"), x2="ci_high:Q", y=y, **offset))
    far = "max(0, datum.value, datum.ci_high)" if has_interval(table) else "max(0, datum.value)"
    layers.append(
        base.transform_filter("isValid(datum.value)")
        .transform_calculate(far=far)
        .mark_text(align="left", dx=5, fontSize=11, color=INK)
        .encode(x=alt.X("far:Q"), y=y, text=alt.Text("value:Q", format=number_format(shape)), **offset)
    )
    segments = len(table.column(shape.colour).unique()) if shape.colour else 1
    return alt.layer(*layers).properties(width=WIDTH, height=max(_BAR * 2, many * segments * _BAR))


def columns(data: Any, table: pa.Table, shape: Shape) -> Any:
    """Upright columns in the order of the table."""
    import altair as alt

    x = alt.X(f"{shape.x}:O", sort=None, title=axis_title(shape.x), axis=alt.Axis(labelAngle=0, ticks=False))
    form = ".0%" if shape.share else "~s"
    title = shape.y if shape.y != "value" else value_title(table, shape)
    y = alt.Y(f"{shape.y}:Q", title=title, axis=alt.Axis(format=form, tickCount=6 if shape.facets is None else 3))
    base = alt.Chart(data)
    layers = [base.mark_bar(cornerRadiusEnd=2, color=PALETTE[0]).encode(x=x, y=y, tooltip=tooltip(table, shape))]
    if shape.x == "weekday":  # the mean of the week
        layers.append(base.mark_rule(color=INK, strokeDash=[4, 3]).encode(y=alt.datum(1)))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT if shape.facets is None else PANEL)


_STATES = {"new": 2, "new_or_existing": 7, "resurrected": 1, "returning": 0, "churned": 5}  # colours of PALETTE


def states(data: Any, table: pa.Table, shape: Shape) -> Any:
    """Growth accounting: those who are here above the axis, those who are gone below it."""
    import altair as alt

    names = list(_STATES)
    shown = alt.Chart(data).transform_filter(alt.FieldOneOfPredicate("state", names))
    shown = shown.transform_calculate(people="datum.state == 'churned' ? -datum.value : datum.value")
    colours = alt.Scale(domain=names, range=[PALETTE[number] for number in _STATES.values()])
    shown = shown.transform_filter("datum.state != 'churned' || datum.status != 'open'")  # who is late is not gone
    is_monthly = all(day.day == 1 for day in table.column("period_start").to_pylist())
    named = f"utcFormat(toDate(datum.value), '{'%b %Y' if is_monthly else '%-d %b %Y'}')"
    x = alt.X(
        "period_start:O", title=None, axis=alt.Axis(labelAngle=-40, ticks=False, labelOverlap=True, labelExpr=named)
    )
    shade = alt.Color("state:N", scale=colours, sort=names, legend=alt.Legend(title=None, symbolOpacity=1))
    return (
        shown.mark_bar(strokeWidth=1)
        .encode(
            x=x,
            y=alt.Y("people:Q", title="users; those gone below 0", axis=alt.Axis(format="~s")),
            color=shade,
            stroke=shade,
            fillOpacity=alt.condition("datum.sure", alt.value(1), alt.value(0.3)),
            tooltip=tooltip(table, shape),
        )
        .properties(width=WIDTH, height=HEIGHT if shape.facets is None else PANEL)
    )


def matrix(data: Any, table: pa.Table, shape: Shape) -> Any:
    """Cohorts as rows; a cell that is not known yet is empty, one that only part of its cohort can tell is italic."""
    import altair as alt

    cohorts, periods = (len(table.column(name).unique()) for name in (shape.rows, shape.x))
    length = min(HEIGHT // 2, max(60, cohorts * 24))
    x = alt.X(
        f"{shape.x}:O",
        sort=list(dict.fromkeys(table.column(shape.x).to_pylist())),  # None = each layer's own: first what is empty
        title=axis_title(shape.x),
        axis=alt.Axis(orient="top", labelAngle=0, ticks=False),
    )
    y = alt.Y(f"{shape.rows}:O", title=None, sort="ascending", axis=alt.Axis(ticks=False, domain=False))
    known = "isValid(datum.value)"
    top = pc.max(pc.fill_null(table.column("value"), 0)).as_py() or 1
    base = alt.Chart(data).encode(x=x, y=y)
    empty = base.transform_filter(f"!{known}").mark_rect(color=EMPTY, stroke="white")
    cells = (
        base.transform_filter(known)
        .mark_rect(stroke="white")
        .encode(
            color=alt.Color(
                "value:Q",
                scale=alt.Scale(scheme="blues", domain=[0, top]),
                legend=alt.Legend(title=None, format=axis_format(table, shape), gradientLength=length),
            ),
            opacity=alt.condition("datum.sure", alt.value(1), alt.value(0.45)),
            tooltip=tooltip(table, shape),
        )
    )
    dark = f"datum.value > {top} * 0.55 && datum.sure"
    text = (
        base.transform_filter(known)
        .mark_text(fontSize=10)
        .encode(
            text=alt.Text("value:Q", format=".0%" if shape.share else ",.3~g"),
            color=alt.condition(dark, alt.value("white"), alt.value(INK)),
        )
    )
    unknown = base.transform_filter(f"!{known}").mark_text(text="·", color=GREY)
    wide = min(1000, max(240, periods * 46))
    return alt.layer(empty, cells, text, unknown).properties(width=wide, height=max(60, cohorts * 24))
