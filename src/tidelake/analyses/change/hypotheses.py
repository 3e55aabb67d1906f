"""Declared suspicions tested on the days: did the suspected segment move differently from the rest, and how much of it.

The effect is a difference in differences: the step, at the day of the change, of the logarithm of the segment's daily
number over that of all the rest. What befell both (season, a global fall) is in neither. What the segment lost beyond
the rest, over the change of the whole, is the share that the suspicion explains.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pyarrow as pa

from tidelake.analyses.change.conditions import Bools, held, missing_columns
from tidelake.analyses.change.daily import Daily, Floats, Step, logs_of, step
from tidelake.analyses.change.leaves import encoded
from tidelake.config import Hypothesis
from tidelake.engine.sql import columns_of

Verdict = Literal["kept", "ruled out", "cannot be told", "untestable"]
LEAST_SHARE = 0.2  # of the change of the whole: what explains less is no explanation of it
NOTHING = 0.05  # relative effect within which nothing moved, where the whole did not
LEVEL = 0.95


@dataclass(frozen=True)
class Judged:
    """What the days say of one suspicion.

    Attributes:
        name: As declared.
        where: Its condition.
        verdict: kept: moved beyond the rest and carries a fifth of the change or more; ruled out: carries less, even at
            the far end of its interval, or begins after the change; cannot be told: the interval allows both, or
            there is nothing to compare with; untestable: a column is missing or no row fits.
        effect: Relative step of the segment against the rest; nan where it cannot be estimated.
        low: 95 % interval of it.
        high: 95 % interval of it.
        share: Of the change of the whole; nan where the whole did not move beyond its days' spread.
        share_low: The interval's ends as shares, at the whole's estimated change.
        share_high: See `share_low`.
        gain: Twice the log likelihood ratio of the step against none.
        missing: Columns that the condition names and the data lack.
        words: The verdict with its numbers.
    """

    name: str
    where: str
    verdict: Verdict
    effect: float
    low: float
    high: float
    share: float
    share_low: float
    share_high: float
    gain: float
    missing: tuple[str, ...]
    words: str


@dataclass(frozen=True)
class Excess:
    """What a segment moved beyond the rest, and how much of the whole's change that is."""

    step: Step
    level: float
    share_of: float  # the whole's change over what the segment has after; nan where the whole did not move

    @property
    def effect(self) -> float:
        """Relative."""
        return float(np.expm1(self.step.log))

    def bounds(self, *, among: int = 1) -> tuple[float, float]:
        """Interval of the effect; as one of several that are looked at (Bonferroni)."""
        low, high = self.step.bounds(1 - (1 - self.level) / among)
        return float(np.expm1(low)), float(np.expm1(high))

    def share(self, effect: float) -> float:
        """What an effect is of the whole's change."""
        return float(effect / (1 + effect) / self.share_of) if effect > -1 else float("nan")


def judge(
    table: pa.Table,
    hypotheses: Iterable[Hypothesis],
    *,
    onset: date,
    low: date | None = None,
    high: date | None = None,
    days: Collection[date] | None = None,
) -> tuple[Judged, ...]:
    """Each suspicion with its verdict, in the order declared.

    Args:
        table: Daily leaf table: `day`, dimensions, `value` or `numerator` and `denominator`; the days before the
            change, and those after it that belong to it.
        onset: First day of the new level.
        low: First day of its interval; None = the onset itself.
        high: Last day of it.
        days: The days that count (complete ones); None = all that have a row.

    Raises:
        QueryError: A condition is not portable, or cannot be worked out over dimensions.
    """
    daily = Daily.of(table, days)
    return tuple(_judged(daily, one, onset, low or onset, high or onset) for one in hypotheses)


def excess(daily: Daily, inside: tuple[Floats, Floats], rest: tuple[Floats, Floats], at: date) -> Excess | None:
    """The step of a segment against the rest; None where the days are too few or one side is empty."""
    after = daily.after(at)
    found = step(logs_of(*inside) - logs_of(*rest), after, daily.weekdays)
    if found is None:
        return None
    return Excess(found, LEVEL, _share_of(daily, inside[0], after))


def _share_of(daily: Daily, inside: Floats, after: Bools) -> float:
    """The change of the whole over what the segment counts for after it."""
    whole = daily.parts()
    moved = step(logs_of(*whole), after, daily.weekdays)
    if moved is None:
        return float("nan")
    low, high = moved.bounds(LEVEL)
    own, every = float(inside[after].sum()), float(whole[0][after].sum())
    if low <= 0 <= high or own <= 0:
        return float("nan")
    return float(np.expm1(moved.log)) / (1 + float(np.expm1(moved.log))) * every / own


def _judged(daily: Daily, asked: Hypothesis, onset: date, low: date, high: date) -> Judged:
    missing = missing_columns(asked.where, daily.table)
    if missing:
        many = "columns are" if len(missing) > 1 else "column is"
        named = f"{many} missing: {', '.join(missing)} (not among those that are looked at)"
        return _without(asked, "untestable", f"untestable: {named}", missing=missing)
    at = asked.start or onset
    if at > high:
        late = (at - high).days
        days = "1 day" if late == 1 else f"{late} days"
        return _without(asked, "ruled out", f"ruled out: it begins {at}, {days} after the latest day of the onset")
    rows = held(asked.where, daily.table)
    sides = _sides(daily, asked, rows, at)
    if isinstance(sides, str):
        verdict: Verdict = "untestable" if sides.startswith("no row") else "cannot be told"
        return _without(asked, verdict, f"{verdict}: {sides}")
    found = excess(daily, *sides, at)
    if found is None:
        return _without(asked, "cannot be told", "cannot be told: too few days before or after, or nothing was counted")
    before = "" if asked.start is None or at >= low else f"; it began {(onset - at).days} days before the onset"
    return _told(asked, found, before)


def _sides(
    daily: Daily, asked: Hypothesis, rows: Bools, at: date
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]] | str:
    """Numbers by day of the segment and of the rest; in words why there are none."""
    if not rows.any():
        return "no row of these days fits its condition"
    if rows.all():
        return "its condition holds everything, so there is no rest to compare with"
    late = np.array([day >= at for day in daily.table["day"].to_pylist()], dtype=bool)
    if (rows & ~late).any():
        return daily.parts(rows), daily.parts(~rows)
    if not daily.is_ratio:
        return f"the segment is first seen from {at} on: its amount has no days before to compare with; ask a ratio"
    return _newcomer(daily, asked, rows, late)


def _newcomer(
    daily: Daily, asked: Hypothesis, rows: Bools, late: Bools
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]] | str:
    """Rates of a segment that is new (a release), against those of its predecessors.

    Before the change the segment stands for the rows that agree with it in all columns of the condition that had these
    values already (its region); the rest are rows that agree with none of it there, or, if there are none, the others.
    """
    named = [name for name in columns_of(asked.where) if name in daily.table.column_names]
    old = [name for name in named if _was_there(daily, name, rows, late)]
    if not old:
        before = ~late
        return daily.parts(rows | before), daily.parts((~rows & late) | before)
    _, codes = encoded(daily.table, old)
    own = set(map(tuple, codes[rows].tolist()))
    alike = np.array([tuple(code) in own for code in codes.tolist()], dtype=bool)
    segment, rest = (rows & late) | (alike & ~late), ~alike
    return (daily.parts(segment), daily.parts(rest if rest.any() else (~rows & late) | ~late))


def _was_there(daily: Daily, name: str, rows: Bools, late: Bools) -> bool:
    _, codes = encoded(daily.table, [name])
    return bool(np.isin(codes[rows, 0], codes[~late, 0]).any())


def _told(asked: Hypothesis, found: Excess, more: str) -> Judged:
    low, high = found.bounds()
    share = found.share(found.effect)
    ends = sorted((found.share(low), found.share(high)))
    verdict = verdict_of(low, high, share, ends[1])
    numbers = f"effect {percent(found.effect)} against the rest [{percent(low)}, {percent(high)}]"
    shares = (
        "the whole did not move beyond its days' spread"
        if np.isnan(share)
        else f"{100 * share:.0f} % of the change [{100 * ends[0]:.0f}, {100 * ends[1]:.0f}]"
    )
    return Judged(
        name=asked.name,
        where=asked.where,
        verdict=verdict,
        effect=found.effect,
        low=low,
        high=high,
        share=share,
        share_low=ends[0],
        share_high=ends[1],
        gain=found.step.gain,
        missing=(),
        words=f"{verdict}: {numbers}, {shares}{more}",
    )


def verdict_of(low: float, high: float, share: float, share_high: float) -> Verdict:
    """From the interval of an effect, its share of the whole's change and the upper end of that."""
    is_sure = low > 0 or high < 0
    if np.isnan(share):
        if is_sure and not -NOTHING < low <= high < NOTHING:
            return "kept"
        return "ruled out" if max(abs(low), abs(high)) < NOTHING else "cannot be told"
    if share_high < LEAST_SHARE:
        return "ruled out"
    return "kept" if is_sure and share >= LEAST_SHARE else "cannot be told"


def percent(value: float) -> str:
    """A relative change with its sign."""
    return f"{100 * value:+.1f} %"


def _without(asked: Hypothesis, verdict: Verdict, words: str, *, missing: tuple[str, ...] = ()) -> Judged:
    nan = float("nan")
    return Judged(asked.name, asked.where, verdict, nan, nan, nan, nan, nan, nan, 0.0, missing, words)
