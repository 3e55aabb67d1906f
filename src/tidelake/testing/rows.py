"""Comparing rows of two engines as multisets, with a difference that can be read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

_SHOWN = 10


def assert_same_rows(
    left: pa.Table,
    right: pa.Table,
    *,
    ordered: bool = False,
    tolerance: float = 1e-9,
    ignore: Iterable[str] = (),
    types: bool = True,
    names: tuple[str, str] = ("left", "right"),
) -> None:
    """Raise AssertionError unless two tables have the same columns and the same rows, repetitions included.

    Args:
        left: One table.
        right: The other.
        ordered: Rows must come in the same order.
        tolerance: Floating numbers may differ by this share (or by this amount near 0); sums of floating
            numbers depend on the order of adding. 0 asks for the same bits. NaN equals NaN.
        ignore: Columns to leave out.
        types: Columns must have the same Arrow types.
        names: What to call the two in the message.
    """
    problems = row_differences(left, right, ordered=ordered, tolerance=tolerance, ignore=ignore, types=types)
    if problems:
        raise AssertionError(
            f"{names[0]} ({left.num_rows} rows) and {names[1]} ({right.num_rows} rows) differ:\n"
            + "\n".join(problem.format(left=names[0], right=names[1]) for problem in problems)
        )


def row_differences(
    left: pa.Table,
    right: pa.Table,
    *,
    ordered: bool = False,
    tolerance: float = 1e-9,
    ignore: Iterable[str] = (),
    types: bool = True,
) -> list[str]:
    """What differs between two tables, in sentences with `{left}` and `{right}`; empty where nothing does."""
    skipped = set(ignore)
    columns = [name for name in left.column_names if name not in skipped]
    others = [name for name in right.column_names if name not in skipped]
    if columns != others:
        return [_safe(f"columns: {columns} against {others}")]
    problems = []
    if types:
        for name in columns:
            one, two = left.schema.field(name).type, right.schema.field(name).type
            if _same_type(one) != _same_type(two):
                problems.append(_safe(f"column {name}: type {one} against {two}"))
    first, second = _rows(left, columns), _rows(right, columns)
    if ordered:
        return problems + _by_position(first, second, columns, tolerance)
    return problems + _by_content(first, second, columns, tolerance)


def _same_type(kind: pa.DataType) -> Any:
    """The type without what carries no meaning: names of list items, kinds of string."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return ("list", _same_type(kind.value_type))
    if pa.types.is_struct(kind):
        return ("struct", tuple((item.name, _same_type(item.type)) for item in kind))
    if pa.types.is_large_string(kind) or kind == pa.string_view():
        return pa.string()
    return kind


def _rows(table: pa.Table, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    values = [[_value(value) for value in table.column(name).to_pylist()] for name in columns]
    return list(zip(*values, strict=True)) if values else [()] * table.num_rows


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_value(item) for item in value)
    if isinstance(value, dict):
        return tuple((name, _value(item)) for name, item in value.items())
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, float) and value == 0:
        return 0.0
    if isinstance(value, Decimal):
        return value.normalize()
    return value


def _by_position(
    first: list[tuple[Any, ...]], second: list[tuple[Any, ...]], columns: Sequence[str], tolerance: float
) -> list[str]:
    problems = [
        _safe(f"row {number}: {_shown(one, columns)} against {_shown(two, columns)}")
        for number, (one, two) in enumerate(zip(first, second, strict=False), 1)
        if not _close(one, two, tolerance)
    ]
    if len(first) != len(second):
        problems.append(f"{{left}} has {len(first)} rows, {{right}} {len(second)}")
    return _cut(problems)


def _by_content(
    first: list[tuple[Any, ...]], second: list[tuple[Any, ...]], columns: Sequence[str], tolerance: float
) -> list[str]:
    left, right = Counter(first), Counter(second)
    only_left, only_right = list((left - right).elements()), list((right - left).elements())
    if tolerance > 0 and only_left and len(only_left) == len(only_right):
        only_left, only_right = _without_close(only_left, only_right, tolerance)
    return [
        *_cut([_safe(f"only in {chr(0)}: {_shown(row, columns)}").replace(chr(0), "{left}") for row in only_left]),
        *_cut([_safe(f"only in {chr(0)}: {_shown(row, columns)}").replace(chr(0), "{right}") for row in only_right]),
    ]


def _without_close(
    left: list[tuple[Any, ...]], right: list[tuple[Any, ...]], tolerance: float
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows that have no partner within the tolerance; partners agree in everything but floating numbers."""
    groups: dict[Any, list[tuple[Any, ...]]] = {}
    for row in right:
        groups.setdefault(_exact_part(row), []).append(row)
    unmatched = []
    for row in left:
        candidates = groups.get(_exact_part(row), [])
        partner = next((other for other in candidates if _close(row, other, tolerance)), None)
        if partner is None:
            unmatched.append(row)
        else:
            candidates.remove(partner)
    return unmatched, [row for rows in groups.values() for row in rows]


def _exact_part(row: Any) -> Any:
    if isinstance(row, tuple):
        return tuple(_exact_part(value) for value in row)
    return "float" if isinstance(row, float) else row


def _close(one: Any, two: Any, tolerance: float) -> bool:
    if isinstance(one, float) and isinstance(two, float):
        return math.isclose(one, two, rel_tol=tolerance, abs_tol=tolerance)
    if isinstance(one, tuple) and isinstance(two, tuple):
        return len(one) == len(two) and all(_close(a, b, tolerance) for a, b in zip(one, two, strict=True))
    return bool(one == two)


def _shown(row: tuple[Any, ...], columns: Sequence[str]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in zip(columns, row, strict=True))


def _safe(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _cut(problems: list[str]) -> list[str]:
    rest = len(problems) - _SHOWN
    return problems if rest <= 0 else [*problems[:_SHOWN], f"... and {rest} more"]
