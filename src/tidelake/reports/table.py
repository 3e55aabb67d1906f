"""A result as a table on a terminal: colours carry no meaning that words do not carry too."""

from __future__ import annotations

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


def show(result: Result, console: Console, *, limit: int | None) -> None:
    """Print a result to a terminal, as wide as it is.

    Args:
        result: What to print.
        console: Where to; its width decides which columns fit.
        limit: Rows to show; None = all.
    """
    for line in styled_lines(result, room=console.width, limit=limit):
        console.print(line, soft_wrap=True, highlight=False)


def styled_lines(result: Result, *, room: int, limit: int | None) -> list[Text]:
    """A result as lines with styles: the same words as `plain_lines`."""
    from rich.text import Text

    shown = result.table if limit is None else result.table.slice(0, limit)
    layout = fit(columns_of(shown), room)
    lines = [Text(result.title, style="bold"), Text()] if result.title else []
    lines.append(Text(GAP.join(layout.header()).rstrip(), style="bold"))
    lines.append(Text(GAP.join("─" * size for size in layout.widths), style="dim"))
    names = [column.name for column in layout.columns]
    for cells in layout.rows():
        line = Text()
        for name, text in zip(names, cells, strict=True):
            line.append(text, style=_style(name, text.strip())).append(GAP)
        line.rstrip()
        lines.append(line)
    below = footer(result, limit, layout.left_out)
    return [*lines, Text(), *(Text(line, style="dim") for line in below)] if below else lines


def _style(column: str, text: str) -> str:
    if text == NULL:
        return "dim"
    if column in ("status", "verdict", "state"):
        return STATUS_STYLES.get(text.rsplit(" ", maxsplit=1)[-1], "")
    return ""
