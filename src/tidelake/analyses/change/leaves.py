"""Leaves: one row for each combination of all dimensions, with what was counted and what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidelake.errors import DefinitionError, UnknownNameError

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Bools = NDArray[np.bool_]
UNKNOWN = "(unknown)"
OTHER = "(other)"
MOST_VALUES = 1_000  # of one dimension; what weighs less is `(other)`


@dataclass(frozen=True)
class Leaves:
    """What was counted in each combination of dimensions beside what was expected there.

    Attributes:
        dims: Names of the dimensions.
        values: For each dimension its values, in the order of their codes.
        codes: Shape (leaves, dims): which value a leaf has.
        actual: What was counted, not negative.
        expected: What was expected, in the same unit.
        counts: How many observations `expected` stands for: its sampling error falls with them. For a sum that is
            `expected` itself, for a ratio's numerator the denominator.
        dispersion: Variance of one observation over the square of its mean, by leaf, where that is known (a share:
            (1 - p) / p); None = to be found in the data.
    """

    dims: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    codes: Codes
    actual: Floats
    expected: Floats
    counts: Floats
    dispersion: Floats | None = None

    def __len__(self) -> int:
        return len(self.actual)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each dimension has."""
        return tuple(len(values) for values in self.values)

    @property
    def is_of_counts(self) -> bool:
        """Whether `actual` counts things one by one, so that chance alone spreads it like a Poisson count."""
        return self.counts is self.expected and bool(np.array_equal(self.actual, np.round(self.actual)))

    @staticmethod
    def is_bounded(values: Sequence[str]) -> bool:
        """Whether the lightest of a dimension's values were taken together."""
        return len(values) == MOST_VALUES and values[-1] == OTHER

    def turned(self) -> Leaves:
        """Actual and expected exchanged: a rise becomes a fall."""
        counts = self.actual if self.counts is self.expected else self.counts
        return replace(self, actual=self.expected, expected=self.actual, counts=counts)

    def where(self, cause: Mapping[str, str]) -> Bools:
        """Which leaves a conjunction of values holds."""
        held = np.ones(len(self), dtype=bool)
        for name, value in cause.items():
            at = self.dims.index(name)
            held &= self.codes[:, at] == self.values[at].index(value)
        return held


def encoded(
    table: pa.Table, dims: Sequence[str], *, weight: Floats | None = None, most: int = MOST_VALUES
) -> tuple[tuple[tuple[str, ...], ...], Codes]:
    """The values of each dimension, and which of them each row has.

    Null is `(unknown)`. Of a dimension with more than `most` values the heaviest stay; all others are `(other)`.

    Args:
        weight: What each row weighs, shape (rows,); None = all alike.

    Raises:
        UnknownNameError: The table has no such column.
    """
    values, codes = [], np.empty((table.num_rows, len(dims)), dtype=np.int32)
    for at, name in enumerate(dims):
        if name not in table.column_names:
            raise UnknownNameError("dimension", name, table.column_names)
        found = pc.fill_null(table[name].cast(pa.string()), UNKNOWN).combine_chunks().dictionary_encode()
        names: list[str] = found.dictionary.to_pylist()
        order = np.argsort(np.asarray(names, dtype=object), kind="stable")
        rank = np.empty(len(order), dtype=np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        own = rank[found.indices.to_numpy()] if len(order) else np.empty(0, dtype=np.int32)
        sorted_names = tuple(names[index] for index in order)
        if len(order) > most:
            heaviest = np.argsort(-np.bincount(own, weight, len(order)), kind="stable")[: most - 1]
            kept = np.sort(heaviest)
            place = np.full(len(order), len(kept), dtype=np.int32)
            place[kept] = np.arange(len(kept), dtype=np.int32)
            sorted_names, own = (*(sorted_names[index] for index in kept), OTHER), place[own]
        values.append(sorted_names)
        codes[:, at] = own
    return tuple(values), codes


def column(table: pa.Table, name: str) -> Floats:
    """A column of numbers; null is 0: a combination that occurs on one side only has nothing on the other.

    Raises:
        UnknownNameError: The table has no such column.
        DefinitionError: A value is infinite or not a number.
    """
    if name not in table.column_names:
        raise UnknownNameError("column", name, table.column_names)
    filled = pc.fill_null(table[name].cast(pa.float64()), 0.0)
    found = np.ascontiguousarray(filled.combine_chunks().to_numpy(zero_copy_only=False), dtype=np.float64)
    if not np.isfinite(found).all():
        count = int((~np.isfinite(found)).sum())
        raise DefinitionError(
            f"Column '{name}' has {count} values that are infinite or not a number.",
            hint="Leave out such rows, or make them null: null counts as nothing.",
        )
    return found
