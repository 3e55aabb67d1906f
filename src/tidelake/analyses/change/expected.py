"""What each day would have been, had an earlier history gone on."""

from __future__ import annotations

import numpy as np

from tidelake.analyses.change.fitted import Bools, Ints, fit, series, step_columns
from tidelake.analyses.change.leaves import Floats
from tidelake.analyses.change.onset import earlier_steps
from tidelake.errors import DefinitionError


def expected(
    values: Floats, weekdays: Ints, at: int, *, known: Bools | None = None, counts: Floats | None = None
) -> Floats:
    """What each day would have been, had the history before `at` gone on.

    Weekdays, level and a trend (a slow one; steeper only where the history shows it) fitted to the days before `at`
    that count, outliers left out. Steps within that history are fitted too, so that the level is the newest one.

    Args:
        values: Shape (days,); nan = the day does not count. What comes at `at` or later is not read.
        weekdays: Shape (days,): 0 = Monday. A weekday that the history never saw gets the level of all.
        at: First day of what is not to be read.
        known: Shape (days,): False = the day does not count.
        counts: How many events a day's value rests upon, see `onset`.

    Returns:
        Shape (days,), in the unit of `values`: the mean that was to be expected, also for days that do not count.
        With a single week before `at` each day is drawn from one value only.

    Raises:
        DefinitionError: Shapes differ, or no day before `at` counts.
    """
    before = np.arange(len(values)) < at
    one = series(values, weekdays, known=before if known is None else known & before, counts=counts).newest()
    if not len(one.days):
        raise DefinitionError(f"No day before {at} counts: nothing tells what was to be expected.")
    starts = earlier_steps(one)
    columns = step_columns(np.arange(len(one.days)), starts)
    fitted = fit(one, columns)
    names = list(dict.fromkeys(np.asarray(weekdays)[one.days].tolist()))
    coded = {name: int(one.labels[np.asarray(weekdays)[one.days] == name][0]) for name in names}
    labels = np.array([coded.get(name, -1) for name in np.asarray(weekdays).tolist()], dtype=np.int64)
    days = np.arange(len(values), dtype=np.int64)
    first_days = [int(one.days[start]) for start in starts]
    levels = fitted.levels(one, days, labels, columns, step_columns(days, first_days))
    found = one.values(levels)
    usual = np.setdiff1d(np.arange(len(one.days)), np.array(fitted.outliers, dtype=np.int64))
    if one.scale != "plain" and len(usual) and found[one.days[usual]].sum() > 0:
        # A level is a median; sums want means (N. Duan, Journal of the American Statistical Association 78, 1983).
        found = found * (one.values(one.levels[usual]).sum() / found[one.days[usual]].sum())
    return found
