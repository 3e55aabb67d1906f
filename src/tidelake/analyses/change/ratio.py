"""Why a ratio moved: because rates changed, or because the mix of what is counted did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tidelake.analyses.change.leaves import Floats, Leaves, column, encoded
from tidelake.analyses.change.localise import UNEVEN, UNEVEN_SHARES, Cause, causes_of

_LEAST_MIX = 0.01  # of the ratio, for its mix to be worth a cause
_LEAST_PART = 0.2  # of the mix's part, for a segment to be its cause


@dataclass(frozen=True)
class RatioChange:
    """A ratio's change, split exactly into its two parts.

    Attributes:
        before: Expected ratio.
        after: Actual ratio.
        rate: Part of `after - before` that comes from rates, at the new mix.
        mix: Part that comes from the mix, at the old rates.
        causes: What carries the part that is larger; empty where nothing stands out.
    """

    before: float | None
    after: float | None
    rate: float
    mix: float
    causes: list[Cause]


def localise_ratio(
    table: pa.Table,
    dims: Sequence[str],
    *,
    numerator: tuple[str, str] = ("num_real", "num_predict"),
    denominator: tuple[str, str] = ("den_real", "den_predict"),
    depth: int | None = None,
) -> RatioChange:
    """The causes of a ratio's fall.

    Args:
        table: Leaves: one row for each combination of the dimensions that occurs.
        numerator: Columns of the actual and the expected numerator.
        denominator: Columns of the actual and the expected denominator.

    Returns:
        The ratio before and after (null where nothing stands below the line), its split and the causes.
    """
    values, codes = encoded(table, dims)
    num, num_before = (column(table, name) for name in numerator)
    den, den_before = (column(table, name) for name in denominator)
    if den.sum() <= 0 or den_before.sum() <= 0:
        return RatioChange(None, None, 0.0, 0.0, [])
    before, after = num_before.sum() / den_before.sum(), num.sum() / den.sum()
    is_share = bool((num <= den + 1e-9).all() and (num_before <= den_before * 1.001 + 1e-9).all())
    rates = _rates(num_before, den_before, before, is_share=is_share)
    kept = den * rates
    by_rate, by_mix = float(after - kept.sum() / den.sum()), float(kept.sum() / den.sum() - before)
    names = tuple(dims)
    causes: list[Cause] = []
    if by_rate < 0 and abs(by_rate) > 0.5 * abs(by_mix):
        spread = np.clip((1 - rates) / np.maximum(rates, 0.02), 0.02, 50) if is_share else None
        leaves = Leaves(names, values, codes, num, kept, den, spread)
        causes = causes_of(leaves, kind="rate", depth=depth, unevenness=UNEVEN_SHARES if is_share else UNEVEN)
    elif by_mix < -_LEAST_MIX * before:
        seen = den_before > 0
        drift = float(np.median((den[seen] + 0.5) / (den_before[seen] + 0.5)))
        leaves = Leaves(names, values, codes, den_before * drift, den, den)
        grown = causes_of(leaves, kind="mix", is_turned=True, depth=min(depth or 3, 3))
        causes = [one for one in grown if _part(leaves, one, num_before, den_before) < _LEAST_PART * by_mix]
    return RatioChange(float(before), float(after), by_rate, by_mix, causes)


def _rates(numerator: Floats, denominator: Floats, overall: float, *, is_share: bool) -> Floats:
    """The expected rate of each leaf; a share of few is drawn to that of all."""
    if is_share:
        drawn: Floats = (numerator + 5 * overall) / (denominator + 5)
        return drawn
    return np.where(denominator > 0, numerator / np.maximum(denominator, 1e-9), overall)


def _part(leaves: Leaves, cause: Cause, numerator: Floats, denominator: Floats) -> float:
    """By how much a ratio moved because a segment's share of the denominator did."""
    held = leaves.where(cause.values)
    below = float(denominator[held].sum())
    if below <= 0:
        return 0.0
    grown = float(leaves.expected[held].sum() / leaves.expected.sum()) - below / float(denominator.sum())
    away = float(numerator[held].sum()) / below - float(numerator.sum() / denominator.sum())
    return grown * away
