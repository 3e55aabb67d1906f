"""A release beside its control: the same mix of segments for both, rows of one actor as one.

A metric is a ratio of sums over actors. In each stratum (a combination of segments) both have such a ratio; each is
averaged over strata with the same weights, the share of the stratum in both together, so that a difference in who is
served is not read as an effect (post-stratification). An actor's rows depend on each other, also across strata and
where it saw both releases: its parts of all strata are added up before they are squared (the delta method, linearised).

Source:
    D. Holt, T. M. F. Smith, Post Stratification, JRSS A 142 (1979), 33-46; L. Kish, Survey Sampling (1965), 3.4 (small
    strata are put together); A. Deng, U. Knoblich, J. Lu, KDD 2018, section 3 (ratios of sums over actors).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tidelake.analyses.canary.sequential import SCALE, radius
from tidelake.metrics.intervals import Z_95

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
LEAST_IN_STRATUM = 10  # actors of each side; smaller strata are put together


@dataclass(frozen=True)
class Rows:
    """One row an actor, side and segment.

    Attributes:
        actor: Number of the actor, from 0; shape (rows,), as all of them.
        is_new: Whether the row is of the release, else of its control.
        segments: For each dimension the number of its value.
        numerator: What is above the line.
        denominator: What is below it.
    """

    actor: Ints
    is_new: Bools
    segments: tuple[Ints, ...]
    numerator: Floats
    denominator: Floats

    def where(self, kept: Bools) -> Rows:
        """Some of the rows."""
        segments = tuple(values[kept] for values in self.segments)
        return Rows(self.actor[kept], self.is_new[kept], segments, self.numerator[kept], self.denominator[kept])


@dataclass(frozen=True)
class Compared:
    """A release and its control, standardised.

    Attributes:
        new: The release's value; None where nothing can be compared.
        control: Its control's value.
        difference: new - control.
        difference_low: 95 % interval of one look; None where fewer than two actors are on a side.
        ratio: new / control; None where the control's value is not above 0.
        log_error: Standard error of log(ratio); None where a side's value is not above 0.
        new_actors: Different actors of the release that were compared.
        control_actors: Of the control.
        both_actors: Actors that are on both sides.
        strata: Combinations of segments that were compared.
        compared_share: Denominator of the release and its control that was compared, of all.
    """

    new: float | None = None
    control: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    log_error: float | None = None
    new_actors: int = 0
    control_actors: int = 0
    both_actors: int = 0
    strata: int = 0
    compared_share: float = 0.0

    def always(self, *, scale: float = SCALE, alpha: float = 0.05) -> tuple[float, float] | None:
        """Bounds of new / control that hold at every look; None where there is no ratio."""
        if self.ratio is None or self.log_error is None:
            return None
        reach = radius(self.log_error, scale=scale, alpha=alpha)
        return self.ratio * exp(-reach), self.ratio * exp(reach)


def rows_of(table: pa.Table, segments: Sequence[str]) -> Rows:
    """The rows of a table.

    Args:
        table: `is_new`, `actor_id`, `numerator`, `denominator` and a text column a segment; one row for each that
            occurs. Nulls count as 0.
        segments: Names of the segments' columns.
    """
    return Rows(
        codes(table.column("actor_id")),
        np.asarray(table.column("is_new").to_numpy(zero_copy_only=False), dtype=bool),
        tuple(codes(table.column(name)) for name in segments),
        _numbers(table, "numerator"),
        _numbers(table, "denominator"),
    )


def codes(column: pa.ChunkedArray) -> Ints:
    """Numbers of a column's values in the order of the values; nulls are one of them."""
    found = column.combine_chunks().dictionary_encode(null_encoding="encode")
    found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    names = found.dictionary.to_pylist()
    order = sorted(range(len(names)), key=lambda at: (names[at] is None, names[at] or ""))
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    return place[np.asarray(found.indices.to_numpy(zero_copy_only=False), dtype=np.int64)]


def _numbers(table: pa.Table, name: str) -> Floats:
    values = np.asarray(table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    return np.nan_to_num(values, nan=0.0)


def strata(rows: Rows, *, least: int = LEAST_IN_STRATUM) -> Ints:
    """The stratum of each row, numbered from 0; -1 where it cannot be compared.

    A combination that only one side has is left out: nothing can be compared there. One in which a side has fewer
    than `least` actors is put together with others like it that differ in the last dimension only, then in the last
    two, and so on; what is still too small at the end is left out.
    """
    size = len(rows.actor)
    names = np.zeros((size, len(rows.segments) + 1), dtype=np.int64)
    for at, values in enumerate(rows.segments):
        names[:, at] = values
    usable = _least_actors(_numbered(names), rows) >= 1
    for at in range(len(rows.segments) - 1, -1, -1):
        small = usable & (_least_actors(_numbered(names), rows) < least)
        names[small, at] = -1
    group = _numbered(names)
    usable &= _least_actors(group, rows) >= least
    kept = np.full(size, -1, dtype=np.int64)
    kept[usable] = np.unique(group[usable], return_inverse=True)[1]
    return kept


def _numbered(names: Ints) -> Ints:
    return np.unique(names, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _least_actors(group: Ints, rows: Rows) -> Ints:
    """For each row the number of actors that the smaller side of its group has; with something below the line."""
    counted = rows.denominator > 0
    actors = int(rows.actor.max(initial=-1)) + 1
    groups = int(group.max(initial=-1)) + 1
    least = np.full(groups, np.iinfo(np.int64).max)
    for side in (rows.is_new, ~rows.is_new):
        one_each = np.unique(group[side & counted] * actors + rows.actor[side & counted])
        least = np.minimum(least, np.bincount(one_each // max(actors, 1), minlength=groups))
    return least[group]


def compare(rows: Rows, *, least: int = LEAST_IN_STRATUM, z: float = Z_95) -> Compared:
    """The release and its control over the strata that both have.

    Args:
        least: Actors that each side must have in a stratum of its own.
        z: Of the interval of one look.
    """
    stratum = strata(rows, least=least)
    kept = stratum >= 0
    total = float(rows.denominator.sum())
    if not kept.any() or total <= 0:
        return Compared()
    chosen, stratum = rows.where(kept), stratum[kept]
    weight = np.bincount(stratum, chosen.denominator)
    weight = weight / weight.sum()
    actors = int(chosen.actor.max()) + 1
    sides = [_side(chosen, stratum, weight, chosen.is_new == side, actors) for side in (True, False)]
    (new, new_parts, new_actors), (control, control_parts, control_actors) = sides
    spread = _error(new_parts - control_parts)
    found = Compared(
        new=new,
        control=control,
        difference=new - control,
        difference_low=new - control - z * spread,
        difference_high=new - control + z * spread,
        new_actors=int(new_actors.sum()),
        control_actors=int(control_actors.sum()),
        both_actors=int((new_actors & control_actors).sum()),
        strata=len(weight),
        compared_share=float(chosen.denominator.sum()) / total,
    )
    if new <= 0 or control <= 0:
        return found
    error = _error(new_parts / new - control_parts / control)
    middle = log(new / control)
    more = {"ratio": new / control, "ratio_low": exp(middle - z * error), "ratio_high": exp(middle + z * error)}
    return Compared(**{**vars(found), **more, "log_error": error})


def _side(rows: Rows, stratum: Ints, weight: Floats, side: Bools, actors: int) -> tuple[float, Floats, Bools]:
    """A side's standardised value, each actor's part in its error, and who is on it; shape (actors,)."""
    groups = len(weight)
    y = np.bincount(stratum[side], rows.numerator[side], minlength=groups)
    x = np.bincount(stratum[side], rows.denominator[side], minlength=groups)
    value = y / x
    counted = side & (rows.denominator > 0)
    one_each = np.unique(stratum[counted] * actors + rows.actor[counted])
    size = np.bincount(one_each // actors, minlength=groups)
    scale = weight / x * np.sqrt(size / np.maximum(size - 1, 1))
    at = stratum[side]
    part = scale[at] * (rows.numerator[side] - value[at] * rows.denominator[side])
    present = np.bincount(rows.actor[counted], minlength=actors) > 0
    parts: Floats = np.bincount(rows.actor[side], part, minlength=actors).astype(np.float64)
    return float((weight * value).sum()), parts, present


def _error(parts: Floats) -> float:
    return sqrt(float((parts**2).sum()))
