"""Which combinations of values carry a change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa

from tidelake.analyses.change.lattice import depth_for
from tidelake.analyses.change.leaves import Bools, Floats, Leaves, column, encoded
from tidelake.analyses.change.noise import Chance
from tidelake.analyses.change.search import Explanation, explanation, shifted
from tidelake.errors import DefinitionError

Direction = Literal["down", "up", "auto"]
CauseType = Literal["volume", "rate", "mix"]

UNEVEN = 0.25
UNEVEN_SHARES = 0.6  # shares of small cells, as people label them
_LEAST_EFFECT = 0.07
_LEAST_PART = 0.002
_MATERIAL = 0.002  # a change of less than this of all must be surer
_LEAST_LEVEL = 0.03  # by which all moves, to be called a change everywhere
_GLOBAL_PART = 0.5  # of the change, that is everywhere
_MOST_NEGATIVE = 0.05  # of all that is counted


@dataclass(frozen=True)
class Cause:
    """A combination of values in which something changed.

    Attributes:
        values: Dimension: value.
        kind: The volume, the rate, or the mix changed.
        effect: Actual over expected in it, minus 1, beyond what moved everywhere; -0.3 is a fall by 30 %. None = it
            appeared: nothing was expected.
        share: The change in it, as a share of all that was expected.
        gain: Log likelihood that it adds, beyond the price of naming it.
    """

    values: dict[str, str]
    kind: CauseType
    effect: float | None
    share: float
    gain: float


@dataclass(frozen=True)
class Localised:
    """Where a change lies. `by_causes + by_level + rest` is `actual - expected`, exactly.

    Attributes:
        causes: The largest first; empty where no combination of values stands out.
        actual: What was counted in all.
        expected: What was expected in all.
        level: By which share all that is in no cause moved.
        is_global: It moved everywhere ("no single segment"): the level carries at least half of the change.
        graded: Where it moved everywhere: combinations in which it moved more, though by less than everywhere.
        by_causes: Change in the leaves of the causes, beyond the level.
        by_level: Change of the level, over all leaves.
        rest: What neither explains: chance, and changes too small to name.
        leaves: What was searched, for `neighbours`.
        notes: What was done with unusual input, for people.
    """

    causes: tuple[Cause, ...]
    actual: float
    expected: float
    level: float
    is_global: bool
    graded: tuple[Cause, ...]
    by_causes: float
    by_level: float
    rest: float
    leaves: Leaves = field(repr=False, compare=False)
    notes: tuple[str, ...] = ()


def localise_sum(
    table: pa.Table,
    dims: Sequence[str],
    *,
    actual: str = "real",
    expected: str = "predict",
    direction: Direction = "auto",
    depth: int | None = None,
    chance: Chance | None = None,
) -> Localised:
    """The causes of a change of a sum.

    Args:
        table: Leaves: one row for each combination of the dimensions that occurs.
        actual: Column of what was counted; null = nothing. Rows with a negative number are left out of the search, and
            so said, where they weigh little.
        expected: Column of what was expected; 0 or null = the combination is new, and may be the cause of a rise.
        direction: Which changes are looked for; auto = that of the total.
        depth: Most dimensions in a cause; None = all of up to 5, 4 of 6, 3 of more.
        chance: How far leaves stray where nothing changed; None = to be found in the leaves themselves.

    Raises:
        UnknownNameError: The table lacks a column.
        DefinitionError: More than 5 % of what is counted is negative, or a number is infinite.
    """
    counted, forecast = column(table, actual), column(table, expected)
    notes = []
    negative = (counted < 0) | (forecast < 0)
    if negative.any():
        weight = np.abs(counted) + np.abs(forecast)
        part = float(weight[negative].sum() / weight.sum())
        if part > _MOST_NEGATIVE:
            raise DefinitionError(
                f"{int(negative.sum())} of {len(counted)} combinations are negative, with {100 * part:.0f} % of the "
                "weight: the causes of a sum of both signs cannot be told.",
                hint="Explain what comes in and what goes out apart, e.g. purchases and refunds.",
            )
        notes.append(f"{int(negative.sum())} combinations with negative numbers were left out of the search.")
    total = float(counted.sum()), float(forecast.sum())
    is_rise = direction == "up" or (direction == "auto" and total[0] > total[1])
    if negative.any():
        table, counted, forecast = table.filter(pa.array(~negative)), counted[~negative], forecast[~negative]
    values, codes = encoded(table, dims, weight=counted + forecast)
    leaves = Leaves(tuple(dims), values, codes, counted, forecast, counts=forecast)
    return located(leaves, kind="volume", is_rise=is_rise, depth=depth, totals=total, notes=notes, chance=chance)


def located(
    leaves: Leaves,
    *,
    kind: CauseType,
    is_rise: bool,
    depth: int | None = None,
    unevenness: float = UNEVEN,
    totals: tuple[float, float] | None = None,
    notes: Sequence[str] = (),
    chance: Chance | None = None,
) -> Localised:
    """The combinations in which the leaves fell, or rose.

    Args:
        totals: Actual and expected of all, where the leaves do not hold all.
    """
    actual, expected = totals or (float(leaves.actual.sum()), float(leaves.expected.sum()))
    asked = leaves.turned() if is_rise else leaves
    said = [*notes, *_said(leaves)]
    if not (asked.expected > 0).any():
        said.append("There is nothing that could have " + ("risen." if is_rise else "fallen."))
        return Localised((), actual, expected, 0.0, False, (), 0.0, 0.0, actual - expected, leaves, tuple(said))
    usable = sum(size > 1 for size in leaves.sizes)
    best = explanation(asked, depth=depth or depth_for(usable), unevenness=unevenness, chance=chance)
    found = _reported(asked, best, kind=kind, is_turned=is_rise)
    level = float(np.expm1(-best.level if is_rise else best.level))
    by_level = level * float(leaves.expected.sum())
    is_global = abs(level) > _LEAST_LEVEL and by_level / (actual - expected or 1.0) > _GLOBAL_PART
    graded = [one for one in found if is_global and one.effect is not None and abs(one.effect) < abs(level)]
    causes = [one for one in found if one not in graded]
    held: Bools = np.zeros(len(leaves), dtype=bool)
    for cause in causes:
        held |= leaves.where(cause.values)
    by_causes = float((leaves.actual - leaves.expected * (1 + level))[held].sum())
    rest = actual - expected - by_level - by_causes
    parts = by_causes, by_level, rest
    return Localised(tuple(causes), actual, expected, level, is_global, tuple(graded), *parts, leaves, tuple(said))


def _said(leaves: Leaves) -> list[str]:
    """What is unusual about the leaves, in words."""
    said = []
    empty = [name for name, size in zip(leaves.dims, leaves.sizes, strict=True) if size == 1]
    if empty:
        said.append(f"Of one value only, so no cause: {', '.join(empty)}.")
    bounded = [name for name, values in zip(leaves.dims, leaves.values, strict=True) if leaves.is_bounded(values)]
    if bounded:
        said.append(f"Too many values: the lightest are '(other)' in {', '.join(bounded)}.")
    new, gone = (leaves.expected <= 0) & (leaves.actual > 0), (leaves.expected > 0) & (leaves.actual <= 0)
    if new.any():
        said.append(f"{int(new.sum())} combinations are new, with {leaves.actual[new].sum():.6g} in all.")
    if gone.any():
        said.append(f"{int(gone.sum())} combinations vanished, with {leaves.expected[gone].sum():.6g} expected.")
    return said


def _reported(leaves: Leaves, explained: Explanation, *, kind: CauseType, is_turned: bool) -> list[Cause]:
    """The falls among what was found that are worth a name: not within one another, not next to nothing."""
    lattice = explained.lattice
    total = float(leaves.actual.sum() if is_turned else leaves.expected.sum())
    scaled: Floats = shifted(leaves, explained.level).expected
    causes = []
    for cell, effect, gain in explained.found:
        members = lattice.members(cell)
        fall, before = -float(np.expm1(effect)), float(scaled[members].sum())
        if fall <= _LEAST_EFFECT:
            continue
        share = fall * before / max(total, 1e-12)
        if gain < 1.5 * np.log(_MATERIAL / max(share, 1e-12)):
            continue
        dims = lattice.cuboids[cell.cuboid].dims
        name = {leaves.dims[at]: leaves.values[at][leaves.codes[members[0], at]] for at in dims}
        shown = (1 / (1 - fall) - 1 if leaves.actual[members].any() else None) if is_turned else -fall
        causes.append(Cause(name, kind, shown, share if is_turned else -share, gain))
    outer = [one for one in causes if not any(one.values.items() > other.values.items() for other in causes)]
    least = _LEAST_PART * sum(abs(one.share) for one in outer)
    return sorted((one for one in outer if abs(one.share) >= least), key=lambda one: (-abs(one.share), str(one.values)))
