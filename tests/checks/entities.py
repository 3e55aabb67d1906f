"""Days of entities written a second time, from METRICS section 13: plain loops."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta


def entity_days(
    counts: Iterable[tuple[str, date, int]], *, first: date, last: date, missing: set[date]
) -> dict[tuple[str, date], tuple[str, int | None]]:
    """(status, value) of every entity and day from its first appearance on.

    Args:
        counts: (entity, day, count) rows.
        first: First day of the source.
        last: Last day of the source.
        missing: Days that were not received.
    """
    sums: dict[str, dict[date, int]] = {}
    for entity, day, count in counts:
        sums.setdefault(entity, {}).setdefault(day, 0)
        sums[entity][day] += count
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    found: dict[tuple[str, date], tuple[str, int | None]] = {}
    for entity, own in sums.items():
        absent_at_end = [day for day in days if day > max(own) and day not in missing]
        is_closed = len(absent_at_end) >= 28
        for day in days:
            if day < min(own):
                continue
            if day in own:
                found[entity, day] = ("observed", own[day])
            elif day in missing:
                found[entity, day] = ("missing", None)
            elif is_closed and day > max(own):
                found[entity, day] = ("closed", None)
            else:
                found[entity, day] = ("zero", 0)
    return found
