"""What a build did, in a few lines that a person reads: rows in, rows out, the ledger's verdict, the pace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidelake.engine.tabletext import width

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

REASONS_SHOWN = 10
Lines = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Counts:
    """Rows of one source that a build took.

    Attributes:
        files: Files read.
        read: Lines read, blank and header lines included.
        quarantined: Rows by reason; a row with several reasons counts under each, so `quarantined_rows` says how many.
        filtered: Blank and header lines.
        superseded: Rows of files whose earlier part changed.
    """

    source: str
    files: int = 0
    bytes: int = 0
    read: int = 0
    accepted: int = 0
    quarantined_rows: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    filtered: int = 0
    superseded: int = 0


def total(counts: Sequence[Counts]) -> Counts:
    """Several sources as one."""
    reasons: dict[str, int] = {}
    for one in counts:
        for reason, rows in one.quarantined.items():
            reasons[reason] = reasons.get(reason, 0) + rows
    return Counts(
        source="all",
        files=sum(one.files for one in counts),
        bytes=sum(one.bytes for one in counts),
        read=sum(one.read for one in counts),
        accepted=sum(one.accepted for one in counts),
        quarantined_rows=sum(one.quarantined_rows for one in counts),
        quarantined=reasons,
        duplicates=sum(one.duplicates for one in counts),
        filtered=sum(one.filtered for one in counts),
        superseded=sum(one.superseded for one in counts),
    )


def row_lines(counts: Counts) -> list[tuple[str, str]]:
    """(label, value) of what came in and where it went."""
    size = f"  ({_size(counts.bytes)})" if counts.bytes else ""
    lines = [("files read", f"{counts.files:,}{size}"), ("rows read", f"{counts.read:,}")]
    lines.append(("  accepted", f"{counts.accepted:,}"))
    lines.append(("  quarantined", f"{counts.quarantined_rows:,}"))
    lines += reason_lines(counts.quarantined)
    lines.append(("  duplicates", f"{counts.duplicates:,}"))
    if counts.filtered:
        lines.append(("  filtered", f"{counts.filtered:,}  (blank lines and headers)"))
    if counts.superseded:
        lines.append(("  superseded", f"{counts.superseded:,}  (by a newer version of their file)"))
    return lines


def reason_lines(reasons: Mapping[str, int]) -> list[tuple[str, str]]:
    """One line a reason, the most frequent first; the rarest are added up when there are many."""
    ranked = sorted(reasons.items(), key=_most_first)
    lines = [(f"    {name}", f"{rows:,}") for name, rows in ranked[:REASONS_SHOWN]]
    rest = ranked[REASONS_SHOWN:]
    return [*lines, (f"    {len(rest)} more", f"{sum(rows for _, rows in rest):,}")] if rest else lines


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return (-item[1], item[0])


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:,} bytes"


def pace_line(rows: int, seconds: float) -> tuple[str, str]:
    """(label, value) of the time and the rate."""
    rate = f"  ({rows / seconds:,.0f} rows/s)" if rows and seconds > 0 else ""
    return ("time", f"{seconds:,.1f} s{rate}" if seconds >= 1 else f"{seconds * 1000:,.0f} ms{rate}")


def plain_panel(title: str, lines: Lines) -> list[str]:
    """Labels and values under a title, as plain text."""
    size = max((width(label) for label, _ in lines), default=0)
    return [title, *(f"  {label}{' ' * (size - width(label))}  {value}".rstrip() for label, value in lines)]


def show_panel(console: Console, title: str, lines: Lines, *, good: bool = True) -> None:
    """Labels and values in a box, for a terminal; long values go on below their column."""
    from rich.box import ROUNDED
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in lines:
        grid.add_row(Text(label, style="dim"), _marked(value))
    style = "green" if good else "red"
    console.print(
        Panel(grid, title=Text(title, style="bold"), title_align="left", box=ROUNDED, border_style=style, expand=False)
    )


def _marked(value: str) -> Text:
    from rich.text import Text

    style = "green" if value.startswith("✓") else "red" if value.startswith("✗") else ""
    return Text(value, style=style)
