"""Why a ratio moved: because rates changed, or because the mix of what is counted did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from tidelake.analyses.change.leaves import Floats, Leaves, column, encoded
from tidelake.analyses.change.localise import (
    UNEVEN,
    UNEVEN_SHARES,
    Cause,
    Direction,
    Localised,
    located,
)
from tidelake.analyses.change.noise import Chance
from tidelake.errors import DefinitionError

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
        located: How the causes were found, in units of the numerator (rate) or the denominator (mix); None where
            nothing was searched, because neither part moved that way.
    """

    before: float | None
    after: float | None
    rate: float
    mix: float
    causes: tuple[Cause, ...]
    located: Localised | None = None

    @property
    def is_global(self) -> bool:
        """Whether rates moved everywhere ("no single segment")."""
        return self.located is not None and self.located.is_global


def localise_ratio(
    table: pa.Table,
    dims: Sequence[str],
    *,
    numerator: tuple[str, str] = ("num_real", "num_predict"),
    denominator: tuple[str, str] = ("den_real", "den_predict"),
    direction: Direction = "auto",
    depth: int | None = None,
    rates: Floats | None = None,
    chance: Chance | None = None,
) -> RatioChange:
    """The causes of a ratio's fall or rise.

    Args:
        table: Leaves: one row for each combination of the dimensions that occurs.
        numerator: Columns of the actual and the expected numerator.
        denominator: Columns of the actual and the expected denominator.
        direction: Which changes are looked for; auto = that of the ratio.
        rates: Shape (leaves,): what a leaf's rate was expected to be where its own past does not tell; nan elsewhere.
        chance: How far leaves stray where nothing changed; None = to be found in the leaves themselves.

    Returns:
        The ratio before and after (null where nothing stands below the line), its split and the causes.

    Raises:
        UnknownNameError: The table lacks a column.
        DefinitionError: A number is negative or infinite.
    """
    num, num_before = (column(table, name) for name in numerator)
    den, den_before = (column(table, name) for name in denominator)
    for name, numbers in zip((*numerator, *denominator), (num, num_before, den, den_before), strict=True):
        if (numbers < 0).any():
            raise DefinitionError(
                f"Column '{name}' of a ratio has {int((numbers < 0).sum())} negative values.",
                hint="Leave such rows out, or explain what comes in and what goes out apart.",
            )
    if den.sum() <= 0 or den_before.sum() <= 0:
        return RatioChange(None, None, 0.0, 0.0, ())
    values, codes = encoded(table, dims, weight=den + den_before)
    before, after = float(num_before.sum() / den_before.sum()), float(num.sum() / den.sum())
    is_rise = direction == "up" or (direction == "auto" and after > before)
    sign = 1 if is_rise else -1
    is_share = bool((num <= den + 1e-9).all() and (num_before <= den_before * 1.001 + 1e-9).all())
    expected = _rates(num_before, den_before, before, is_share=is_share)
    if rates is not None:
        expected = np.where(np.isnan(rates), expected, rates)
    rates = expected
    kept = den * rates
    by_rate, by_mix = float(after - kept.sum() / den.sum()), float(kept.sum() / den.sum() - before)
    change = RatioChange(before, after, by_rate, by_mix, ())
    if sign * by_rate > 0 and abs(by_rate) > 0.5 * abs(by_mix):
        spread = np.clip((1 - rates) / np.maximum(rates, 0.02), 0.02, 50) if is_share else None
        leaves = Leaves(tuple(dims), values, codes, num, kept, den, spread)
        if is_share and is_rise:
            found = _of_complement(leaves, depth=depth, chance=chance)
        else:
            unevenness = UNEVEN_SHARES if is_share else UNEVEN
            found = located(leaves, kind="rate", is_rise=is_rise, depth=depth, unevenness=unevenness, chance=chance)
        return replace(change, causes=found.causes, located=found)
    if sign * by_mix > _LEAST_MIX * before:
        seen = den_before > 0
        drift = float(np.median((den[seen] + 0.5) / (den_before[seen] + 0.5)))
        usual = den_before * drift
        for is_growth in (True, False):
            counts = den if is_growth else usual
            leaves = Leaves(tuple(dims), values, codes, den, usual, counts)
            found = located(leaves, kind="mix", is_rise=is_growth, depth=min(depth or 3, 3))
            parts = [_part(leaves, one, num_before, den_before) for one in found.causes]
            causes = [one for one, part in zip(found.causes, parts, strict=True) if part / by_mix > _LEAST_PART]
            if causes or not is_growth:
                return replace(change, causes=tuple(causes), located=replace(found, causes=tuple(causes)))
    return change


def _of_complement(leaves: Leaves, *, depth: int | None, chance: Chance | None) -> Localised:
    """Where a share rose: where what it leaves fell, told as the share."""
    assert leaves.dispersion is not None
    others = replace(
        leaves,
        actual=leaves.counts - leaves.actual,
        expected=np.maximum(leaves.counts - leaves.expected, 0.0),
        dispersion=np.clip(1 / leaves.dispersion, 0.02, 50),
    )
    if chance is not None and others.dispersion is not None:
        usual = [float(np.average(one, weights=leaves.counts)) for one in (leaves.dispersion, others.dispersion)]
        chance = replace(chance, dispersion=chance.dispersion * usual[1] / usual[0])
    found = located(others, kind="rate", is_rise=False, depth=depth, unevenness=UNEVEN_SHARES, chance=chance)
    told = float(leaves.expected.sum())
    level = -found.by_level / told

    def turned(cause: Cause) -> Cause:
        held = leaves.where(cause.values)
        before = float(leaves.expected[held].sum()) * (1 + level)
        rise = float(leaves.actual[held].sum()) - before
        return replace(cause, effect=rise / before if before > 0 else None, share=rise / told)

    return replace(
        found,
        causes=tuple(turned(cause) for cause in found.causes),
        graded=tuple(turned(cause) for cause in found.graded),
        actual=float(leaves.actual.sum()),
        expected=told,
        level=level,
        by_causes=-found.by_causes,
        by_level=-found.by_level,
        rest=-found.rest,
        leaves=leaves,
    )


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
    grown = float(leaves.actual[held].sum() / leaves.actual.sum()) - below / float(denominator.sum())
    away = float(numerator[held].sum()) / below - float(numerator.sum() / denominator.sum())
    return grown * away
