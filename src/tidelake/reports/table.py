"""A result as a table on a terminal: colours carry no meaning that words do not carry too."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from tidelake.engine.result import Result, footer
from tidelake.engine.tabletext import GAP, NULL, columns_of, fit

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

STATUS_STYLES = {
    "complete": "green",
    "open": "cyan",
    "provisional": "yellow",
    "partial_left": "yellow",
    "missing": "red",
    "degraded": "red",
    "ok": "green",
    "balanced": "green",
    "warn": "yellow",
    "fail": "red",
    "unbalanced": "red",
}


NARROWEST_WRAPPED = 20


def show(result: Result, console: Console, *, limit: int | None, wrap: str | None = None) -> None:
    """Print a result to a terminal, as wide as it is.

    Args:
        result: What to print.
        console: Where to; its width decides which columns fit.
        limit: Rows to show; None = all.
        wrap: The last column, whose texts go on below themselves where room is short, instead of being cut.
    """
    for line in styled_lines(result, room=console.width, limit=limit, wrap=wrap):
        console.print(line, soft_wrap=True, highlight=False)


def styled_lines(result: Result, *, room: int, limit: int | None, wrap: str | None = None) -> list[Text]:
    """A result as lines with styles: the same words as `plain_lines`."""
    from rich.text import Text

    shown = result.table if limit is None else result.table.slice(0, limit)
    columns = columns_of(shown)
    wrapped = columns[-1] if wrap is not None and columns[-1].name == wrap else None
    if wrapped is None:
        layout, size = fit(columns, room), 0
    else:
        layout = fit(columns[:-1], room - len(GAP) - min(wrapped.width, NARROWEST_WRAPPED))
        size = min(wrapped.width, max(NARROWEST_WRAPPED, room - sum(layout.widths) - len(GAP) * len(layout.widths)))
    widths = (*layout.widths, *([size] if wrapped else []))
    lines = [Text(result.title, style="bold"), Text()] if result.title else []
    header = [*layout.header(), *([wrapped.name] if wrapped else [])]
    lines.append(Text(GAP.join(header).rstrip(), style="bold"))
    lines.append(Text(GAP.join("─" * width for width in widths), style="dim"))
    names = [column.name for column in layout.columns]
    for row, cells in enumerate(layout.rows()):
        line = Text()
        for name, text in zip(names, cells, strict=True):
            line.append(text, style=_style(name, text.strip())).append(GAP)
        first, *more = (textwrap.wrap(wrapped.cells[row], size) or [""]) if wrapped else [""]
        line.append(first).rstrip()
        indent = " " * (sum(layout.widths) + len(GAP) * len(layout.widths))
        lines += [line, *(Text(indent + text) for text in more)]
    below = footer(result, limit, layout.left_out)
    return [*lines, Text(), *(Text(line, style="dim") for line in below)] if below else lines


def _style(column: str, text: str) -> str:
    if text == NULL:
        return "dim"
    if column in ("status", "verdict", "state"):
        return STATUS_STYLES.get(text.rsplit(" ", maxsplit=1)[-1], "")
    return ""
