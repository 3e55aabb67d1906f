"""Drop-off by device and version written a second time, from METRICS section 9."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.stats import chi2

from tests.checks.events import text
from tests.checks.intervals import ratio_of_sums


@dataclass(frozen=True)
class WatchedSession:
    """One session.

    Attributes:
        watch_seconds: Null where the session has no watch event: it "has 0 s and counts".
        values: Its value of each dimension.
    """

    actor: str
    watch_seconds: float | None
    values: Mapping[str, Any]

    def is_dropped(self, threshold: float) -> bool:
        return (self.watch_seconds or 0) < threshold


def dropoff(
    sessions: Iterable[WatchedSession],
    *,
    by: str,
    stratify_by: str | None = None,
    threshold: float = 10,
    least_difference: float = 0.02,
    margin: float = 0.05,
    level: float = 0.05,
) -> dict[str, dict[str, Any]]:
    """ "Share of sessions below the threshold (10 s; a session without any watch event has 0 s and counts, its share is
    shown), ... each value against the rest, stratified by the other dimension, Benjamini–Hochberg".

    Returns:
        By value: `value`, `numerator`, `denominator`, `without_watch` (share), `interval` (delta method by actor),
        `difference` from the rest, `p`, `q`, `interval_90` of the difference, `verdict`.
    """
    sessions = list(sessions)
    found: dict[str, dict[str, Any]] = {}
    for value in sorted({text(session.values.get(by)) for session in sessions}):
        own = [session for session in sessions if text(session.values.get(by)) == value]
        actors: dict[str, list[int]] = {}
        for session in own:
            pair = actors.setdefault(session.actor, [0, 0])
            pair[0] += session.is_dropped(threshold)
            pair[1] += 1
        dropped = sum(session.is_dropped(threshold) for session in own)
        interval = ratio_of_sums([(pair[0], pair[1]) for pair in actors.values()])
        found[value] = {
            "value": dropped / len(own),
            "numerator": dropped,
            "denominator": len(own),
            "without_watch": sum(session.watch_seconds is None for session in own) / len(own),
            "interval": interval and interval[1:],
            **against_the_rest(sessions, by=by, value=value, stratify_by=stratify_by, threshold=threshold),
        }
    tested = [value for value, row in found.items() if row["p"] is not None]
    for value, q in zip(tested, benjamini_hochberg([found[value]["p"] for value in tested]), strict=True):
        found[value]["q"] = q
    for row in found.values():
        row["verdict"] = verdict(
            row.get("q"),
            row["difference"],
            row["interval_90"],
            least_difference=least_difference,
            margin=margin,
            level=level,
        )
    return found


def against_the_rest(
    sessions: Sequence[WatchedSession], *, by: str, value: str, stratify_by: str | None, threshold: float
) -> dict[str, Any]:
    """The Mantel–Haenszel difference of shares, over strata that hold both sides, with errors by actor.

    Each stratum's difference weighs n1·n0/(n1+n0). An error adds up, actor by actor, what each contributes to the
    weighted difference when weights are taken as given: "behind p at the share of both sides together (so three
    sessions that all dropped off prove nothing), behind the 90 % interval the larger of that and the one at each side's
    own share". Every actor of the table counts among the n of n / (n − 1).
    """
    strata: dict[str, list[WatchedSession]] = {}
    for session in sessions:
        stratum = text(session.values.get(stratify_by)) if stratify_by else ""
        strata.setdefault(stratum, []).append(session)
    total, difference = 0.0, 0.0
    own_parts: dict[str, float] = {}
    common_parts: dict[str, float] = {}
    for own in strata.values():
        inside = [session for session in own if text(session.values.get(by)) == value]
        outside = [session for session in own if text(session.values.get(by)) != value]
        if not inside or not outside:
            continue
        weight = len(inside) * len(outside) / len(own)
        total += weight
        common = sum(session.is_dropped(threshold) for session in own) / len(own)
        for sign, side in ((1, inside), (-1, outside)):
            share = sum(session.is_dropped(threshold) for session in side) / len(side)
            difference += sign * weight * share
            for session in side:
                scaled = sign * weight / len(side)
                for parts, expected in ((own_parts, share), (common_parts, common)):
                    part = scaled * (session.is_dropped(threshold) - expected)
                    parts[session.actor] = parts.get(session.actor, 0.0) + part
    number = len({session.actor for session in sessions})
    if not total or number < 2:
        return {"difference": None, "p": None, "interval_90": None}
    difference /= total
    own_error, error = (
        sqrt(sum(part**2 for part in parts.values()) * number / (number - 1)) / total
        for parts in (own_parts, common_parts)
    )
    normal = NormalDist()
    p = 2 * (1 - normal.cdf(abs(difference) / error)) if error else None
    spread = normal.inv_cdf(0.95) * max(error, own_error)
    interval = (difference - spread, difference + spread) if spread else None
    return {"difference": difference, "p": p, "interval_90": interval}


def benjamini_hochberg(values: Sequence[float]) -> list[float]:
    """q of each p: the least level at which the step-up procedure rejects it: min over larger ranks of p·m/rank."""
    ranked = sorted(values)
    number = len(ranked)
    return [
        min(1.0, *(ranked[rank] * number / (rank + 1) for rank in range(number) if ranked[rank] >= value))
        for value in values
    ]


def verdict(
    q: float | None,
    difference: float | None,
    interval_90: tuple[float, float] | None,
    *,
    least_difference: float = 0.02,
    margin: float = 0.05,
    level: float = 0.05,
) -> str:
    """ "`abnormal` (q ≤ 0.05 and difference ≥ 2 pp, to either side), `no difference` (the whole 90 % interval of the
    difference within ± 5 pp), else `cannot be told`"."""
    if q is not None and difference is not None and q <= level and abs(difference) >= least_difference:
        return "abnormal"
    if interval_90 is not None and interval_90[0] >= -margin and interval_90[1] <= margin:
        return "no difference"
    return "cannot be told"


def heterogeneity(sessions: Iterable[WatchedSession], *, by: str, threshold: float = 10) -> dict[str, float]:
    """Two tests of "all values have one share": Pearson's, as if sessions were independent, and Wald's, by actor."""
    sessions = list(sessions)
    names = sorted({text(session.values.get(by)) for session in sessions})
    dropped = np.array([session.is_dropped(threshold) for session in sessions], dtype=float)
    inside = np.array([[text(session.values.get(by)) == name for name in names] for session in sessions], dtype=float)
    counts = inside.sum(axis=0)
    shares = inside.T @ dropped / counts
    overall = dropped.mean()
    pearson = float((counts * (shares - overall) ** 2 / (overall * (1 - overall))).sum())
    actors = sorted({session.actor for session in sessions})
    parts = np.zeros((len(actors), len(names)))
    for row, session in enumerate(sessions):
        parts[actors.index(session.actor)] += inside[row] * (dropped[row] - inside[row] @ shares) / counts
    covariance = parts.T @ parts * len(actors) / (len(actors) - 1)
    contrast = np.hstack([np.ones((len(names) - 1, 1)), -np.eye(len(names) - 1)])
    gap = contrast @ shares
    wald = float(gap @ np.linalg.pinv(contrast @ covariance @ contrast.T) @ gap)
    free = len(names) - 1
    return {
        "pearson": pearson,
        "pearson_p": float(chi2.sf(pearson, free)),
        "wald": wald,
        "wald_p": float(chi2.sf(wald, free)),
        "degrees_of_freedom": free,
    }
