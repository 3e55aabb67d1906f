"""The lattice of cuboids: how much likelier a change is in each cell of each subset of the dimensions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb, log, prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix  # type: ignore[import-untyped]

from tidelake.analyses.change.leaves import Floats, Leaves
from tidelake.analyses.change.noise import Noise

_FALLS = (0.09, 0.15, 0.25, 0.40, 0.60, 0.85, 0.999)
_RISES = (0.09, 0.20, 0.60)
EFFECTS = np.array([*(np.log1p(-fall) for fall in _FALLS), *(np.log1p(rise) for rise in _RISES)])
_SMALL = 200_000  # leaves from which the cuboids are worth two threads
_COARSE = np.array([-0.10, -0.30, -0.90, 0.15])  # of very many leaves, where the evidence is plenty and time is not
_BLOCK = 16_384  # leaves whose likelihood is found at a time: what fits the processor's cache
Ints = NDArray[np.intp]
T = TypeVar("T")
R = TypeVar("R")
_FAR = 4.0
_NOTHING = -9.0  # logarithm of an effect that leaves nothing
_STEPS = 4
_FEW = 4_000  # leaves below which one count is faster than a sparse matrix
_BIAS = 0.12  # of the error: by how much a forecast strays for all leaves of one value alike
_ALONE = 2.0  # log likelihood, for one of two effects in place of both


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

    def fill(self, gains: Floats, told: Floats) -> None:
        """Sum the leaves' gains by cell."""
        self._sums = _summed(self.cells, gains, self._size)
        self._least = self.price * (1 + np.bincount(self.cells, told, self._size))  # a forecast strays by value too
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

    def likeliest(self, index: int) -> int:
        """Which effect of the grid is the likeliest in a cell."""
        return int(np.argmax(self._sums[index]))


class Lattice:
    """What changed where, after all that has been explained so far.

    A leaf in two explained cells has both effects, or one of them alone, whichever is likelier.

    Args:
        noise: What leaves do where nothing changed.
        depth: Most dimensions in one cell.
        price: Gain that a cause must bring beyond what the choice among all cells brings by chance.
    """

    def __init__(self, leaves: Leaves, noise: Noise, *, depth: int, price: float) -> None:
        self._counts = leaves.counts
        unit = np.where(leaves.counts > 0, leaves.expected / np.maximum(leaves.counts, 1e-12), 1.0)
        self._held = (leaves.expected > 0) & (unit > 0)
        self._seen = np.where(self._held, leaves.actual / np.where(self._held, unit, 1.0), 0.0)
        self.explained: dict[Cell, float] = {}
        self._known = np.zeros(len(leaves))
        self._cover = np.zeros(len(leaves), dtype=np.int16)
        self.cuboids = list(_cuboids(leaves, depth, price))
        self.noise = noise
        self._level = noise.level(self._seen, noise.dispersion)
        self._told = np.where(self._held, (_BIAS * noise.error) ** 2 / noise.variance(leaves.counts), 0.0)
        self._grid = EFFECTS if len(leaves) <= _SMALL else _COARSE
        self._gains = np.empty((len(leaves), len(self._grid)))
        self.reset(0.0, is_filled=False)

    def reset(self, level: float, *, is_filled: bool = True) -> None:
        """Forget all that was explained, and take the unaffected leaves to lie at a level (a logarithm)."""
        self.explained = {}
        self._cover[:] = 0
        self._known[:] = 0.0
        self.level = level
        if is_filled:
            self.move_to(level)

    def move_to(self, level: float) -> None:
        """Take another level of all leaves as known."""
        self.level = level
        every = np.arange(len(self._seen))
        self._compose(every)
        self._gains[:] = self._gain(every)
        self._mapped(self._fill, self.cuboids)

    def _fill(self, cuboid: Cuboid) -> None:
        cuboid.fill(self._gains, self._told)

    def common_level(self, near: float) -> float:
        """The level about which the unexplained leaves lie, found from one near it."""
        free = np.flatnonzero(self._held & (self._cover == 0))
        spread = self.noise.dispersion
        spread = spread[free] if isinstance(spread, np.ndarray) else spread
        level, counts = near, self._counts[free]
        for _ in range(_STEPS):
            mean = counts * np.exp(level)
            told = 1 / self._variance(mean, spread)
            residual = self._level[free] - self.noise.level(mean, spread)
            weight = told * (np.abs(residual) < _FAR) / (1 + residual**2 / self.noise.tails)
            level += float((weight * residual / np.sqrt(told)).sum() / max(float(weight.sum()), 1e-12))
        return level

    def _variance(self, mean: Floats, spread: float | Floats) -> Floats:
        return replace(self.noise, dispersion=spread).variance(mean)

    def best(self) -> tuple[float, Cell] | None:
        """The cell whose change explains most beyond its price; None = none does.

        A cell that only takes back what was explained around it is passed over: the wider explanation was wrong.
        """
        aside: list[tuple[Cuboid, int, float]] = []
        found = None
        while found is None:
            at = max(range(len(self.cuboids)), key=lambda place: self.cuboids[place].best()[0], default=None)
            if at is None:
                return None
            cuboid = self.cuboids[at]
            gain, index = cuboid.best()
            if gain <= 0:
                break
            known = self._known[self.members(Cell(at, index))]
            is_undone = np.mean(-known / self._near(Cell(at, index)) > 0.5) > 0.9
            if is_undone or Cell(at, index) in self.explained:
                aside.append((cuboid, index, cuboid.set_aside(index)))
            else:
                found = gain, Cell(at, index)
        for cuboid, index, worth in aside:
            cuboid.put_back(index, worth)
        return found

    def __len__(self) -> int:
        return len(self._seen)

    def members(self, cell: Cell) -> Ints:
        """The leaves of a cell."""
        return np.flatnonzero(self.cuboids[cell.cuboid].cells == cell.index)

    def fitted(self, cell: Cell) -> float:
        """The likeliest effect in a cell."""
        leaves, near = self.members(cell), self._near(cell)
        is_all = near <= EFFECTS.min()
        low, high = _NOTHING if is_all else near - 0.25 - 0.6 * abs(near), near + 0.2 + 0.5 * abs(near)
        for _ in range(2):
            grid = np.linspace(low, high, 17)
            total = self._beside(leaves, grid).sum(axis=0)
            best = int(np.argmax(total))
            low, high = grid[best] - (grid[1] - grid[0]), grid[best] + (grid[1] - grid[0])
        return float(grid[best])

    def parents(self, cell: Cell) -> list[Cell]:
        """The cells around a cell, with one value fewer."""
        dims, leaf = self.cuboids[cell.cuboid].dims, self.members(cell)[0]
        found = []
        for at, cuboid in enumerate(self.cuboids):
            if len(cuboid.dims) == len(dims) - 1 and set(cuboid.dims) < set(dims):
                found.append(Cell(at, int(cuboid.cells[leaf])))
        return found

    def holds(self, parent: Cell, cell: Cell) -> bool:
        """Whether a cell lies in another."""
        is_deeper = set(self.cuboids[parent.cuboid].dims) < set(self.cuboids[cell.cuboid].dims)
        return is_deeper and int(self.cuboids[parent.cuboid].cells[self.members(cell)[0]]) == parent.index

    def _near(self, cell: Cell) -> float:
        return float(self._grid[self.cuboids[cell.cuboid].likeliest(cell.index)])

    def explain(self, cell: Cell, effect: float) -> None:
        """Take an effect as known in a cell."""
        leaves = self.members(cell)
        self._cover[leaves] += cell not in self.explained
        self.explained[cell] = effect
        self._changed(leaves)

    def forget(self, cell: Cell) -> None:
        """Take an effect back."""
        del self.explained[cell]
        leaves = self.members(cell)
        self._cover[leaves] -= 1
        self._changed(leaves)

    def _changed(self, leaves: Ints) -> None:
        self._compose(leaves)
        gains = self._gain(leaves)
        change = gains - self._gains[leaves]
        self._gains[leaves] = gains
        if 8 * len(leaves) > len(self):
            self._mapped(lambda cuboid: cuboid.add(leaves, change), self.cuboids)
        else:
            for cuboid in self.cuboids:
                cuboid.add(leaves, change)

    def _compose(self, leaves: Ints) -> None:
        """The effect of each leaf from those of the cells that it lies in."""
        each = [
            np.where(self.cuboids[cell.cuboid].cells[leaves] == cell.index, effect, 0.0)
            for cell, effect in self.explained.items()
        ]
        known = np.sum(each, axis=0) if each else np.zeros(len(leaves))
        self._known[leaves] = known
        twice = np.flatnonzero(self._cover[leaves] > 1)
        if len(twice):
            effects = np.array(list(self.explained.values()))
            ways = np.stack([known[twice], *(one[twice] for one in each)], axis=1)
            found = self._likelihood(leaves[twice], self.level + ways)
            pattern = (ways[:, 1:] != 0) @ (2 ** np.arange(len(each)))
            blocks, place = np.unique(pattern, return_inverse=True)
            total = np.stack([np.bincount(place, column, len(blocks)) for column in found.T], axis=1)
            total[:, 1:] -= np.where(blocks[:, None] & (1 << np.arange(len(each))) > 0, _ALONE, np.inf)
            best = np.argmax(total, axis=1)
            chosen = np.where(best == 0, np.nan, np.concatenate([[0.0], effects])[best])[place]
            self._known[leaves[twice]] = np.where(np.isnan(chosen), known[twice], chosen)

    def known(self) -> Floats:
        """What is explained in each leaf, as logarithm."""
        return self._known

    def worth(self) -> float:
        """Log likelihood of what is explained, up to a constant of the noise, less the price of its cells."""
        blocks = np.array_split(np.arange(len(self)), -(-len(self) // _BLOCK))
        effects = (self.level + self._known)[:, None]
        price = sum(self.cuboids[cell.cuboid].price for cell in self.explained)
        each = self._mapped(lambda block: float(self._likelihood(block, effects[block]).sum()), blocks)
        return float(sum(each) - price)

    def _gain(self, leaves: Ints) -> Floats:
        if len(leaves) <= _BLOCK:
            return self._beside(leaves, self._grid)
        blocks = np.array_split(leaves, -(-len(leaves) // _BLOCK))
        return np.concatenate(self._mapped(lambda block: self._beside(block, self._grid), blocks))

    def _mapped(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """The function of each, by two threads where there are very many leaves."""
        if len(self) <= _SMALL:
            return [function(item) for item in items]
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(function, items))

    def _beside(self, leaves: Ints, effects: Floats) -> Floats:
        """What more effects would gain, by leaf."""
        known = self.level + self._known[leaves][:, None]
        found = self._likelihood(leaves, np.concatenate([known, known + effects[None, :]], axis=1))
        return found[:, 1:] - found[:, :1]

    def _likelihood(self, leaves: Ints, effects: Floats) -> Floats:
        spread = self.noise.dispersion
        spread = spread[leaves] if isinstance(spread, np.ndarray) else spread
        found = self.noise.likelihood(self._level[leaves], self._counts[leaves], spread, effects)
        return np.where(self._held[leaves][:, None], found, 0.0)


def depth_for(dims: int) -> int:
    """How many dimensions a conjunction may have, so that the cuboids stay few: all of up to 5, 4 of 6, 3 of more."""
    return dims if dims <= 5 else 4 if dims == 6 else 3


def _cuboids(leaves: Leaves, depth: int, price: float) -> Iterator[Cuboid]:
    usable = [at for at, size in enumerate(leaves.sizes) if size > 1]  # one value tells nothing apart
    dims, rows = len(usable), len(leaves)
    columns = [np.ascontiguousarray(leaves.codes[:, at]) for at in usable]
    wider: dict[tuple[int, ...], NDArray[Any]] = {(): np.zeros(rows, dtype=np.int32)}
    for count in range(1, min(depth, dims) + 1):
        deeper = {}
        for places in combinations(range(dims), count):
            chosen = tuple(usable[place] for place in places)
            size = prod(leaves.sizes[at] for at in chosen)
            number: Any = np.int32 if size < 2**31 else np.int64
            around = wider[places[:-1]].astype(number, copy=False)
            cells: NDArray[Any] = around * leaves.sizes[chosen[-1]] + columns[places[-1]]
            if count < min(depth, dims):
                deeper[places] = cells
            if size > 4 * rows:
                own, cells = np.unique(cells, return_inverse=True)
                size = len(own)
            told = log(max(min(size, rows), 2)) + log(comb(dims, count)) + 0.7 * log(min(depth, dims))
            yield Cuboid(chosen, cells.astype(np.int32, copy=False), size, told + price)
        wider = deeper


def _summed(cells: NDArray[np.int32] | Ints, rows: Floats, size: int) -> Floats:
    """Sums of rows by cell; shape (size, columns)."""
    columns = rows.shape[1]
    found: Floats
    if len(cells) < _FEW:
        place = cells[:, None] * columns + np.arange(columns)
        sums = np.bincount(place.ravel(), rows.ravel(), size * columns)
        found = sums.astype(np.float64, copy=False).reshape(size, columns)
    else:
        found = csc_matrix((np.ones(len(cells)), cells, np.arange(len(cells) + 1)), shape=(size, len(cells))) @ rows
    return found
