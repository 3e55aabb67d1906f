"""Which combinations of values carry a change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa

from tidelake.analyses.change.lattice import Cell, Lattice, depth_for
from tidelake.analyses.change.leaves import Leaves, column, encoded
from tidelake.analyses.change.noise import Noise, central_ratio, noise_of

Direction = Literal["down", "up", "auto"]
CauseType = Literal["volume", "rate", "mix"]

_MOST = 10  # causes
_ROUNDS = 2
UNEVEN = 0.25
UNEVEN_SHARES = 0.6  # shares of small cells, as people label them
_BIAS = 0.12
_PRICE = 2.5
_LEAST_EFFECT = 0.07
_LEAST_PART = 0.002
_MATERIAL = 0.002  # a change of less than this of all must be surer
_WIDE = 0.03
_DRIFT = 0.25
_LEVELS = 3

Found = list[tuple[Cell, float, float]]


@dataclass(frozen=True)
class Cause:
    """A combination of values in which something changed.

    Attributes:
        values: Dimension: value.
        kind: The volume, the rate, or the mix changed.
        effect: Actual over expected in it, minus 1; -0.3 is a fall by 30 %.
        share: The change in it, as a share of all that was expected.
        gain: Log likelihood that it adds, beyond the price of naming it.
    """

    values: dict[str, str]
    kind: CauseType
    effect: float
    share: float
    gain: float


def localise_sum(
    table: pa.Table,
    dims: Sequence[str],
    *,
    actual: str = "real",
    expected: str = "predict",
    direction: Direction = "auto",
    depth: int | None = None,
) -> list[Cause]:
    """The causes of a change of a sum.

    Args:
        table: Leaves: one row for each combination of the dimensions that occurs.
        actual: Column of what was counted, not negative.
        expected: Column of what was expected.
        direction: Which changes are looked for; auto = that of the total.
        depth: Most dimensions in a cause; None = all of up to 5, 4 of 6, 3 of more.

    Returns:
        The largest change first; empty where no combination of values stands out.

    Raises:
        UnknownNameError: The table lacks a column.
    """
    values, codes = encoded(table, dims)
    counted, forecast = column(table, actual), column(table, expected)
    leaves = Leaves(tuple(dims), values, codes, counted, forecast, forecast)
    is_rise = direction == "up" or (direction == "auto" and counted.sum() > forecast.sum())
    return causes_of(leaves.turned() if is_rise else leaves, kind="volume", is_turned=is_rise, depth=depth)


def causes_of(
    leaves: Leaves, *, kind: CauseType, is_turned: bool = False, depth: int | None = None, unevenness: float = UNEVEN
) -> list[Cause]:
    """The combinations in which the leaves fell, the largest first."""
    if len(leaves) == 0 or not (leaves.expected > 0).any():
        return []
    ratio = central_ratio(leaves)
    scaled = leaves.expected * ratio
    drifted = replace(leaves, expected=scaled, counts=scaled if leaves.counts is leaves.expected else leaves.counts)
    noise = noise_of(drifted, unevenness=unevenness)
    depth = depth or depth_for(len(leaves.dims))
    best = _explained_at(drifted, noise, depth)
    for level in _other_levels(best):
        other = _explained_at(_at_level(drifted, level), noise, depth)
        if other.worth > best.worth:
            best = other
    return _reported(best, kind=kind, is_turned=is_turned)


@dataclass(frozen=True)
class _Explained:
    """What was found where the unaffected are taken to lie at one level."""

    leaves: Leaves
    lattice: Lattice
    found: Found

    @property
    def worth(self) -> float:
        """Log likelihood of all leaves less the price of the cells."""
        price = sum(self.lattice.cuboids[cell.cuboid].price for cell, _, _ in self.found)
        return self.lattice.likelihood() - price


def _explained_at(leaves: Leaves, noise: Noise, depth: int) -> _Explained:
    lattice = Lattice(leaves, noise, depth=depth, bias=_BIAS * noise.error, price=_PRICE)
    return _Explained(leaves, lattice, _explained(lattice))


def _at_level(leaves: Leaves, level: float) -> Leaves:
    """The same leaves where the unaffected lie higher or lower by a factor."""
    scaled = leaves.expected * np.exp(level)
    return replace(leaves, expected=scaled, counts=scaled if leaves.counts is leaves.expected else leaves.counts)


def _other_levels(explained: _Explained) -> list[float]:
    """Levels at which the unaffected may lie instead: those of wide cells.

    Where most have risen, the few that have not look as if they had fallen.
    """
    rows = len(explained.leaves)
    levels: list[float] = []
    for cell, effect, _ in explained.found:
        is_wide = len(explained.lattice.members(cell)) > _WIDE * rows
        if is_wide and abs(effect) < _DRIFT and all(abs(effect - known) > 0.03 for known in levels):
            levels.append(effect)
    return levels[:_LEVELS]


def _explained(lattice: Lattice) -> Found:
    """Cells with their effect and gain: one after the other, then each looked for again beside all others."""
    found: Found = []
    for _ in range(_ROUNDS + 1):
        _take_more(lattice, found)
        is_same = True
        for at, (cell, effect, _) in enumerate(list(found)):
            lattice.explain(cell, -effect)
            again = lattice.best()
            if again is None:
                found[at] = (cell, 0.0, 0.0)
                is_same = False
                continue
            gain, other = again
            fitted = lattice.fitted(other)
            lattice.explain(other, fitted)
            found[at] = (other, fitted, gain)
            is_same = is_same and other == cell
        found[:] = [one for one in found if one[1] != 0.0]
        if is_same:
            break
    return found


def _take_more(lattice: Lattice, found: Found) -> None:
    while len(found) < _MOST:
        best = lattice.best()
        if best is None:
            return
        gain, cell = best
        effect = lattice.fitted(cell)
        lattice.explain(cell, effect)
        found.append((cell, effect, gain))


def _reported(explained: _Explained, *, kind: CauseType, is_turned: bool) -> list[Cause]:
    """The falls among what was found that are worth a name: not within one another, not next to nothing."""
    leaves, lattice, found = explained.leaves, explained.lattice, explained.found
    effects: dict[tuple[tuple[str, str], ...], tuple[float, float]] = {}
    total = float(leaves.actual.sum() if is_turned else leaves.expected.sum())
    for cell, effect, gain in found:
        leaf = lattice.members(cell)[0]
        dims = lattice.cuboids[cell.cuboid].dims
        name = tuple((leaves.dims[at], leaves.values[at][leaves.codes[leaf, at]]) for at in dims)
        before = effects.get(name, (0.0, 0.0))
        effects[name] = (before[0] + effect, before[1] + gain)
    causes = []
    for name, (effect, gain) in effects.items():
        held = leaves.where(dict(name))
        fall = -float(np.expm1(effect))
        if fall > _LEAST_EFFECT:
            share = fall * float(leaves.expected[held].sum()) / total
            if gain < 1.5 * np.log(_MATERIAL / max(share, 1e-12)):
                continue
            shown = 1 / (1 - fall) - 1 if is_turned else -fall
            causes.append(Cause(dict(name), kind, shown, share if is_turned else -share, gain))
    outer = [one for one in causes if not any(one.values.items() > other.values.items() for other in causes)]
    least = _LEAST_PART * sum(abs(one.share) for one in outer)
    return sorted((one for one in outer if abs(one.share) >= least), key=lambda one: (-abs(one.share), str(one.values)))
