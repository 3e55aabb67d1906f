"""Active users and windows written a second time, from METRICS section 1: sets of actors by date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta


def active_sets(pairs: Iterable[tuple[str, date]]) -> dict[date, set[str]]:
    """The actors of each date."""
    found: dict[date, set[str]] = {}
    for actor, day in pairs:
        found.setdefault(day, set()).add(actor)
    return found


def window(active: Mapping[date, set[str]], day: date, length: int) -> int:
    """Distinct actors of the window that ends on a date."""
    union: set[str] = set()
    for offset in range(length):
        union |= active.get(day - timedelta(days=offset), set())
    return len(union)
