"""Values that came with a change: what they are to be compared with, since they have no past of their own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tidelake.analyses.change.days import Days
from tidelake.analyses.change.leaves import Floats, column, encoded

_MUCH = 0.05  # of what is seen
_TAKEN = 0.4  # of what newcomers hold, that others lost


def newcomers(days: Days, before: Floats, after: Floats) -> dict[str, frozenset[str]]:
    """The values of each dimension that were not there before.

    Args:
        before: Weights of the days before.
        after: Weights of the days after.

    Returns:
        Only dimensions that have some; of a ratio those without a denominator before.
    """
    found = {}
    for dim in days.dims:
        lines = days.lines([dim])
        held = lines.numerator if lines.denominator is None else lines.denominator
        is_new = (held @ before <= 0) & (held @ after > 0)
        if is_new.any():
            found[dim] = frozenset(name[0] for name, fresh in zip(lines.names, is_new, strict=True) if fresh)
    return found


def take_from_others(days: Days, dim: str, values: frozenset[str], before: Floats, after: Floats) -> bool:
    """Whether newcomers hold much that the other values lost, as a release does, and is not added to them."""
    lines = days.lines([dim])
    old, new = lines.numerator @ before, lines.numerator @ after
    own = np.array([name[0] in values for name in lines.names])
    came, lost = float(new[own].sum()), float(old[~own].sum() - new[~own].sum())
    return came > _MUCH * float(new.sum()) and lost > _TAKEN * came


def predecessor(cell: Mapping[str, str], fresh: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """A cell without its values that were not there before: who is in it now was in the rest of it."""
    return {dim: value for dim, value in cell.items() if value not in fresh.get(dim, frozenset())}


def rates_of_predecessors(table: pa.Table, days: Days, fresh: Mapping[str, frozenset[str]]) -> Floats | None:
    """What the rate of leaves without a past was expected to be: that of the leaves that agree in all other dimensions.

    Args:
        table: Leaves of a ratio.
        fresh: Newcomers by dimension.

    Returns:
        Shape (leaves,); nan where a leaf has a past of its own. None without newcomers.
    """
    if not fresh:
        return None
    dims = days.dims
    above, below = column(table, "num_predict"), column(table, "den_predict")
    values, codes = encoded(table, dims, weight=below, most=table.num_rows + 1)
    is_new = np.zeros(codes.shape, dtype=bool)
    for at, dim in enumerate(dims):
        own = np.array([value in fresh.get(dim, frozenset()) for value in values[at]])
        is_new[:, at] = own[codes[:, at]]
    found = np.full(len(codes), np.nan)
    whole = float(above.sum()) / float(below.sum()) if below.sum() > 0 else np.nan
    for pattern in np.unique(is_new, axis=0):
        if not pattern.any():
            continue
        asked = (is_new == pattern).all(axis=1)
        keys, place = np.unique(codes[:, ~pattern], axis=0, return_inverse=True)
        sums = [np.bincount(place.reshape(-1), part, len(keys)) for part in (above, below)]
        rate = np.where(sums[1] > 0, sums[0] / np.where(sums[1] > 0, sums[1], 1.0), whole)
        found[asked] = rate[place.reshape(-1)[asked]]
    return found
