"""Declines written a second time, from METRICS section 6: one entity and one date after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from tests.checks.events import WORST_FIRST, Coverage
from tests.checks.intervals import wilson

Values = Mapping[date, float]


def label(
    values: Values, at: date, *, before: int = 3, after: int = 7, share: float = 0.3, min_base: float = 1
) -> bool | None:
    """ "`base=mean(v[t−3..t−1])`, churn iff `min(v[t+1..t+7]) ≤ 0.3·base`; null if any of the 10 days is `missing` or
    base < min_base".

    Args:
        values: What is known by date: a date that is not there is missing, or lies before the entity's first.
    """
    earlier = [at - timedelta(days=back) for back in range(1, before + 1)]
    later = [at + timedelta(days=ahead) for ahead in range(1, after + 1)]
    if any(day not in values for day in (*earlier, *later)):
        return None
    base = sum(values[day] for day in earlier) / before
    if base < min_base:
        return None
    return min(values[day] for day in later) <= share * base


def decline(
    entities: Iterable[Values], coverage: Coverage, *, before: int = 3, after: int = 7, **rule: Any
) -> dict[date, dict[str, Any]]:
    """The share of labelled entities that declined after each date; null where one of its days has not ended."""
    entities = list(entities)
    found: dict[date, dict[str, Any]] = {}
    for at in coverage.days():
        around = [at + timedelta(days=step) for step in range(-before, after + 1) if step]
        status = min((_status(coverage, day) for day in around), key=WORST_FIRST.index)
        labels = [label(values, at, before=before, after=after, **rule) for values in entities]
        known = [one for one in labels if one is not None]
        is_told = status not in ("missing", "open", "provisional")
        bounds = wilson(sum(known), len(known)) if known else None
        low, high = bounds or (None, None)
        found[at] = {
            "value": sum(known) / len(known) if is_told and known else None,
            "numerator": sum(known) if is_told else None,
            "denominator": len(known) if is_told else None,
            "ci_low": low if is_told else None,
            "ci_high": high if is_told else None,
            "status": status,
        }
    return found


def _status(coverage: Coverage, day: date) -> str:
    days = coverage.days()
    return "partial_left" if day < days[0] else "open" if day > days[-1] else coverage.day_status(day)
