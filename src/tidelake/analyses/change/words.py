"""Numbers, days and segments in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date


def amount(value: float | None, unit: str | None = None) -> str:
    """A number as people read it; seconds of more than two hours as hours, shares as percentages."""
    if value is None or value != value:
        return "unknown"
    if unit == "share":
        return percent(value, signed=False)
    if unit == "s" and abs(value) >= 7_200:
        return f"{_number(value / 3_600)} h"
    return f"{_number(value)} s" if unit == "s" else _number(value)


def _number(value: float) -> str:
    size = abs(value)
    if size >= 999.5 or value == round(value):
        return f"{value:,.0f}"
    if size < 0.001:
        return f"{value:.1e}"
    return f"{value:.1f}" if size >= 9.995 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"


def percent(share: float | None, *, signed: bool = True, digits: int = 1) -> str:
    """A share in per cent: `-16.7 %`."""
    if share is None or share != share:
        return "unknown"
    rounded = round(100 * share, digits) + 0.0  # never -0.0
    return f"{rounded:{'+' if signed and rounded else ''}.{digits}f} %"


def day_text(day: date) -> str:
    """`17 Nov 2025`."""
    return f"{day.day} {day:%b %Y}"


def where_text(values: Mapping[str, str]) -> str:
    """`region IN-North, device android`; of nothing `all`."""
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "all"
