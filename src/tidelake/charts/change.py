"""Charts of a change: daily numbers beside what was expected, contributions, the way from one level to the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from tidelake.charts.look import GREY, HEIGHT, INK, PALETTE, PANEL, WIDTH, styled

Rows = Sequence[Mapping[str, Any]]
_FALL, _RISE, _WHOLE = PALETTE[5], PALETTE[2], PALETTE[0]
_COLUMNS = 2


def daily_panels(rows: Rows, *, at: date, form: str, unit: str | None) -> Any:
    """A panel a segment: what was seen, and dashed what was expected from the onset on.

    Args:
        rows: `day`, `segment`, `seen` and `expected`; null where not known.
        at: The day of the onset, drawn as a rule.
        form: How values are written.
    """
    import altair as alt

    segments = list(dict.fromkeys(row["segment"] for row in rows))
    columns = 1 if len(segments) == 1 else _COLUMNS
    panels = [
        _panel([row for row in rows if row["segment"] == name], name, at, form, unit, columns) for name in segments
    ]
    return styled(alt.concat(*panels, columns=columns).resolve_scale(y="independent"))


def _panel(rows: Rows, name: str, at: date, form: str, unit: str | None, columns: int) -> Any:
    import altair as alt

    data = alt.InlineData(values=[{**row, "day": str(row["day"])} for row in rows])
    days = alt.Axis(grid=False, labelOverlap=True, format="%-d %b", tickCount=6)
    x = alt.X("day:T", title=None, scale=alt.Scale(type="utc"), axis=days)
    y = alt.Y("seen:Q", title=unit, scale=alt.Scale(zero=False), axis=alt.Axis(format=form, tickCount=5))
    base = alt.Chart(data)
    seen = base.mark_line(color=_WHOLE, strokeWidth=2, point=alt.OverlayMarkDef(size=18, color=_WHOLE))
    hoped = base.transform_filter("isValid(datum.expected)").mark_line(color=GREY, strokeWidth=2, strokeDash=[5, 4])
    layers = [_onset(at), hoped.encode(x=x, y=alt.Y("expected:Q")), seen.encode(x=x, y=y)]
    size = {"width": WIDTH if columns == 1 else WIDTH // 2 - 40, "height": HEIGHT * 2 // 3 if columns == 1 else PANEL}
    return alt.layer(*layers).properties(title=alt.Title(name, anchor="start", fontSize=12, color=INK), **size)


def _onset(at: date) -> Any:
    import altair as alt

    data = alt.InlineData(values=[{"day": str(at)}])
    rule = alt.Chart(data).mark_rule(color=_FALL, strokeDash=[2, 2], strokeWidth=1.5)
    return rule.encode(x=alt.X("day:T"))


def contributions(rows: Rows, *, form: str, title: str) -> Any:
    """A bar a value: what it adds to the change, those of a ratio as rate and as mix.

    Args:
        rows: `dimension`, `value`, `part` (`rate`, `mix` or `change`) and `contribution`.
    """
    import altair as alt

    dims = list(dict.fromkeys(row["dimension"] for row in rows))
    parts = list(dict.fromkeys(row["part"] for row in rows))
    colours = alt.Scale(domain=parts, range=[_WHOLE, PALETTE[1]][: len(parts)])
    legend = alt.Legend(title=None, orient="top") if len(parts) > 1 else None
    panels = []
    for dim in dims:
        own = [dict(row) for row in rows if row["dimension"] == dim]
        order = list(dict.fromkeys(row["value"] for row in own))
        bars = alt.Chart(alt.InlineData(values=own)).mark_bar(cornerRadiusEnd=2)
        panel = bars.encode(
            x=alt.X("contribution:Q", title=title, axis=alt.Axis(format=form, tickCount=6)),
            y=alt.Y("value:N", sort=order, title=None, axis=alt.Axis(ticks=False, labelLimit=200)),
            color=alt.Color("part:N", scale=colours, legend=legend),
        )
        head = alt.Title(dim, anchor="start", fontSize=12, color=INK)
        panels.append(panel.properties(title=head, width=WIDTH // 2 - 60, height=max(50, 20 * len(order))))
    return styled(alt.concat(*panels, columns=_COLUMNS).resolve_scale(x="shared"))


def waterfall(rows: Rows, *, form: str, unit: str | None) -> Any:
    """The way from what was expected to what was seen, step by step.

    Args:
        rows: `label`, `start`, `end` and `is_whole`, in order.
    """
    import altair as alt

    order = [row["label"] for row in rows]
    told = [
        {**row, "kind": "whole" if row["is_whole"] else "rise" if row["end"] >= row["start"] else "fall"}
        for row in rows
    ]
    base = alt.Chart(alt.InlineData(values=told))
    x = alt.X("label:N", sort=order, title=None, axis=alt.Axis(labelAngle=-20, ticks=False, labelLimit=150))
    colours = alt.Scale(domain=["whole", "fall", "rise"], range=[_WHOLE, _FALL, _RISE])
    bars = base.mark_bar(size=46).encode(
        x=x,
        y=alt.Y("start:Q", title=unit, axis=alt.Axis(format=form, tickCount=6)),
        y2="end:Q",
        color=alt.Color("kind:N", scale=colours, legend=None),
    )
    text = base.transform_calculate(
        top="max(datum.start, datum.end)", said="datum.is_whole ? datum.end : datum.end - datum.start"
    ).mark_text(dy=-6, fontSize=11, color=INK)
    labels = text.encode(x=x, y=alt.Y("top:Q"), text=alt.Text("said:Q", format=form))
    return styled(alt.layer(bars, labels).properties(width=max(240, 110 * len(order)), height=HEIGHT * 3 // 4))


def loss_band(rows: Rows, *, at: date, form: str, unit: str | None) -> Any:
    """What was seen beside what would have been, with its band.

    Args:
        rows: `day`, `seen`, `expected`, `low`, `high`; null where not known.
    """
    import altair as alt

    values = [{**row, "day": str(row["day"])} for row in rows if row["day"] >= at - timedelta(days=42)]
    base = alt.Chart(alt.InlineData(values=values))
    days = alt.Axis(grid=False, labelOverlap=True, format="%-d %b", tickCount=8)
    x = alt.X("day:T", title=None, scale=alt.Scale(type="utc"), axis=days)
    axis = alt.Axis(format=form, tickCount=6)
    hoped = base.transform_filter("isValid(datum.low)")
    band = hoped.mark_area(color=GREY, opacity=0.25).encode(
        x=x, y=alt.Y("low:Q", title=unit, scale=alt.Scale(zero=False), axis=axis), y2="high:Q"
    )
    middle = base.mark_line(color=GREY, strokeDash=[5, 4], strokeWidth=2).encode(x=x, y=alt.Y("expected:Q"))
    seen = base.mark_line(color=_WHOLE, strokeWidth=2, point=alt.OverlayMarkDef(size=18, color=_WHOLE))
    layers = [_onset(at), band, middle, seen.encode(x=x, y=alt.Y("seen:Q"))]
    return styled(alt.layer(*layers).properties(width=WIDTH, height=HEIGHT * 2 // 3))
