"""Why a cause lies at this level and at no other: what happened in its parents and its children."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tidelake.analyses.change.leaves import Bools, Leaves
from tidelake.errors import UnknownNameError


@dataclass(frozen=True)
class Neighbour:
    """A cause, or a combination next to it.

    Attributes:
        kind: The cause itself, a parent (one value fewer) or a child (one value more).
        dim: The dimension dropped, or added; None for the cause.
        values: Dimension: value.
        actual: What was counted in it.
        expected: What was expected in it.
        effect: Actual over expected, minus 1; None where nothing was expected.
        effect_elsewhere: For a parent: the effect in what it has beyond the cause; about 0 where the cause is all that
            changed in it. None for others, and where there is nothing else.
    """

    kind: Literal["cause", "parent", "child"]
    dim: str | None
    values: dict[str, str]
    actual: float
    expected: float
    effect: float | None
    effect_elsewhere: float | None = None


def neighbours(leaves: Leaves, cause: Mapping[str, str]) -> tuple[Neighbour, ...]:
    """A cause beside its parents and children, with exact sums.

    A cause is named at the right level where its parents changed in the cause only, and where its children changed all
    alike.

    Args:
        leaves: What was searched (`Localised.leaves`).
        cause: Dimension: value (`Cause.values`).

    Returns:
        The cause; a parent for each of its dimensions, in the order of the leaves' dimensions (that of one dimension
        has all leaves as its parent, without values); the children by each further dimension, the largest expected
        first.

    Raises:
        UnknownNameError: The leaves have no such dimension or value.
    """
    for name, value in cause.items():
        if name not in leaves.dims:
            raise UnknownNameError("dimension", name, leaves.dims)
        known = leaves.values[leaves.dims.index(name)]
        if value not in known:
            raise UnknownNameError("value", value, known, where=f"dimension '{name}'")
    named = {name: cause[name] for name in leaves.dims if name in cause}
    held = leaves.where(named)
    rows = [Neighbour("cause", None, named, *_sums(leaves, held))]
    for name in named:
        rest = {other: value for other, value in named.items() if other != name}
        around = leaves.where(rest)
        elsewhere = _sums(leaves, around & ~held)[2]
        rows.append(Neighbour("parent", name, rest, *_sums(leaves, around), elsewhere))
    inside = np.flatnonzero(held)
    for at, name in enumerate(leaves.dims):
        if name in named:
            continue
        codes, size = leaves.codes[inside, at], leaves.sizes[at]
        actual = np.bincount(codes, leaves.actual[inside], size)
        expected = np.bincount(codes, leaves.expected[inside], size)
        occurs = np.flatnonzero(np.bincount(codes, minlength=size))
        for code in occurs[np.argsort(-expected[occurs], kind="stable")]:
            sums = float(actual[code]), float(expected[code])
            rows.append(Neighbour("child", name, {**named, name: leaves.values[at][code]}, *sums, _effect(*sums)))
    return tuple(rows)


def _sums(leaves: Leaves, held: Bools) -> tuple[float, float, float | None]:
    actual, expected = float(leaves.actual[held].sum()), float(leaves.expected[held].sum())
    return actual, expected, _effect(actual, expected)


def _effect(actual: float, expected: float) -> float | None:
    return actual / expected - 1 if expected > 0 else None
