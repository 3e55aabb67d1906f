"""The story that one dimension tells by itself ("it is the device"): how far its values moved apart, if they did.

Every value's step is taken against all other values. If the dimension says nothing of the change, all moved alike: the
test of homogeneity adds up (1 - p) z^2 over the values, with z the step over its error as a normal deviate and p the
value's share of the whole. Under homogeneity that is chi-squared with one degree of freedom less than there are values
(Pearson's statistic, whose variances are (1 - p) of those of independent counts; here errors come from the days).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
from scipy.special import chdtrc  # type: ignore[import-untyped]

from tidelake.analyses.change.daily import Daily, Floats, logs_of, step
from tidelake.analyses.change.hypotheses import LEAST_SHARE, Excess, Verdict, excess, percent

LEAST_WEIGHT = 0.005  # of the whole, for a value to be looked at by itself
LIMIT = 50
SURE = 0.01


@dataclass(frozen=True)
class Value:
    """One value of a dimension.

    Attributes:
        name: The value.
        effect: Relative change of its own number.
        against: Relative step against all other values.
        low: 95 % interval of `against`, for as many values as are looked at (Bonferroni).
        high: See `low`.
        share: What it moved beyond the others, of the whole's change; nan where the whole did not move.
    """

    name: str
    effect: float
    against: float
    low: float
    high: float
    share: float


@dataclass(frozen=True)
class Story:
    """What one dimension tells of a change.

    Attributes:
        dimension: Its name.
        verdict: kept: values moved apart, and one carries a fifth of the change or more beyond the others; ruled out:
            none does, even at the far end of its interval; cannot be told: the days are too few or vary too much.
        p: Of homogeneity: so likely are values that move apart so far, if they move alike; nan where not known.
        smallest: Of the values' own relative changes.
        largest: Of the values' own relative changes.
        value: The one that moved the whole most, beyond the others; None where none could be looked at.
        values: All that were looked at, by their share of the change (what moved against it comes last).
        words: The verdict with its numbers.
    """

    dimension: str
    verdict: Verdict
    p: float
    smallest: float
    largest: float
    value: Value | None
    values: tuple[Value, ...]
    words: str


def stories(
    table: pa.Table, dims: Sequence[str], *, onset: date, days: Collection[date] | None = None
) -> tuple[Story, ...]:
    """What each dimension alone tells of a change.

    Args:
        table: Daily leaf table, as for `hypotheses.judge`.
        dims: Dimensions; more than 50 values of one: the largest by weight, then `(other)`.
        onset: First day of the new level.
        days: The days that count; None = all that have a row.

    Raises:
        UnknownNameError: There is no such dimension.
    """
    daily = Daily.of(table, days)
    return tuple(_story(daily, name, onset) for name in dims)


def _story(daily: Daily, name: str, onset: date) -> Story:
    names, above, below = daily.by(name, limit=LIMIT)
    weight = (below if daily.is_ratio else above).sum(axis=1)
    weight = weight / max(float(weight.sum()), 1e-300)
    found: list[tuple[Value, Excess, float]] = []
    looked = [at for at in range(len(names)) if weight[at] >= LEAST_WEIGHT and _is_everywhere(above[at], daily, onset)]
    for at in looked if len(names) > 1 else ():
        rest = (above.sum(axis=0) - above[at], below.sum(axis=0) - below[at] if daily.is_ratio else below[at])
        moved = excess(daily, (above[at], below[at]), rest, onset)
        own = step(logs_of(above[at], below[at]), daily.after(onset), daily.weekdays)
        if moved is None or own is None:
            continue
        low, high = moved.bounds(among=len(looked))
        share = moved.share(moved.effect)
        found.append((Value(names[at], _relative(own.log), moved.effect, low, high, share), moved, float(weight[at])))
    if len(found) < 2:
        why = "it has one value" if len(names) < 2 else "fewer than two of its values have days enough before and after"
        nan = float("nan")
        return Story(name, "cannot be told", nan, nan, nan, None, (), f"cannot be told: {why}")
    return _told(name, found)


def _told(name: str, found: list[tuple[Value, Excess, float]]) -> Story:
    p = homogeneity(np.array([one[1].step.z for one in found]), np.array([one[2] for one in found]))
    ordered = sorted(found, key=lambda one: (-_size(one[0]), one[0].name))
    value = ordered[0][0]
    effects = [one[0].effect for one in found]
    verdict = _verdict(p, value, [one[:2] for one in found])
    alike = f"that all moved alike: p {_probability(p)}"
    spread = f"its values moved by {percent(min(effects))} to {percent(max(effects))} ({alike})"
    most = f"{value.name} {percent(value.against)} against the others [{percent(value.low)}, {percent(value.high)}]"
    share = "" if np.isnan(value.share) else f", {100 * value.share:.0f} % of the change"
    return Story(
        dimension=name,
        verdict=verdict,
        p=p,
        smallest=min(effects),
        largest=max(effects),
        value=value,
        values=tuple(one[0] for one in ordered),
        words=f"{verdict}: {spread}; most: {most}{share}",
    )


def _verdict(p: float, value: Value, found: Sequence[tuple[Value, Excess]]) -> Verdict:
    if np.isnan(value.share):
        return "kept" if p < SURE else "cannot be told"
    if p < SURE and abs(value.share) >= LEAST_SHARE:
        return "kept"
    ends = [abs(moved.share(bound)) for one, moved in found for bound in (one.low, one.high)]
    return "ruled out" if max(ends) < LEAST_SHARE or (p >= SURE and _none_stands_out(found)) else "cannot be told"


def _none_stands_out(found: Sequence[tuple[Value, Excess]]) -> bool:
    """Whether no value's interval leaves 0 out, and none of a fifth of the whole reaches a half of the change."""
    return all(
        one.low <= 0 <= one.high and max(abs(moved.share(bound)) for bound in (one.low, one.high)) < 0.5
        for one, moved in found
    )


def homogeneity(z: Floats, weight: Floats) -> float:
    """How likely values that move alike move apart so far: from steps as normal deviates, and shares of the whole."""
    return float(chdtrc(len(z) - 1, float(((1 - weight) * z**2).sum())))


def _size(value: Value) -> float:
    return value.share if not np.isnan(value.share) else abs(value.against)


def _is_everywhere(above: Floats, daily: Daily, onset: date) -> bool:
    after = daily.after(onset)
    return bool(above[after].sum() > 0 and above[~after].sum() > 0)


def _relative(log: float) -> float:
    return float(np.expm1(log))


def _probability(p: float) -> str:
    return "< .001" if p < 0.001 else "= " + (f"{p:.3f}".lstrip("0") if p < 0.9995 else "1")
