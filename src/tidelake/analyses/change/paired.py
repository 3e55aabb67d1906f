"""Two sums over the same days and dimensions as one ratio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidelake.analyses.change.days import Calendar, Cells, Days, Lines, table_of
from tidelake.analyses.change.leaves import Floats
from tidelake.errors import DefinitionError


class PairedDays:
    """The ratio of two sums.

    Args:
        above: The numerator.
        below: The denominator, by the same dimensions.

    Raises:
        DefinitionError: One is a ratio itself, or the dimensions differ.
    """

    is_ratio = True

    def __init__(self, above: Days, below: Days) -> None:
        if above.is_ratio or below.is_ratio or above.dims != below.dims:
            raise DefinitionError("A ratio is made of two sums by the same dimensions.")
        self._above, self._below = above, below
        self.dims = above.dims
        first = max(above.calendar.first, below.calendar.first)
        last = min(one.day(len(one) - 1) for one in (above.calendar, below.calendar))
        size = (last - first).days + 1
        if size < 1:
            raise DefinitionError("The two sums have no day in common.")
        known = [one.known[one.at(first) : one.at(first) + size] for one in (above.calendar, below.calendar)]
        self.calendar = Calendar(first, known[0] & known[1])

    def lines(self, by: Sequence[str] = (), *, within: Cells | None = None, outside: Cells = ()) -> Lines:
        """Daily numbers by some dimensions."""
        both = [days.lines(by, within=within, outside=outside) for days in (self._above, self._below)]
        names = tuple(sorted({name for lines in both for name in lines.names}))
        parts = [
            self._aligned(lines, names, days) for lines, days in zip(both, (self._above, self._below), strict=True)
        ]
        return Lines(names, parts[0], parts[1])

    def _aligned(self, lines: Lines, names: tuple[tuple[str, ...], ...], days: Days) -> Floats:
        start = days.calendar.at(self.calendar.first)
        found = np.zeros((len(names), len(self.calendar)))
        rows = dict(zip(lines.names, lines.numerator, strict=True))
        for at, name in enumerate(names):
            if name in rows:
                found[at] = rows[name][start : start + len(self.calendar)]
        return found

    def table(self, by: Sequence[str]) -> pa.Table:
        """Daily numbers by some dimensions as a table."""
        return table_of(self, by)

    def least(self) -> float:
        """The smallest number of a row; 0 where there are none."""
        return min(self._above.least(), self._below.least())

    def leaves(self, before: Floats, after: Floats) -> pa.Table:
        """The days added up with two sets of weights."""
        tables = []
        for days, names in ((self._above, ("num_real", "num_predict")), (self._below, ("den_real", "den_predict"))):
            weights = [self._stretched(days.calendar, one) for one in (before, after)]
            tables.append(days.leaves(*weights).rename_columns([*self.dims, *names]))
        if not self.dims:
            return pa.table({name: table[name] for table in tables for name in table.column_names})
        joined = tables[0].join(tables[1], keys=list(self.dims), join_type="full outer")
        joined = joined.sort_by([(name, "ascending") for name in self.dims])
        filled = {name: joined[name] for name in self.dims}
        filled |= {
            name: pc.fill_null(joined[name], 0.0) for name in ("num_real", "num_predict", "den_real", "den_predict")
        }
        return pa.table(filled)

    def _stretched(self, calendar: Calendar, weights: Floats) -> Floats:
        found = np.zeros(len(calendar))
        start = calendar.at(self.calendar.first)
        found[start : start + len(weights)] = weights
        return found
