"""The search for the cells that together explain a change best."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tidelake.analyses.change.lattice import Cell, Lattice
from tidelake.analyses.change.leaves import Leaves
from tidelake.analyses.change.noise import Chance, central_ratio, known_noise, noise_of

Found = list[tuple[Cell, float, float]]

_MOST = 10  # causes
_ROUNDS = 2
_PRICE = 2.5
_WIDE = 0.03  # of the leaves
_WIDE_OF_MANY = 0.2  # where there are very many leaves, and another level costs seconds
_MANY = 200_000
_LEVELS = 2
_DRIFT = 0.25
_MOVED = 0.004
_SURE = 3.0  # a level of its own must be worth as much more where chance is known
_SURER = 12.0  # log likelihood that a higher level must add: growth is no fall of the rest
_LEVEL_ERROR = 0.05  # by which a forecast of the whole is usually off


@dataclass(frozen=True)
class Explanation:
    """Cells whose effects together explain what was counted.

    Attributes:
        lattice: With the cells explained in it.
        found: Cell, logarithm of its effect, gain beyond its price.
        level: Logarithm of actual over expected in all other leaves.
        worth: Log likelihood less the price of the cells.
    """

    lattice: Lattice
    found: Found
    level: float
    worth: float


def shifted(leaves: Leaves, level: float) -> Leaves:
    """The leaves with all expectations higher or lower by a logarithm."""
    scaled = leaves.expected * np.exp(level)
    return replace(leaves, expected=scaled, counts=scaled if leaves.counts is leaves.expected else leaves.counts)


def explanation(leaves: Leaves, *, depth: int, unevenness: float, chance: Chance | None = None) -> Explanation:
    """The explanation of the leaves that is worth most, among several levels of the unaffected."""
    level = float(np.log(central_ratio(leaves)))
    if chance is None:
        noise = noise_of(shifted(leaves, level), unevenness=unevenness)
    else:
        noise = known_noise(leaves, chance, unevenness=unevenness)
    lattice = Lattice(leaves, noise, depth=depth, price=_PRICE)
    if chance is not None:  # then nothing moved but what must: the median is no guide where most leaves are hit
        return _surest(lattice, [0.0, level])
    best = _at_level(lattice, level)
    for other in _other_levels(best) if leaves.dispersion is None else []:  # shares do not drift
        tried = _at_level(lattice, other)
        if tried.worth > best.worth + (_SURER if tried.level > best.level else 0.0):
            best = tried
    return best


def _surest(lattice: Lattice, levels: list[float]) -> Explanation:
    """The explanation that is worth most; a level must beat those before it."""
    best = _at_level(lattice, levels[0])
    for other in [*levels[1:], *_other_levels(best)]:
        tried = _at_level(lattice, other)
        if tried.worth > best.worth + _SURE:
            best = tried
    return best


def _at_level(lattice: Lattice, level: float) -> Explanation:
    lattice.reset(level)
    found: Found = []
    _take_more(lattice, found)
    for _ in range(_ROUNDS):
        again = lattice.common_level(lattice.level) if found else level
        if abs(again - lattice.level) > _MOVED:
            lattice.move_to(again)
        if _again(lattice, found):
            break
    _merge(lattice, found)
    worth = lattice.worth() - 0.5 * np.log1p((lattice.level / _LEVEL_ERROR) ** 2)
    return Explanation(lattice, found, lattice.level, float(worth))


def _other_levels(explained: Explanation) -> list[float]:
    """Levels at which the unaffected may lie instead: those of wide cells.

    Where most have risen, the few that have not look as if they had fallen.
    """
    rows = len(explained.lattice)
    least = (_WIDE if rows <= _MANY else _WIDE_OF_MANY) * rows
    levels: list[float] = []
    for cell, effect, _ in explained.found:
        is_wide = len(explained.lattice.members(cell)) > least
        if is_wide and abs(effect) < _DRIFT and all(abs(effect - known) > 0.03 for known in levels):
            levels.append(effect)
    return [explained.level + effect for effect in levels[:_LEVELS]]


def _take_more(lattice: Lattice, found: Found) -> bool:
    had = len(found)
    while len(found) < _MOST:
        best = lattice.best()
        if best is None:
            break
        gain, cell = best
        effect = lattice.fitted(cell)
        lattice.explain(cell, effect)
        found.append((cell, effect, gain))
    return len(found) > had


def _again(lattice: Lattice, found: Found) -> bool:
    """Look for more, then for each cell again beside all others; returns whether nothing changed."""
    is_same = not _take_more(lattice, found)
    for at, (cell, _, _) in enumerate(list(found)):
        lattice.forget(cell)
        again = lattice.best()
        if again is None:
            found[at] = (cell, 0.0, 0.0)
            is_same = False
            continue
        gain, other = again
        effect = lattice.fitted(other)
        lattice.explain(other, effect)
        found[at] = (other, effect, gain)
        is_same = is_same and other == cell
    found[:] = [one for one in found if one[1] != 0.0]
    return is_same


def _merge(lattice: Lattice, found: Found) -> None:
    """Put a parent in the place of its children where that is worth more."""
    for cell, _, _ in list(found):
        for parent in lattice.parents(cell) if cell in lattice.explained else ():
            children = [one for one in found if lattice.holds(parent, one[0])]
            if len(children) < 2 or parent in lattice.explained:
                continue
            before = lattice.worth()
            for child, _, _ in children:
                lattice.forget(child)
            effect = lattice.fitted(parent)
            lattice.explain(parent, effect)
            if lattice.worth() > before:
                found[:] = [one for one in found if one not in children]
                found.append((parent, effect, sum(gain for _, _, gain in children)))
                break
            lattice.forget(parent)
            for child, known, _ in children:
                lattice.explain(child, known)
