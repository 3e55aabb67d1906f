"""Which factor of a metric moved: a change split exactly along the metric's tree.

A tree is a chain of additive quantities q0, q1 .. qn (active days, opens, plays, seconds watched). What is asked for is
their last one, the product q0 * q1/q0 * ... * qn/q(n-1): how many come, how often each opens, how much is played then.

Where all quantities are positive the split is the logarithmic mean Divisia index (LMDI I, additive): factor k has the
part L(after, before) * ln(f_k after / f_k before), where L(a, b) = (a - b) / ln(a / b) is the logarithmic mean. Where a
quantity is 0 or negative it is Shapley's value: the mean, over all orders in which the factors could have changed one
after the other, of what the change of factor k did. Both leave no remainder and know no order of the factors.

Source:
    B. W. Ang, The LMDI approach to decomposition analysis: a practical guide, Energy Policy 33 (2005) 867-871,
    formulas of table 1; J. Albrecht, D. Francois, K. Schoors, A Shapley decomposition of carbon emissions without
    residuals, Energy Policy 30 (2002) 727-736. Both add up over segments: Ang, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
MOST_FACTORS = 12  # Shapley looks at every subset of them


@dataclass(frozen=True)
class Factor:
    """One factor of a metric before and after.

    Attributes:
        name: `plays per opens`; the first is the quantity itself.
        before: Its value before; nan where nothing stands below the line.
        after: Its value after; nan where nothing stands below the line.
        ratio: after / before; nan where that is not known.
        contribution: Its part of the metric's change, in the metric's unit; those of all factors add up to the change.
        share: contribution / change; nan where nothing changed. Factors against each other have shares beyond 0 and 1.
    """

    name: str
    before: float
    after: float
    ratio: float
    contribution: float
    share: float

    def said(self) -> str:
        """The factor in words: `plays per opens: 2 -> 1.5 (-25.0 %), -50 of the change (80 %)`."""
        moved = "" if np.isnan(self.ratio) else f" ({100 * (self.ratio - 1):+.1f} %)"
        share = "" if np.isnan(self.share) else f" ({100 * self.share:.0f} %)"
        part = f"{self.contribution:+,.6g} of the change{share}"
        return f"{self.name}: {_said(self.before)} -> {_said(self.after)}{moved}, {part}"


def split(
    chain_before: Sequence[float],
    chain_after: Sequence[float],
    names: Sequence[str] | None = None,
    *,
    is_ratio: bool = False,
) -> tuple[Factor, ...]:
    """The change of a chain's last quantity, factor by factor.

    Args:
        chain_before: q0, q1 .. qn before, of one length of time (sums of as many days, or means of a day).
        chain_after: The same after.
        names: What the quantities are called; None = q0, q1 ...
        is_ratio: The metric is qn / q0 (plays per active day) and not qn: the first factor is left out.

    Returns:
        One factor a quantity, in the chain's order; one less of a ratio. A quantity that is 0 before what is not (plays
        without opens) tells nothing of a factor: it is left out of the chain, and its own part is 0. So is, as not
        known, what follows a quantity that fell to 0: the fall is that of the quantity which did.

    Raises:
        ValueError: The two chains differ in length, are empty or too long, or hold what is no number; of a ratio, its
            denominator is not above 0.
    """
    before, after = _chains([chain_before], [chain_after])
    if is_ratio:
        if before[0, 0] <= 0 or after[0, 0] <= 0:
            raise ValueError("a ratio whose denominator is not above 0 has no factors")
        before, after = before / before[:, :1], after / after[:, :1]
    called = list(names) if names is not None else [f"q{at}" for at in range(before.shape[1])]
    if len(called) != before.shape[1]:
        raise ValueError(f"{len(called)} names for {before.shape[1]} quantities")
    parts = _contributions(before, after)[0]
    change = float(after[0, -1] - before[0, -1])
    found = []
    for at in range(1 if is_ratio else 0, len(called)):
        old, new = _factor(before[0], at), _factor(after[0], at)
        found.append(
            Factor(
                name=called[0] if at == 0 else f"{called[at]} per {called[at - 1]}",
                before=old,
                after=new,
                ratio=new / old if old else float("nan"),
                contribution=float(parts[at]),
                share=float(parts[at]) / change if change else float("nan"),
            )
        )
    return tuple(found)


def split_segments(before: ArrayLike, after: ArrayLike, *, with_mix: bool = False, is_ratio: bool = False) -> Floats:
    """The change of a total, by segment and factor.

    Args:
        before: Shape (segments, chain): the chain of each segment before; a segment that was not there has zeros.
        after: The same after.
        with_mix: The first quantity of a segment is split in two: that of all segments, and the segment's share of it.
        is_ratio: The metric is qn / q0 of all segments: then the first factor is the segment's share of q0, whose parts
            are the mix, and those of the others the rates.

    Returns:
        Shape (segments, chain), or (segments, chain + 1) with the mix as second column. All of it adds up to the change
        of the last quantity's sum over segments, of a ratio to the change of the ratio; each row to its segment's own.

    Raises:
        ValueError: As for `split`.
    """
    old, new = _chains(before, after)
    totals = old[:, 0].sum(), new[:, 0].sum()
    if is_ratio or with_mix:
        if min(totals) <= 0:
            raise ValueError("the first quantity of all segments must be above 0, before and after")
        if not is_ratio:
            first = [np.full((len(old), 1), total) for total in totals]
            old, new = np.hstack([first[0], old]), np.hstack([first[1], new])
            return _contributions(old, new)
        old, new = old / totals[0], new / totals[1]
    return _contributions(old, new)


def logarithmic_mean(a: Floats, b: Floats) -> Floats:
    """(a - b) / ln(a / b), and a where both are the same; of positive numbers, by element."""
    near = np.isclose(a, b, rtol=1e-6, atol=0)
    logs = np.log(np.where(near, np.e, a / b))
    return np.where(near, (a + b) / 2, (a - b) / logs)  # nearer than rounding errors of the logarithm


def _chains(before: ArrayLike, after: ArrayLike) -> tuple[Floats, Floats]:
    old, new = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if old.ndim != 2 or old.shape != new.shape:
        raise ValueError(f"chains of shapes {old.shape} and {new.shape}: both must be (segments, chain)")
    if not 1 <= old.shape[1] <= MOST_FACTORS:
        raise ValueError(f"a chain has 1 to {MOST_FACTORS} quantities, not {old.shape[1]}")
    if not (np.isfinite(old).all() and np.isfinite(new).all()):
        raise ValueError("a quantity is no number: leave out what is not known")
    return old, new


def _contributions(before: Floats, after: Floats) -> Floats:
    """Shape (segments, chain): parts of the change of each segment's last quantity."""
    found = np.zeros_like(before)
    plain = (before > 0).all(axis=1) & (after > 0).all(axis=1)
    if plain.any():
        old, new = before[plain], after[plain]
        moved = np.diff(np.log(new) - np.log(old), axis=1, prepend=0.0)
        found[plain] = logarithmic_mean(new[:, -1], old[:, -1])[:, None] * moved
    for row in np.flatnonzero(~plain):
        found[row] = _by_shapley(before[row], after[row])
    return _exact(found, after[:, -1] - before[:, -1])


def _exact(parts: Floats, change: Floats) -> Floats:
    """The parts without the last bits that rounding left: they go to the largest part."""
    largest = np.abs(parts).argmax(axis=1)
    rows = np.arange(len(parts))
    parts[rows, largest] += change - parts.sum(axis=1)
    return parts


def _by_shapley(before: Floats, after: Floats) -> Floats:
    """Parts of one segment's change, where a quantity is 0 or negative."""
    links = _telling(before, after)
    pairs = [(_link(before, links, at), _link(after, links, at)) for at in range(len(links))]
    # 0 / 0 on one side says nothing of the factor: it is as on the other side.
    known = [(new if np.isnan(old) else old, old if np.isnan(new) else new) for old, new in pairs]
    old, new = np.nan_to_num(np.array(known)).T
    found = np.zeros_like(before)
    found[links] = shapley(old, new)
    return found


def shapley(before: Floats, after: Floats) -> Floats:
    """Shapley's value of each factor in the change of their product; any numbers, shape (factors,)."""
    many = len(before)
    found = np.zeros(many)
    for at in range(many):
        rest = [one for one in range(many) if one != at]
        for size in range(many):
            weight = factorial(size) * factorial(many - size - 1) / factorial(many)
            for changed in combinations(rest, size):
                product = np.prod([after[one] if one in changed else before[one] for one in rest])
                found[at] += weight * product * (after[at] - before[at])
    return found


def _telling(before: Floats, after: Floats) -> list[int]:
    """Positions of the chain without those that are 0 where a later one is not: they divide nothing."""
    last = len(before) - 1
    return [
        at
        for at in range(last + 1)
        if at == last or not any(q[at] == 0 and (q[at + 1 :] != 0).any() for q in (before, after))
    ]


def _link(chain: Floats, links: Sequence[int], at: int) -> float:
    if at == 0:
        return float(chain[links[0]])
    below = chain[links[at - 1]]
    return float(chain[links[at]] / below) if below else float("nan")


def _factor(chain: Floats, at: int) -> float:
    return _link(chain, range(len(chain)), at)


def _said(value: float) -> str:
    return "not known" if np.isnan(value) else f"{value:,.4g}"
