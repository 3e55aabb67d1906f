"""Numbers, days and segments in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date


def amount(value: float | None, unit: str | None = None) -> str:
    """A number as people read it; seconds of more than two hours as hours, shares as percentages."""
    if value is None or value != value:
        return "unknown"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "s" and abs(value) >= 7_200:
        return f"{_number(value / 3_600)} h"
    return f"{_number(value)} s" if unit == "s" else _number(value)


def _number(value: float) -> str:
    size = abs(value)
    if size >= 1_000:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if size >= 100 else f"{value:.3g}" if size >= 1 else f"{value:.3f}"


def percent(share: float | None, *, signed: bool = True) -> str:
    """A share in per cent: `-16.7 %`."""
    if share is None or share != share:
        return "unknown"
    return f"{100 * share:{'+' if signed else ''}.1f} %"


def day_text(day: date) -> str:
    """`17 Nov 2025`."""
    return f"{day.day} {day:%b %Y}"


def where_text(values: Mapping[str, str]) -> str:
    """`region IN-North, device android`; of nothing `all`."""
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "all"
