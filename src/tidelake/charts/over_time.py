"""Charts whose horizontal axis is time: lines with their intervals, spikes, and spans of days."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tidelake.charts.look import (
    GREY,
    HEIGHT,
    INK,
    PALETTE,
    WIDTH,
    axis_format,
    axis_title,
    colour,
    has_interval,
    plain_colour,
    tooltip,
    value_title,
)
from tidelake.charts.shape import Shape


def in_runs(rows: list[dict[str, Any]], shape: Shape) -> list[dict[str, Any]]:
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


def lines(data: Any, table: pa.Table, shape: Shape) -> Any:
    """A line a value with its interval as a band; dashed and hollow where it is not sure."""
    import altair as alt

    is_time = shape.kind == "lines"
    x = (
        alt.X(
            f"{shape.x}:T",
            title=year_of(table, shape),
            scale=alt.Scale(type="utc"),  # dates are dates: a browser west of Greenwich would show the day before
            axis=alt.Axis(grid=False, labelFlush=True, labelOverlap=True, **_ticks(table, shape)),
        )
        if is_time
        else alt.X(
            f"{shape.x}:Q", title=shape.x.replace("_", " "), axis=alt.Axis(grid=False, tickMinStep=1, format="d")
        )
    )
    y = alt.Y("value:Q", title=value_title(table, shape), axis=alt.Axis(format=axis_format(table, shape), tickCount=6))
    base = alt.Chart(data)
    own = base.transform_filter("!datum.is_again")
    layers = []
    if has_interval(table):
        band = own.mark_area(opacity=0.18).encode(
            x=x, y=alt.Y("ci_low:Q", title=value_title(table, shape)), y2="ci_high:Q", color=colour(shape)
        )
        layers.append(band)
    dashed = alt.StrokeDash(
        "sure:N", scale=alt.Scale(domain=[True, False], range=[[1, 0], [5, 4]]), legend=None, sort=None
    )
    detail = {"detail": [alt.Detail("run:N")]}
    line = base.mark_line(strokeWidth=2, clip=True).encode(x=x, y=y, color=colour(shape), strokeDash=dashed, **detail)
    layers.append(line)
    distinct = len(table.column(shape.x).unique())
    size = 60 if distinct <= 40 else 0
    points = own.mark_point(size=size or 30, opacity=1 if size else 0, strokeWidth=1.5).encode(
        x=x,
        y=y,
        color=colour(shape),
        fill=alt.condition("datum.sure", plain_colour(shape), alt.value("white")),
        tooltip=tooltip(table, shape),
    )
    layers.append(points)
    if "compared_value" in table.column_names and shape.colour is None:
        earlier = own.mark_line(strokeWidth=1.5, color=GREY, strokeDash=[2, 3], point={"color": GREY, "size": 20})
        layers.insert(0, earlier.encode(x=x, y=alt.Y("compared_value:Q")))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def spikes(data: Any, table: pa.Table, shape: Shape) -> Any:
    """Each spike as a point, joined with what was expected of its day; days between them are not drawn."""
    import altair as alt

    # A day alone on the axis would be a tick without a place: time has its own ticks here.
    days = alt.Axis(grid=False, labelOverlap=True, format="%-d %b %Y", tickCount=8)
    x = alt.X(f"{shape.x}:T", title=None, scale=alt.Scale(type="utc"), axis=days)
    y = alt.Y("value:Q", title=value_title(table, shape), axis=alt.Axis(format=axis_format(table, shape), tickCount=6))
    base = alt.Chart(data)
    if shape.colour is None:
        by: Any = alt.Color(
            "direction:N",
            scale=alt.Scale(domain=["up", "down"], range=[PALETTE[0], PALETTE[5]]),
            legend=alt.Legend(title="from what was expected (tick)", symbolOpacity=1),
        )
    else:
        by = colour(shape)
    arrows = alt.Scale(domain=["up", "down"], range=["triangle-up", "triangle-down"])
    arrow = alt.Shape("direction:N", scale=arrows, legend=None)
    points = base.mark_point(filled=True, size=55, opacity=1)
    points = points.encode(x=x, y=y, color=by, shape=arrow, tooltip=tooltip(table, shape))
    rules = base.mark_rule(opacity=0.6).encode(x=x, y=y, y2="expected:Q", color=by)
    expected = base.mark_tick(color=INK, thickness=1.5, size=9).encode(x=x, y=alt.Y("expected:Q"))
    return alt.layer(rules, expected, points).properties(width=WIDTH, height=HEIGHT)


def spans(data: Any, table: pa.Table, shape: Shape) -> Any:
    """Each span of days from its first to its last; pale ends where it may have been longer."""
    import altair as alt

    days = alt.Axis(labelOverlap=True, format="%-d %b %Y", tickCount=8, orient="top")
    x = alt.X(f"{shape.x}:T", title=None, scale=alt.Scale(type="utc"), axis=days)
    order = list(dict.fromkeys(table.column(shape.rows or "").to_pylist()))
    y = alt.Y(f"{shape.rows}:N", sort=order, title=axis_title(shape.rows or ""), axis=alt.Axis(labelLimit=260))
    bars = alt.Chart(data).mark_bar(color=PALETTE[0], height=12, stroke=PALETTE[0], strokeWidth=1)
    drawn = bars.encode(
        x=x,
        x2="after:T",
        y=y,
        fillOpacity=alt.condition("datum.is_censored == 'true'", alt.value(0.35), alt.value(1)),
        tooltip=[*tooltip(table, shape), alt.Tooltip("last_date:N"), alt.Tooltip("is_censored:N")],
    )
    return drawn.properties(width=WIDTH, height=max(60, len(order) * 22))


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


def year_of(table: pa.Table, shape: Shape) -> str | None:
    """The year below an axis whose ticks do not name it."""
    days = pc.drop_null(table.column(shape.x)).to_pylist() if shape.kind == "lines" else []
    is_named = all(day.day == 1 for day in days) or len({day.year for day in days}) > 1
    return None if is_named else str(days[0].year)
