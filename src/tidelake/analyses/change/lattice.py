"""The lattice of cuboids: how much likelier a change is in each cell of each subset of the dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from math import comb, log, prod

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix  # type: ignore[import-untyped]

from tidelake.analyses.change.leaves import Codes, Floats, Leaves
from tidelake.analyses.change.noise import Noise

_FALLS = (0.09, 0.14, 0.20, 0.28, 0.38, 0.50, 0.65, 0.85, 0.97, 0.999)
_RISES = (0.08, 0.16, 0.35, 0.80)
EFFECTS = np.array([*(np.log1p(-fall) for fall in _FALLS), *(np.log1p(rise) for rise in _RISES)])
_SMALL = 200_000  # leaves from which the cuboids are worth two threads
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Cell:
    """One combination of values of some dimensions."""

    cuboid: int
    index: int


class Cuboid:
    """One subset of the dimensions; a cell is a combination of their values.

    Attributes:
        dims: Positions of the dimensions.
        cells: Which cell each leaf lies in.
        price: What naming one of its cells costs, in units of log likelihood.
    """

    def __init__(self, dims: tuple[int, ...], cells: NDArray[np.int32], size: int, price: float) -> None:
        self.dims = dims
        self.cells = cells
        self.price = price
        self._size = size

    def fill(self, gains: Floats, information: Floats, bias: float) -> None:
        """Sum the leaves' gains by cell."""
        self._sums = _summed(self.cells, gains, self._size)
        told = np.bincount(self.cells, information, self._size)
        self._least = self.price * (1 + told * bias**2)  # a forecast strays by value too
        self._best = np.full(self._size, -np.inf)
        self._weigh(slice(None))

    def add(self, leaves: Ints, change: Floats) -> None:
        """Some leaves' gains have changed."""
        cells = self.cells[leaves]
        if 4 * len(leaves) < self._size:
            own, place = np.unique(cells, return_inverse=True)
            self._sums[own] += _summed(place, change, len(own))
            self._weigh(own)
        else:
            self._sums += _summed(cells, change, self._size)
            self._weigh(slice(None))

    def _weigh(self, cells: slice | NDArray[np.int32]) -> None:
        gain = self._sums[cells].max(axis=1)
        self._best[cells] = np.where(gain > self._least[cells], gain - self.price, -np.inf)

    def best(self) -> tuple[float, int]:
        """The cell that gains most over its price, and how much."""
        index = int(np.argmax(self._best))
        return float(self._best[index]), index

    def set_aside(self, index: int) -> float:
        """Leave a cell out of the choice; returns what it was worth."""
        worth = float(self._best[index])
        self._best[index] = -np.inf
        return worth

    def put_back(self, index: int, worth: float) -> None:
        """Undo `set_aside`."""
        self._best[index] = worth

    def effect(self, index: int) -> float:
        """Roughly the effect in a cell: the likeliest of the grid."""
        return float(EFFECTS[int(np.argmax(self._sums[index]))])


class Lattice:
    """What changed where, after all that has been explained so far.

    Args:
        noise: What leaves do where nothing changed.
        depth: Most dimensions in one cell.
        bias: By how much a forecast strays for all leaves of one value alike.
        price: Gain that a cause must bring beyond what the choice among all cells brings by chance.
    """

    def __init__(self, leaves: Leaves, noise: Noise, *, depth: int, bias: float, price: float) -> None:
        self._noise = noise
        self._counts = leaves.counts
        self._spread = noise.dispersion
        unit = np.where(leaves.counts > 0, leaves.expected / np.maximum(leaves.counts, 1e-12), 1.0)
        held = (leaves.expected > 0) & (unit > 0)
        self._held = held
        seen = np.where(held, leaves.actual / np.where(held, unit, 1.0), 0.0)
        self._level = noise.level(seen, noise.dispersion)
        self._effects = np.zeros(len(leaves))
        self._gains = self._gain(np.arange(len(leaves)))
        information = np.where(held, 1 / noise.variance(leaves.counts), 0.0)
        self.cuboids = list(_cuboids(leaves, depth, price))
        workers = 2 if len(leaves) > _SMALL else 1
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda cuboid: cuboid.fill(self._gains, information, bias), self.cuboids))

    def best(self) -> tuple[float, Cell] | None:
        """The cell whose change explains most beyond its price; None = none does.

        A cell that only takes back what was explained around it is passed over: the wider explanation was wrong.
        """
        aside: list[tuple[Cuboid, int, float]] = []
        found = None
        while found is None:
            at = max(range(len(self.cuboids)), key=lambda place: self.cuboids[place].best()[0])
            cuboid = self.cuboids[at]
            gain, index = cuboid.best()
            if gain <= 0:
                break
            known = self._effects[self.members(Cell(at, index))]
            if np.mean(-known / cuboid.effect(index) > 0.5) > 0.5:
                aside.append((cuboid, index, cuboid.set_aside(index)))
            else:
                found = gain, Cell(at, index)
        for cuboid, index, worth in aside:
            cuboid.put_back(index, worth)
        return found

    def members(self, cell: Cell) -> Ints:
        """The leaves of a cell."""
        return np.flatnonzero(self.cuboids[cell.cuboid].cells == cell.index)

    def fitted(self, cell: Cell) -> float:
        """The likeliest effect in a cell."""
        leaves, near = self.members(cell), self.cuboids[cell.cuboid].effect(cell.index)
        low, high = near - 0.25 - 0.6 * abs(near), near + 0.2 + 0.5 * abs(near)
        for _ in range(2):
            grid = np.linspace(low, high, 17)
            total = self._likelihood(leaves, self._effects[leaves][:, None] + grid[None, :]).sum(axis=0)
            best = int(np.argmax(total))
            low, high = grid[best] - (grid[1] - grid[0]), grid[best] + (grid[1] - grid[0])
        return float(grid[best])

    def explain(self, cell: Cell, effect: float) -> None:
        """Take an effect as known in a cell, or take it back by its negative."""
        leaves = self.members(cell)
        self._effects[leaves] += effect
        gains = self._gain(leaves)
        change = gains - self._gains[leaves]
        self._gains[leaves] = gains
        for cuboid in self.cuboids:
            cuboid.add(leaves, change)

    def likelihood(self) -> float:
        """Log likelihood of all leaves under what is explained so far, up to a constant of the noise."""
        every = np.arange(len(self._effects))
        return float(self._likelihood(every, self._effects[:, None]).sum())

    def _gain(self, leaves: Ints) -> Floats:
        known = self._effects[leaves][:, None]
        every = np.concatenate([known, known + EFFECTS[None, :]], axis=1)
        found = self._likelihood(leaves, every)
        return found[:, 1:] - found[:, :1]

    def _likelihood(self, leaves: Ints, effects: Floats) -> Floats:
        spread = self._spread[leaves] if isinstance(self._spread, np.ndarray) else self._spread
        found = self._noise.likelihood(self._level[leaves], self._counts[leaves], spread, effects)
        return np.where(self._held[leaves][:, None], found, 0.0)


def depth_for(dims: int) -> int:
    """How many dimensions a conjunction may have, so that the cuboids stay few: all of up to 5, 4 of 6, 3 of more."""
    return dims if dims <= 5 else 4 if dims == 6 else 3


def _cuboids(leaves: Leaves, depth: int, price: float) -> Iterator[Cuboid]:
    dims, rows = len(leaves.dims), len(leaves)
    for count in range(1, min(depth, dims) + 1):
        for chosen in combinations(range(dims), count):
            size = prod(leaves.sizes[at] for at in chosen)
            cells = _cells(leaves.codes, leaves.sizes, chosen)
            if size > 4 * rows:
                own, cells = np.unique(cells, return_inverse=True)
                size = len(own)
            told = log(max(min(size, rows), 2)) + log(comb(dims, count)) + 0.7 * log(min(depth, dims))
            yield Cuboid(chosen, cells.astype(np.int32), size, told + price)


def _cells(codes: Codes, sizes: tuple[int, ...], dims: tuple[int, ...]) -> NDArray[np.int64]:
    found = codes[:, dims[0]].astype(np.int64)
    for at in dims[1:]:
        found = found * sizes[at] + codes[:, at]
    return found


def _summed(cells: NDArray[np.int32] | Ints, rows: Floats, size: int) -> Floats:
    """Sums of rows by cell; shape (size, columns)."""
    each = csc_matrix((np.ones(len(cells)), cells, np.arange(len(cells) + 1)), shape=(size, len(cells)))
    found: Floats = each @ rows
    return found
