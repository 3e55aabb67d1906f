"""Whether the release reached the share of actors that it should have: a sample ratio mismatch spoils a comparison.

Source:
    A. Fabijan et al., Diagnosing Sample Ratio Mismatch in Online Controlled Experiments, KDD 2019 (the chi-square test
    with a strict level); K. Pearson, Philosophical Magazine 50 (1900), 157-175.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tidelake.analyses.canary.compare import Bools, Ints, Rows

WARNS, BLOCKS = 0.01, 0.001


@dataclass(frozen=True)
class ShareCheck:
    """How many actors each side has, and whether that is what it should be.

    Attributes:
        new: Actors that only the release served.
        control: Actors that only its control served.
        both: Actors that both served; of neither side here.
        declared: The release's share as it was meant; None where nobody said.
        p_value: Of the declared share; None without it, or without actors.
        uneven: Dimensions over whose values the release's share is not the same, with the p-value of each.
    """

    new: int
    control: int
    both: int
    declared: float | None
    p_value: float | None
    uneven: Mapping[str, float]

    @property
    def share(self) -> float | None:
        """The release's share of the actors that one side served."""
        total = self.new + self.control
        return self.new / total if total else None

    @property
    def blocks(self) -> bool:
        """Whether no verdict can be trusted."""
        return self.p_value is not None and self.p_value < BLOCKS

    @property
    def verdict(self) -> str:
        """`as declared`, `mismatch` (below .001: no verdict), `doubtful` (below .01), `even`, `uneven`."""
        if self.p_value is not None:
            return "mismatch" if self.blocks else "doubtful" if self.p_value < WARNS else "as declared"
        return "uneven" if self.uneven else "even"

    @property
    def reason(self) -> str:
        """The verdict in numbers."""
        if self.share is None:
            return "no actors"
        told = f"{self.new:,} of {self.new + self.control:,} actors have the release: {100 * self.share:.1f} %"
        if self.declared is not None and self.p_value is not None:
            told += f", declared {100 * self.declared:.3g} % (p = {self.p_value:.2g})"
        if self.uneven:
            differs = ", ".join(f"{name} (p = {p:.1g})" for name, p in self.uneven.items())
            told += f"; the share differs by {differs}, which the standardisation takes out"
        return f"{told}; {self.both:,} have both" if self.both else told


def check_shares(rows: Rows, names: Sequence[str], *, declared: float | None = None) -> ShareCheck:
    """The actors of each side beside the declared share, and the release's share over the values of each dimension.

    Args:
        rows: One row an actor, side and segment.
        names: Of the dimensions, in the order of `rows.segments`.
        declared: The release's share of the actors of both.
    """
    from scipy.stats import chi2  # type: ignore[import-untyped, unused-ignore]

    sides = _sides(rows)
    new, control = int((sides == 1).sum()), int((sides == 0).sum())
    total, p_value = new + control, None
    if declared is not None and total:
        expected = total * declared
        square = (new - expected) ** 2 / expected + (new - expected) ** 2 / (total - expected)
        p_value = float(chi2.sf(square, 1))
    uneven = {name: _uneven(rows, sides, values) for name, values in zip(names, rows.segments, strict=True)}
    tests = max(1, len(uneven))
    uneven = {name: p for name, p in uneven.items() if p < BLOCKS / tests}
    return ShareCheck(new, control, int((sides == 2).sum()), declared, p_value, uneven)


def _sides(rows: Rows) -> Ints:
    """For each actor 1 = the release only, 0 = its control only, 2 = both, -1 = nothing below the line."""
    actors = int(rows.actor.max(initial=-1)) + 1
    counted = rows.denominator > 0
    new, control = (_present(rows.actor[counted & side], actors) for side in (rows.is_new, ~rows.is_new))
    return np.select([new & control, new, control], [2, 1, 0], -1)


def _present(actor: Ints, actors: int) -> Bools:
    return np.bincount(actor, minlength=actors) > 0


def _uneven(rows: Rows, sides: Ints, values: Ints) -> float:
    """The p-value of the release's share being the same under every value, each actor under its largest one."""
    from scipy.stats import chi2

    order = np.lexsort((values, -rows.denominator, rows.actor))
    actor, first = np.unique(rows.actor[order], return_index=True)
    held = values[order][first]
    used = (sides[actor] == 0) | (sides[actor] == 1)
    if not used.any():
        return 1.0
    counts = np.zeros((int(held[used].max()) + 1, 2))
    np.add.at(counts, (held[used], sides[actor][used]), 1)
    counts = counts[counts.sum(axis=1) > 0]
    if len(counts) < 2 or not counts.sum(axis=0).all():
        return 1.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    kept = expected.min(axis=1) >= 5  # where the chi-square distribution holds
    if kept.sum() < 2:
        return 1.0
    counts = counts[kept]
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    return float(chi2.sf(float(((counts - expected) ** 2 / expected).sum()), len(counts) - 1))
