"""What days would have been by level and weekday, and how far such a forecast strays for a whole horizon."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tidelake.analyses.change.leaves import Floats

Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

WEEK = 7
MOST_WEEKS = 8  # of history that a forecast reads
_KEPT = 0.7  # weight of a week's level beside that of the week after it
_CLIP = 4.0  # robust deviations from days alike beyond which a day teaches no more
_TO_DEVIATION = 1.4826  # a normal variable's standard deviation over its median deviation


@lru_cache(maxsize=512)
def forecast_weights(days: int, ahead: tuple[int, ...]) -> Floats:
    """Weights that make a forecast of the days before it: level of the last weeks, and weekday terms.

    Whole weeks only, so that no weekday counts more in the level than another; a week counts .7 of the week after it,
    for the level, and as much as any other for the weekday terms. Below a week the mean of what is there.

    Args:
        days: Days of history, at least 1.
        ahead: Days from the end of history to the days to forecast, 0 = the next day.

    Returns:
        Shape (days read, len(ahead)): each column sums to 1. `days read` are the last days, at most 8 weeks.
    """
    if days < WEEK:
        return np.full((days, len(ahead)), 1 / days)
    weeks = min(days // WEEK, MOST_WEEKS)
    age = np.arange(weeks * WEEK, 0, -1)
    level = _KEPT ** ((age - 1) // WEEK)
    is_same = (age[:, None] + np.array(ahead)[None, :]) % WEEK == 0
    found: Floats = (level / level.sum())[:, None] + (is_same - 1 / WEEK) / weeks
    return found


@dataclass(frozen=True)
class Rates:
    """Series that have about one level each, after what they share is taken out.

    Attributes:
        values: Shape (series, days): what was measured over what it is compared with; every day has a number.
        taught: The same before the onset, with outliers drawn in: what forecasts read.
        unit: Shape (series, days): what turns a value into units of the metric.
        volume: The same, 0 on days that do not count.
    """

    values: Floats
    taught: Floats
    unit: Floats
    volume: Floats

    def strayed(self, origins: Ints, ahead: Ints, gap: int) -> tuple[Floats, Floats]:
        """Forecast less actual over the days ahead, as if the onset had been at each origin.

        Args:
            origins: First days of the horizons.
            ahead: The horizon's days, from its first one.
            gap: Days right before an origin that are no history.

        Returns:
            Shape (series, origins): sum over the horizon, a share of its volume, nan where fewer than half of its
            days count; and shape (origins, days ahead): the first series' days, nan where they do not count.
        """
        sums = np.empty((len(self.values), len(origins)))
        days = np.empty((len(origins), len(ahead)))
        for place, origin in enumerate(origins):
            off = self.forecast(int(origin), ahead, gap) - self.values[:, origin + ahead]
            volume = self.volume[:, origin + ahead]
            whole = volume.sum(axis=1)
            enough = (whole > 0) & (2 * (volume > 0).sum(axis=1) >= len(ahead))
            sums[:, place] = np.where(enough, (off * volume).sum(axis=1) / np.where(enough, whole, 1.0), np.nan)
            days[place] = np.where(volume[0] > 0, off[0], np.nan)
        return sums, days

    def forecast(self, origin: int, ahead: Ints, gap: int) -> Floats:
        """Shape (series, days ahead): what the days from an origin on would have been."""
        steps = tuple(int(step) + gap for step in ahead)
        weights = forecast_weights(origin - gap, steps)
        found: Floats = self.taught[:, origin - gap - len(weights) : origin - gap] @ weights
        return found


def taught(values: Floats, at: int) -> Floats:
    """History with its outliers drawn in to the days alike around them, shape (series, at).

    A day's like are those of the same weekday up to two weeks before and after; beyond four robust deviations from
    their median it is drawn in to that bound. Below three weeks nothing is known of days alike: as it is.
    """
    history = values[:, :at]
    if at < 3 * WEEK:
        return history
    shifted = np.full((5, *history.shape), np.nan)
    for place, shift in enumerate((-2 * WEEK, -WEEK, 0, WEEK, 2 * WEEK)):
        start, end = max(0, -shift), min(at, at - shift)
        shifted[place, :, start:end] = history[:, start + shift : end + shift]
    middle = _median(shifted)
    off = history - middle
    bound = _CLIP * _TO_DEVIATION * np.median(np.abs(off), axis=1, keepdims=True) * 1.2
    drawn: Floats = middle + np.clip(off, -bound, bound)
    return drawn


def _median(values: Floats) -> Floats:
    """Median over the first axis, of the numbers that are there; at least one is."""
    ordered = np.sort(values, axis=0)  # nan last
    count = (~np.isnan(values)).sum(axis=0)
    low = np.take_along_axis(ordered, ((count - 1) // 2)[None], axis=0)[0]
    high = np.take_along_axis(ordered, (count // 2)[None], axis=0)[0]
    found: Floats = (low + high) / 2
    return found


def day_spread(history: Floats) -> Floats:
    """Standard deviation of a day about its week's level and its weekday's term, by series.

    Args:
        history: Shape (series, days before the onset).

    Returns:
        Shape (series,). Below two weeks the deviation about the mean, which holds the weekday pattern too.
    """
    weeks = min(history.shape[1] // WEEK, MOST_WEEKS)
    if weeks < 2:
        plain: Floats = history.std(axis=1, ddof=1)
        return plain
    blocks = history[:, history.shape[1] - weeks * WEEK :].reshape(len(history), weeks, WEEK)
    blocks = blocks - blocks.mean(axis=2, keepdims=True)
    blocks = blocks - blocks.mean(axis=1, keepdims=True)
    found: Floats = np.sqrt((blocks**2).sum(axis=(1, 2)) / ((weeks - 1) * (WEEK - 1)))
    return found


def filled(values: Floats, known: Bools) -> Floats:
    """A series with every gap set to the mean of the nearest known days of its weekday before and after.

    Args:
        values: Shape (days,).
        known: Shape (days,).

    Returns:
        Shape (days,). Where no day of the weekday is known, the mean of all known days; zeros where none is.
    """
    found = np.where(known, values, 0.0)
    if known.all():
        return found
    overall = float(found[known].mean()) if known.any() else 0.0
    for day in np.flatnonzero(~known):
        alike = np.arange(day % WEEK, len(values), WEEK)
        alike = alike[known[alike]]
        near = [*alike[alike < day][-1:], *alike[alike > day][:1]]
        found[day] = float(values[near].mean()) if near else overall
    return found
