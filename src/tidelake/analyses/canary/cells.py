"""In which days and segments a release and its control both run, and what each day counts so that both have its mix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

LEAST_ON_A_DAY = 10  # actors of each side
_BY_CHANCE = 5.0  # actors expected of a side, below which none at all may be chance


@dataclass(frozen=True)
class Cell:
    """A day and a segment, one side of it.

    Attributes:
        segment: A value of each dimension.
        actors: Actors of the day in the segment.
        denominator: What they have below the line.
    """

    day: date
    is_new: bool
    segment: tuple[str, ...]
    actors: int
    denominator: float


@dataclass(frozen=True)
class Common:
    """What is compared.

    Attributes:
        days: Days on which both run, in order.
        factors: For each cell that is compared (day, is_new, segment), what its rows count.
        left_out: Days on which only one of them ran, or hardly any actor of one.
        shares: Of each side's denominator on these days, what is compared: of the release, of its control.
    """

    days: tuple[date, ...]
    factors: dict[tuple[date, bool, tuple[str, ...]], float]
    left_out: tuple[date, ...]
    shares: tuple[float, float]


def common_cells(cells: Sequence[Cell], *, least: int = LEAST_ON_A_DAY) -> Common:
    """The cells in which both run, with weights that give each day the same part of both sides.

    A segment on a day counts as not common where one side has nobody in it although at least five actors would be
    expected by its part of the segment over all common days. Fewer may be missing by chance, and leaving those out
    would favour the larger side.

    Args:
        cells: One for each day, side and segment that occurs, of complete days.
        least: Actors that each side must have on a day.
    """
    by_day: dict[tuple[date, bool], int] = defaultdict(int)
    for cell in cells:
        by_day[cell.day, cell.is_new] += cell.actors
    seen = sorted({cell.day for cell in cells})
    days = [day for day in seen if min(by_day[day, True], by_day[day, False]) >= least]
    chosen = _present([cell for cell in cells if cell.day in set(days)])
    below: dict[tuple[date, bool], float] = defaultdict(float)
    for cell in chosen:
        below[cell.day, cell.is_new] += cell.denominator
    sides = {side: sum(value for (_, new), value in below.items() if new == side) for side in (True, False)}
    factors: dict[tuple[date, bool, tuple[str, ...]], float] = {}
    for cell in chosen:
        own, other = below[cell.day, cell.is_new], below[cell.day, not cell.is_new]
        if own > 0 and other > 0:
            part = (own + other) / (sides[True] + sides[False])
            factors[cell.day, cell.is_new, cell.segment] = part / (own / sides[cell.is_new])
    used = tuple(sorted({day for day, _, _ in factors}))
    within = [cell for cell in cells if cell.day in set(used)]
    shares = (_share(within, factors, True), _share(within, factors, False))
    return Common(used, factors, tuple(day for day in seen if day not in set(used)), shares)


def _present(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of segments and days in which both are, or of which one is missing by chance."""
    of_segment: dict[tuple[tuple[str, ...], bool], int] = defaultdict(int)
    of_cell: dict[tuple[date, tuple[str, ...], bool], int] = defaultdict(int)
    for cell in cells:
        of_segment[cell.segment, cell.is_new] += cell.actors
        of_cell[cell.day, cell.segment, cell.is_new] += cell.actors
    kept = []
    for cell in cells:
        own, other = (of_segment[cell.segment, side] for side in (cell.is_new, not cell.is_new))
        if other == 0:
            continue
        expected = of_cell[cell.day, cell.segment, cell.is_new] * other / own if own else 0.0
        if of_cell[cell.day, cell.segment, not cell.is_new] or expected < _BY_CHANCE:
            kept.append(cell)
    return kept


def _share(cells: Iterable[Cell], factors: dict[tuple[date, bool, tuple[str, ...]], float], side: bool) -> float:
    own = [cell for cell in cells if cell.is_new == side]
    total = sum(cell.denominator for cell in own)
    kept = sum(cell.denominator for cell in own if (cell.day, cell.is_new, cell.segment) in factors)
    return kept / total if total else 0.0
