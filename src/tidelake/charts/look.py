"""What charts have in common: colours, formats, titles of axes, what a pointer shows.

The colours are those of Okabe and Ito, which the colour-blind can tell apart.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from tidelake.charts.shape import Shape

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6BB1", "#4D4D4D")
GREY, EMPTY, INK = "#8A8F98", "#F1F2F4", "#1F2430"
WIDTH, HEIGHT, PANEL = 680, 300, 150


def number_format(shape: Shape) -> str:
    """How one value is written."""
    return ".1%" if shape.share else ",.4~r"


def axis_format(table: pa.Table, shape: Shape) -> str:
    """How the axis of values writes them."""
    drawn = [name for name in ("value", "ci_low", "ci_high") if name in table.column_names]
    top = max((abs(one) for name in drawn for one in table.column(name).to_pylist() if one is not None), default=0)
    if shape.share:
        return ".1%" if top < 0.1 else ".0%"
    return "~s" if top >= 10_000 else ",d" if top >= 100 else ",.3~g"  # g writes 1200 as 1.2e+3


def value_title(table: pa.Table, shape: Shape) -> str | None:
    """What stands beside the axis of values."""
    said: str = (table.schema.field("value").metadata or {}).get(b"unit", b"").decode()
    return shape.label or {"share": "", "s": "seconds"}.get(said, said) or None


def tooltip(table: pa.Table, shape: Shape) -> list[Any]:
    """What a pointer shows of a row."""
    import altair as alt

    names = [name for name in (shape.rows, shape.x, shape.colour, shape.facets) if name]
    told = [alt.Tooltip(f"{name}:N", title=dotted(name)) for name in names]
    told.append(alt.Tooltip("value:Q", format=number_format(shape)))
    bounds = [name for name in ("ci_low", "ci_high") if name in table.column_names]
    told += [alt.Tooltip(f"{name}:Q", format=number_format(shape)) for name in bounds]
    told += [
        alt.Tooltip(f"{name}:Q", format=",") for name in ("numerator", "denominator", "n") if name in table.column_names
    ]
    return [*told, alt.Tooltip("status:N")] if "status" in table.column_names else told


def colour(shape: Shape) -> Any:
    """The colour of a row: that of its value, with a legend."""
    import altair as alt

    if shape.colour is None:
        return alt.value(PALETTE[0])
    legend = alt.Legend(title=dotted(shape.colour), symbolOpacity=1)
    return alt.Color(f"{shape.colour}:N", scale=alt.Scale(range=list(PALETTE)), legend=legend)


def has_interval(table: pa.Table) -> bool:
    """Whether some row has an interval."""
    return "ci_low" in table.column_names and table.column("ci_low").null_count < table.num_rows


def plain_colour(shape: Shape) -> Any:
    """The same without a legend, beside a layer that has one."""
    import altair as alt

    if shape.colour is None:
        return alt.value(PALETTE[0])
    return alt.Color(f"{shape.colour}:N", scale=alt.Scale(range=list(PALETTE)), legend=None)


def axis_title(name: str) -> str | None:
    """A column's name as the title of its axis; nothing for one that only says which number it is."""
    return None if name in ("step", "metric", "segment", "period_label", "weekday") else dotted(name).replace("_", " ")


def dotted(name: str) -> str:
    """A column's own name: blanks stand for the dots, which would mean a value within a value."""
    return name.replace(" ", ".")


def styled(chart: Any) -> Any:
    """The chart with the fonts, lines and colours that all have."""
    return (
        chart.configure(font="Inter, 'Helvetica Neue', Arial, sans-serif", background="white", padding=16)
        .configure_view(stroke=None)  # after configure(), which forgets what came before it
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
    )
