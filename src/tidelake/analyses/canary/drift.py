"""Whether a release is fed with other values than its control: PSI and Jensen-Shannon divergence of each feature.

PSI = sum over bins of (p - q) ln(p / q). Of two samples of one distribution it is not 0: for independent rows it is
about (1/n + 1/m) times a chi-square of bins - 1 degrees. Rows of one actor resemble each other and count as fewer: n
and m are divided by the design effect of the bins' shares (Rao and Scott, first order). What chance alone would give
stands beside each PSI, and a PSI below that is not called drift.

Source:
    N. Siddiqi, Credit Risk Scorecards (2006), and E. M. Lewis, An Introduction to Credit Scoring (1994): 0.10 = look,
    0.25 = shifted; conventions, not tests. B. Yurdakul, Statistical Properties of Population Stability Index, Western
    Michigan University (2018): the chi-square approximation. J. N. K. Rao, A. J. Scott, JASA 76 (1981), 221-230.
    J. Lin, IEEE Transactions on Information Theory 37 (1991), 145-151 (Jensen-Shannon; base 2: from 0 to 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tidelake.analyses.canary.compare import Floats

LOOK, SHIFTED = 0.10, 0.25
DriftVerdict = Literal["shifted", "look", "no drift", "cannot be told"]


@dataclass(frozen=True)
class Counts:
    """What one side fed into one feature: by bin, with what is needed to see how rows cluster in actors.

    Attributes:
        rows: Rows in each bin; shape (bins,), as all of them.
        squares: Sum over actors of the square of their rows in the bin.
        products: Sum over actors of their rows in the bin times all their rows.
        all_squares: Sum over actors of the square of all their rows.
        actors: How many actors.
    """

    rows: Floats
    squares: Floats
    products: Floats
    all_squares: float
    actors: int

    @property
    def total(self) -> float:
        return float(self.rows.sum())

    def design_effect(self) -> float:
        """How many rows count as one; at least 1."""
        used = self.rows > 0
        if used.sum() < 2:
            return max(1.0, self.all_squares / self.total) if self.total else 1.0
        share = self.rows[used] / self.total
        variance = self.squares[used] - 2 * share * self.products[used] + share**2 * self.all_squares
        of_actors = self.actors / max(self.actors - 1, 1)
        return max(1.0, float((variance / self.rows[used]).sum()) / int(used.sum() - 1) * of_actors)


@dataclass(frozen=True)
class Drift:
    """A feature of a release beside its control.

    Attributes:
        psi: Population stability index; None where a side has no rows.
        by_chance: What PSI would be on average of two such samples of one distribution.
        chance_limit: What it would pass with probability `alpha`.
        jensen_shannon: Divergence in bits, 0 (the same) to 1 (nothing in common).
        bins: Bins that either side has.
        new_rows: Rows of the release.
        control_rows: Of its control.
    """

    psi: float | None
    by_chance: float | None
    chance_limit: float | None
    jensen_shannon: float | None
    bins: int
    new_rows: int
    control_rows: int
    verdict: DriftVerdict
    reason: str


def drift(new: Counts, control: Counts, *, alpha: float = 0.01) -> Drift:
    """How far apart two samples of one feature are, and whether chance would do it.

    Bins without rows on one side count as half a row there, as without them PSI is infinite.

    Args:
        alpha: Of `chance_limit`; divide it where many features are looked at.
    """
    from scipy.stats import chi2  # type: ignore[import-untyped, unused-ignore]

    used = (new.rows + control.rows) > 0
    bins, sizes = int(used.sum()), (int(new.total), int(control.total))
    if not all(sizes):
        return Drift(None, None, None, None, bins, *sizes, "cannot be told", "one side has no rows")
    if bins < 2:
        return Drift(0.0, 0.0, 0.0, 0.0, bins, *sizes, "no drift", "one and the same value throughout")
    p, q = (_shares(side.rows[used]) for side in (new, control))
    psi = float(((p - q) * np.log(p / q)).sum())
    unit = new.design_effect() / new.total + control.design_effect() / control.total
    by_chance, limit = unit * (bins - 1), unit * float(chi2.isf(alpha, bins - 1))
    shannon = _jensen_shannon(new.rows[used] / new.total, control.rows[used] / control.total)
    verdict, reason = _verdict(psi, by_chance, limit)
    return Drift(psi, by_chance, limit, shannon, bins, *sizes, verdict, reason)


def _verdict(psi: float, by_chance: float, limit: float) -> tuple[DriftVerdict, str]:
    told = f"PSI {psi:.3f}, by chance {by_chance:.3f}, at most {limit:.3f}"
    if psi >= LOOK and psi > limit:
        return ("shifted", f"{told}: above {SHIFTED}") if psi >= SHIFTED else ("look", f"{told}: above {LOOK}")
    if limit >= LOOK:
        return "cannot be told", f"{told}: so few actors can give more than {LOOK} by chance"
    return "no drift", f"{told}: below {LOOK}"


def _shares(rows: Floats) -> Floats:
    """Shares of the bins, where empty ones count as half a row."""
    filled = np.where(rows > 0, rows, 0.5)
    shares: Floats = filled / filled.sum()
    return shares


def _jensen_shannon(p: Floats, q: Floats) -> float:
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(side > 0, side * np.log2(side / middle), 0.0).sum() for side in (p, q)]
    return float(sum(parts)) / 2
