"""What every question answers with: a frozen table that knows the SQL and the table versions behind it."""

from __future__ import annotations

import html
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tidelake.engine.base import TableVersion
from tidelake.engine.tabletext import GAP, columns_of, fit, number
from tidelake.errors import UnsupportedError

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd
    import polars as pl  # type: ignore[import-not-found,unused-ignore]

SHOWN_ROWS = 50


@dataclass(frozen=True, repr=False)
class Result:
    """Rows with where they came from.

    Attributes:
        table: The rows. A field's metadata may say its `unit` (`share` prints as a percentage).
        sql: The SELECT that made them; empty where none did.
        sources: The versions of the tables that were read.
        title: What the table is, in a few words.
        notes: What a reader must know to trust the numbers, one sentence each.
    """

    table: pa.Table
    sql: str = ""
    sources: tuple[TableVersion, ...] = ()
    title: str = ""
    notes: tuple[str, ...] = ()

    def to_arrow(self) -> pa.Table:
        """The rows as an Arrow table."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a pandas frame.

        Raises:
            UnsupportedError: pandas is not installed.
        """
        _need("pandas")
        return self.table.to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """The rows as a Polars frame.

        Raises:
            UnsupportedError: Polars is not installed.
        """
        return _need("polars").from_arrow(self.table)

    def plot(self) -> alt.LayerChart | alt.FacetChart:
        """The numbers as a chart: over time, as a cohort matrix, as bars or as steps, whatever the columns say.

        Raises:
            UnsupportedError: There is no `value` to draw.
        """
        from tidelake.charts.draw import chart_of

        return chart_of(self.table, title=self.title)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as Python dictionaries."""
        rows: list[dict[str, Any]] = self.table.to_pylist()
        return rows

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __init_subclass__(cls) -> None:
        cls.__repr__ = Result.__repr__  # type: ignore[method-assign]  # a dataclass would show the Arrow table's insides

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return "\n".join(plain_lines(self, room=None, limit=SHOWN_ROWS))

    def _repr_html_(self) -> str:
        columns = columns_of(self.table.slice(0, SHOWN_ROWS))
        styles = ["text-align:right" if column.numeric else "text-align:left" for column in columns]
        head = "".join(
            f'<th style="{style}">{html.escape(column.name)}</th>'
            for column, style in zip(columns, styles, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(
                f'<td style="{style}">{html.escape(column.cells[row])}</td>'
                for column, style in zip(columns, styles, strict=True)
            )
            + "</tr>"
            for row in range(min(len(self), SHOWN_ROWS))
        )
        caption = f"<caption>{html.escape(self.title)}</caption>" if self.title else ""
        below = "".join(f"<p><small>{html.escape(line)}</small></p>" for line in footer(self, SHOWN_ROWS, ()))
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"


def plain_lines(result: Result, *, room: int | None, limit: int | None) -> list[str]:
    """A result as lines of plain text.

    Args:
        result: What to print.
        room: Cells a line may take; None = no limit.
        limit: Rows to show; None = all.
    """
    shown = result.table if limit is None else result.table.slice(0, limit)
    layout = fit(columns_of(shown), room)
    lines = [result.title, ""] if result.title else []
    lines.append(GAP.join(layout.header()).rstrip())
    lines.append(GAP.join("─" * size for size in layout.widths))
    lines.extend(GAP.join(row).rstrip() for row in layout.rows())
    below = footer(result, limit, layout.left_out)
    return [*lines, "", *below] if below else lines


def footer(result: Result, limit: int | None, left_out: tuple[str, ...]) -> list[str]:
    """What stands below a table: rows and columns that are not shown, and the notes."""
    lines = []
    if not len(result):
        lines.append("no rows")
    if limit is not None and len(result) > limit:
        lines.append(f"{number(limit)} of {number(len(result))} rows shown")
    if left_out:
        what = "column" if len(left_out) == 1 else "columns"
        lines.append(f"{len(left_out)} {what} not shown for want of room: {', '.join(left_out)}")
    return [*lines, *result.notes]


def _need(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise UnsupportedError(
            f"This needs {library}, which is not installed.",
            hint=f"pip install {library}, or use .to_arrow() or .to_dicts().",
        ) from error
