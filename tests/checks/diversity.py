"""Concentration and diversity written a second time, from METRICS section 13."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from math import exp, log
from typing import Any

from tests.checks.events import Coverage, period_first, period_index


def diversity(quantities: Iterable[float | None], *, k: int = 10) -> dict[str, Any]:
    """ "Shares s_i of a period: `hhi` = Σ s_i², `diversity` = 1 − hhi, `effective_number` = 1 / hhi, `shannon` =
    −Σ s_i ln s_i, natural logarithm (and its exponential), `top_k_share`". Nothing at all gives nulls."""
    known = [quantity for quantity in quantities if quantity is not None]
    total = sum(known)
    names = ("hhi", "diversity", "effective_number", "shannon", "exp_shannon", "top_k_share")
    if not total:
        return {**dict.fromkeys(names), "total": total, "n": len(known)}
    shares = [quantity / total for quantity in known]
    hhi = sum(share**2 for share in shares)
    shannon = -sum(share * log(share) for share in shares if share > 0)
    return {
        "hhi": hhi,
        "diversity": 1 - hhi,
        "effective_number": 1 / hhi,
        "shannon": shannon,
        "exp_shannon": exp(shannon),
        "top_k_share": sum(sorted(shares, reverse=True)[:k]),
        "total": total,
        "n": len(known),
    }


def sums(
    counts: Iterable[tuple[str, date, float | None]], coverage: Coverage, *, grain: str = "day"
) -> dict[date, dict[str, Any]]:
    """ "`views` per day, week, month = sums over received hours or days"; a missing day's status is `degraded`.

    Returns:
        By first date of the period: `value`, `by_entity`, `status`; null where every day is missing.
    """
    by_entity: dict[date, dict[str, float]] = {first: {} for first in coverage.periods(grain)}
    for entity, day, count in counts:
        if count is None or day in coverage.missing:
            continue
        index = period_index(day, grain, week_start=coverage.week_start)
        own = by_entity.setdefault(period_first(index, grain, week_start=coverage.week_start), {})
        own[entity] = own.get(entity, 0) + count
    found = {}
    for first, own in by_entity.items():
        status = coverage.period_status(first, grain)
        value = None if status == "missing" else sum(own.values())
        found[first] = {"value": value, "by_entity": own, "status": status}
    return found


def diversity_by_period(
    counts: Iterable[tuple[str, date, float | None]], coverage: Coverage, *, grain: str = "day", k: int = 10
) -> dict[date, dict[str, Any]]:
    """`diversity` of each period's sums by entity (or by any category in its place)."""
    return {
        first: {**diversity(row["by_entity"].values(), k=k), "status": row["status"]}
        for first, row in sums(counts, coverage, grain=grain).items()
    }
