"""A change cut by one dimension at a time: what each value contributes, as rate and as mix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidelake.analyses.change.days import Days, weights
from tidelake.analyses.change.leaves import Floats
from tidelake.analyses.change.spans import Spans

OTHER = "(other)"
MOST_VALUES = 20


@dataclass(frozen=True)
class Cut:
    """One value of a dimension before and after.

    Attributes:
        before: Expected: a day's mean of a sum, a ratio as it was; nan where there was none.
        after: What was seen.
        rate: Its part of the whole change, in the metric's unit; of a ratio what comes from its own rate.
        mix: Ratios: what comes from its share of the denominator. All rates and mixes of a dimension add up to the
            change of the whole.
    """

    dim: str
    value: str
    before: float
    after: float
    rate: float
    mix: float

    @property
    def contribution(self) -> float:
        """Its part of the whole change."""
        return self.rate + self.mix


def cuts(days: Days, spans: Spans) -> list[Cut]:
    """Every value of each dimension, the largest contribution of a dimension first; beyond 20 the rest in one.

    Source:
        E. M. Kitagawa, Components of a difference between two rates, JASA 50 (1955) 1168-1194, the symmetric form:
        rate = mean share x difference of rates, mix = difference of shares x (mean rate - mean of the whole's rates).
    """
    before, after = weights(days.calendar, spans.baseline, spans.window)
    found: list[Cut] = []
    for dim in days.dims:
        lines = days.lines([dim])
        names = [name[0] for name in lines.names]
        numerator = np.stack([lines.numerator @ before, lines.numerator @ after])
        below = None
        if lines.denominator is not None:
            below = np.stack([lines.denominator @ before, lines.denominator @ after])
        else:
            numerator = numerator / after.sum()
        names, numerator, below = _largest(names, numerator, below)
        found += _of_dim(dim, names, numerator, below)
    return found


def _largest(names: list[str], numerator: Floats, below: Floats | None) -> tuple[list[str], Floats, Floats | None]:
    """The 20 largest values and all others as one."""
    if len(names) <= MOST_VALUES:
        return names, numerator, below
    size = (numerator if below is None else below).sum(axis=0)
    order = np.argsort(-size, kind="stable")
    top, others = order[: MOST_VALUES - 1], order[MOST_VALUES - 1 :]
    kept = [names[at] for at in top] + [OTHER]
    parts = [
        None if part is None else np.column_stack([part[:, top], part[:, others].sum(axis=1)])
        for part in (numerator, below)
    ]
    assert parts[0] is not None
    return kept, parts[0], parts[1]


def _of_dim(dim: str, names: list[str], numerator: Floats, below: Floats | None) -> list[Cut]:
    if below is None:
        rows = [
            Cut(dim, name, float(old), float(new), float(new - old), 0.0)
            for name, old, new in zip(names, *numerator, strict=True)
        ]
    else:
        totals = below.sum(axis=1)
        if (totals <= 0).any():
            return []
        whole = numerator.sum(axis=1) / totals
        share = below / totals[:, None]
        known = below > 0
        rate = np.where(known, numerator / np.where(known, below, 1.0), np.nan)
        # a value that appears or vanishes has no rate of its own to compare with: all of it is mix
        old, new = (np.where(np.isnan(rate[at]), rate[1 - at], rate[at]) for at in (0, 1))
        by_rate = np.nan_to_num(share.mean(axis=0) * (new - old))
        by_mix = np.nan_to_num((share[1] - share[0]) * ((old + new) / 2 - whole.mean()))
        rows = [
            Cut(dim, name, float(rate[0, at]), float(rate[1, at]), float(by_rate[at]), float(by_mix[at]))
            for at, name in enumerate(names)
        ]
    return sorted(rows, key=lambda cut: (-abs(cut.contribution), cut.value))
