"""How far a forecast from a series' own history strays, by the spread of its days before."""

from __future__ import annotations

import numpy as np
from scipy.linalg import toeplitz  # type: ignore[import-untyped]
from scipy.stats import t as student  # type: ignore[import-untyped]

from tidelake.analyses.change.controls import Window
from tidelake.analyses.change.leaves import Floats
from tidelake.analyses.change.seasonal import MOST_WEEKS, WEEK, Bools, Ints, day_spread, forecast_weights

_CORRELATION = 0.3  # of a day with the next one
_LEAST_KNOWN = 0.8  # of the days, for weekday terms to be told from chance


def own_spread(history: Floats, known: Bools, window: Window, weights: Floats, level: float) -> tuple[float, float]:
    """Half the width of the interval of a weighted mean of the days ahead, and of a single day.

    The days of history and those ahead are taken to vary about level and weekday terms as the days of history do, each
    correlated .3 with the one before; the forecast's own error counts. Below two weeks, or where a fifth of the days is
    missing, they vary about one level, the weekday pattern with them. A level that drifts is not covered.

    Args:
        history: Shape (days,), outliers drawn in, gaps filled.
        known: Shape (days,): days that were not filled; filled ones say nothing of how days vary.
        window: Where history ends, and which days are ahead.
        weights: Shape (days ahead,), of sum 1.
        level: Of the interval.
    """
    days = len(history)
    weeks = min(days // WEEK, MOST_WEEKS)
    if weeks > 1 and known.mean() >= _LEAST_KNOWN:
        spread, freedom = float(day_spread(history[None, :])[0]), (weeks - 1) * (WEEK - 1)
    else:
        spread, freedom = float(history[known].std(ddof=1)), int(known.sum()) - 1
    half = spread * float(student.ppf(0.5 + level / 2, freedom))
    first = np.zeros(len(weights))
    first[0] = 1.0
    return half * _relative(days, window, weights), half * _relative(days, window, first)


def _relative(days: int, window: Window, weights: Floats) -> float:
    """Standard deviation of the error of a weighted forecast, by that of a day."""
    steps: Ints = window.ahead + window.gap
    taught = forecast_weights(days, tuple(int(step) for step in steps)) @ weights
    whole = np.zeros(len(taught) + int(steps[-1]) + 1)
    whole[: len(taught)] = taught
    whole[len(taught) + steps] -= weights
    return float(np.sqrt(whole @ toeplitz(_CORRELATION ** np.arange(len(whole))) @ whole))
