"""How a table's values look as text: alignment, widths, and what is left out when room is short.

Numbers and dates are never cut. Text is shortened first; then whole columns are left out, from the right,
and the caller is told which.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import isfinite
from typing import Any

import pyarrow as pa

NULL = "–"
GAP = "  "
_NARROWEST_TEXT = 8
STATUS_MARKS = {
    "complete": "✓",
    "open": "…",
    "provisional": "~",
    "partial_left": "◧",
    "missing": "✗",
    "degraded": "!",
    "ok": "✓",
    "warn": "!",
    "fail": "✗",
}
_PLAIN_INTEGERS = ("id", "year", "version", "line", "position")


@dataclass(frozen=True)
class Column:
    """One column as text.

    Attributes:
        numeric: Aligned to the right.
        rigid: Must be shown whole or not at all (numbers, dates, statuses).
        rank: What goes first where room is short: the lowest below 0, then from the right; above 0 stays.
    """

    name: str
    cells: tuple[str, ...]
    numeric: bool
    rigid: bool
    rank: int = 0

    @property
    def width(self) -> int:
        """Terminal cells of the widest cell or the name."""
        return max(map(width, (self.name, *self.cells)))


@dataclass(frozen=True)
class Layout:
    """Columns that fit, their widths, and the names of those that did not."""

    columns: tuple[Column, ...]
    widths: tuple[int, ...]
    left_out: tuple[str, ...]

    def rows(self) -> list[list[str]]:
        """Cells of every row, padded to their column's width."""
        pairs = list(zip(self.columns, self.widths, strict=True))
        count = len(self.columns[0].cells) if self.columns else 0
        return [[pad(column.cells[row], size, right=column.numeric) for column, size in pairs] for row in range(count)]

    def header(self) -> list[str]:
        """Column names, padded like their cells."""
        return [
            pad(column.name, size, right=column.numeric) for column, size in zip(self.columns, self.widths, strict=True)
        ]


def width(text: str) -> int:
    """Terminal cells that a text takes: wide East Asian characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def pad(text: str, size: int, *, right: bool) -> str:
    """A text of exactly `size` cells: shortened with an ellipsis, or filled with blanks."""
    if width(text) > size:
        kept = ""
        for sign in text:
            if width(kept + sign) > size - 1:
                break
            kept += sign
        text = kept + "…"
    blank = " " * (size - width(text))
    return blank + text if right else text + blank


def visible(text: str) -> str:
    """The same text on one line, control characters written out so that they cannot act on a terminal."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii") if ord(sign) < 0xD800 or ord(sign) > 0xDFFF else "�"


def columns_of(table: pa.Table) -> tuple[Column, ...]:
    """Every column of an Arrow table as text."""
    pairs = zip(table.schema, table.columns, strict=True)
    return tuple(_column(field, values.to_pylist()) for field, values in pairs)


def fit(columns: Sequence[Column], room: int | None) -> Layout:
    """Choose widths so that the table fits into `room` cells; None = as wide as it likes.

    Text columns shrink together to the widest cap that fits; when the narrowest cap is still too wide, columns are
    left out: details first, then from the right. The first column, a status and what a result marks as kept stay.
    """
    kept = list(columns)
    while True:
        widths = _shrunk(kept, room)
        if widths is not None or len(kept) <= 1:
            break
        lowest = min(column.rank for column in kept[1:])
        kept.pop(max(place for place, column in enumerate(kept) if place and column.rank == lowest))
    sizes = widths if widths is not None else tuple(column.width for column in kept)
    names = {column.name for column in kept}
    return Layout(tuple(kept), sizes, tuple(column.name for column in columns if column.name not in names))


def _shrunk(columns: Sequence[Column], room: int | None) -> tuple[int, ...] | None:
    natural = tuple(column.width for column in columns)
    if room is None or _total(natural) <= room:
        return natural
    for cap in range(max(natural), _NARROWEST_TEXT - 1, -1):
        sizes = tuple(
            size if column.rigid else min(size, max(cap, min(width(column.name), 2 * _NARROWEST_TEXT)))
            for column, size in zip(columns, natural, strict=True)
        )
        if _total(sizes) <= room:
            return sizes
    return None


def _total(sizes: Sequence[int]) -> int:
    return sum(sizes) + len(GAP) * max(len(sizes) - 1, 0)


def _column(field: pa.Field, values: Sequence[Any]) -> Column:
    kind = field.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    rank = int((field.metadata or {}).get(b"rank", b"1" if field.name == "status" else b"0"))
    rigid = numeric or pa.types.is_temporal(kind) or pa.types.is_boolean(kind) or rank > 0
    texts = _numbers(field, values) if numeric else [cell(value) for value in values]
    if field.name == "status":
        texts = [f"{STATUS_MARKS[text]} {text}" if text in STATUS_MARKS else text for text in texts]
    return Column(visible(field.name), tuple(texts), numeric, rigid, rank)


def cell(value: Any) -> str:
    """One value that is not a number: ISO dates, instants in UTC with Z, nulls as a dash."""
    match value:
        case None:
            return NULL
        case bool():
            return "true" if value else "false"
        case str():
            return visible(value) if value else '""'
        case datetime():
            return instant(value).replace("T", " ")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
        case bytes():
            return value.hex()
        case list() if all(isinstance(item, str) for item in value):
            return visible(", ".join(value))
        case list() | dict():
            return visible(json.dumps(value, default=str, ensure_ascii=False))
        case _:
            return str(value)


def instant(value: datetime) -> str:
    """ISO 8601; in UTC with Z where the value knows its zone, without zone where it does not."""
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def is_share(field: pa.Field) -> bool:
    """Whether a column holds shares from 0 to 1: by its metadata (`unit: share`), else by its name."""
    unit = (field.metadata or {}).get(b"unit")
    if unit is not None:
        return bool(unit == b"share")
    return bool(field.name == "share" or field.name.endswith("_share"))


def _numbers(field: pa.Field, values: Sequence[Any]) -> list[str]:
    if (field.metadata or {}).get(b"unit") == b"points":
        return [NULL if value is None else f"{100 * value:+.1f} pp" for value in values]
    if is_share(field):
        return [_share(value) for value in values]
    if _names_a_thing(field):
        return [NULL if value is None else str(value) for value in values]
    places = _places(values)
    return [NULL if value is None else number(value, places) for value in values]


def _names_a_thing(field: pa.Field) -> bool:
    """Whether whole numbers are names (ids, years, versions), which carry no thousands separators."""
    return bool(pa.types.is_integer(field.type)) and field.name.rsplit("_", 1)[-1] in _PLAIN_INTEGERS


def _share(value: Any) -> str:
    if value is None:
        return NULL
    if not isfinite(value):
        return str(value)
    text = f"{value:.1%}"
    return "0.0%" if text == "-0.0%" else text


def _places(values: Sequence[Any]) -> int:
    """Decimal places for a column: none where all are whole, fewer where values are large."""
    real: list[Any] = [abs(value) for value in values if value is not None and isfinite(value)]
    if all(value == int(value) for value in real):
        return 0
    largest = max(real)
    return 1 if largest >= 10_000 else 2 if largest >= 100 else 3 if largest >= 1 else 4


def number(value: Any, places: int = 0) -> str:
    """A number with thousands separators; one too small for its places keeps three digits that count."""
    if not isfinite(value):
        return "NaN" if value != value else "∞" if value > 0 else "-∞"
    if value and abs(value) < 0.5 * 10.0**-places:
        return f"{value:.3g}"
    return f"{value:,.{places}f}"
