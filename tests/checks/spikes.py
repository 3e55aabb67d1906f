"""Spikes written a second time, from METRICS section 13."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from math import log1p, sqrt
from statistics import median
from typing import Any


def spikes(
    values: Mapping[date, float | None],
    *,
    previous: int = 8,
    limit: float = 5,
    at_least: int | None = None,
    exclude_spikes: bool = False,
) -> dict[date, dict[str, Any]]:
    """ "Robust z of log1p(v) against the median of the same weekday's previous 8 values, scale 1.4826·MAD with a floor
    from Poisson noise (1/√(median+1)); |z| > 5".

    The median of the floor is that of the values themselves, not of their logarithms.

    Args:
        values: By date; null or absent: missing, which is no value.
        at_least: How many previous values there must be; null = all of `previous`.
        exclude_spikes: Leave spikes out of later days' previous values. By default they stay: "median and MAD resist it
            by themselves".

    Returns:
        By date with a value: `z` (null with too few previous values), `median`, `mad`, `scale`, `is_spike`, `n`.
    """
    found: dict[date, dict[str, Any]] = {}
    need = previous if at_least is None else at_least
    for day in sorted(values):
        value = values[day]
        if value is None:
            continue
        earlier: list[float] = []
        back = day - timedelta(days=7)
        while back >= min(values) and len(earlier) < previous:
            before = values.get(back)
            if before is not None and not (exclude_spikes and found[back]["is_spike"]):
                earlier.append(before)
            back -= timedelta(days=7)
        if not earlier or len(earlier) < need:
            found[day] = {"z": None, "median": None, "mad": None, "scale": None, "is_spike": False, "n": len(earlier)}
            continue
        logs = [log1p(one) for one in earlier]
        middle = median(logs)
        mad = median(abs(one - middle) for one in logs)
        scale = max(1.4826 * mad, 1 / sqrt(median(earlier) + 1))
        z = (log1p(value) - middle) / scale
        found[day] = {
            "z": z,
            "median": middle,
            "mad": mad,
            "scale": scale,
            "is_spike": abs(z) > limit,
            "n": len(earlier),
        }
    return found
