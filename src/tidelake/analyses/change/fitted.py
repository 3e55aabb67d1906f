"""A daily series: its scale, its noise, its weekdays, trend, outliers and steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tidelake.analyses.change.leaves import Floats
from tidelake.errors import DefinitionError

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Scale = Literal["log", "root", "plain"]

WINDOW = 126  # days: older ones say nothing of the newest level that these do not
OUTLIER = 12.0  # what a day of its own must explain, in squared standard deviations: about one day of 100 is one
USUAL_PERSISTENCE = 0.3  # autocorrelation from day to day, where there is too little history to tell
_PERSISTENCE_DAYS = 30  # of history, that this is worth
_FREE = 300.0  # prior of a weekday's level and of the whole level, in standard deviations: none, in effect
_SLOPE = 0.03  # prior of the trend, standard deviations a day: a slow one
_FREE_SLOPE = 10.0
STEEP_FROM = 21  # days from which a steep trend can be told from a step
SLOPE_COSTS = 9.0  # what a steeper trend must explain, in squared standard deviations
_LEAST_NOISE: dict[Scale, float] = {"log": 0.002, "root": 0.5, "plain": 0.002}
_FEW = 50.0  # counts below vary as Poisson counts do, by more than an outlier's size
_MEDIAN_DEVIATION = 1.4826  # a standard deviation over the median absolute one
_USUAL_NOISE = 0.03  # of a daily metric, relative
_NOISE_DAYS = 15.0  # that this is worth
_UNUSUAL = 0.5  # logarithm of a ratio to it, at which it is worth half of that
_TINY = 1e-9


@dataclass(frozen=True)
class Series:
    """The days of a series that count, on a scale where its weekday pattern is added and its noise is even.

    Attributes:
        days: Shape (known,): position of each day that counts.
        levels: Shape (known,): values on the scale, from their median.
        labels: Shape (known,): weekday.
        scale: `log` where all values are positive, or few are zero (then the logarithm of the value and a hundredth
            of the median); `root` for small counts; `plain` where a value is negative or most are zero.
        middle: Median level, taken off.
        offset: Added before the logarithm.
        unit: Divides values on the plain scale.
        noise: Shape (known,): standard deviation of each day over that of a usual day.
        floor: Least standard deviation that is believed.
    """

    days: Ints
    levels: Floats
    labels: Ints
    scale: Scale
    middle: float
    offset: float
    unit: float
    noise: Floats
    floor: float

    def values(self, levels: Floats) -> Floats:
        """Levels in the unit of the values."""
        whole = levels + self.middle
        if self.scale == "log":
            return np.maximum(np.exp(whole) - self.offset, 0.0)
        if self.scale == "root":
            return np.maximum((np.maximum(whole, 0.0) / 2) ** 2 - self.offset, 0.0)
        return whole * self.unit

    def newest(self, window: int = WINDOW) -> Series:
        """The same without days that are older than `window` days before the last."""
        return self.where(self.days > self.days[-1] - window) if len(self.days) else self

    def where(self, kept: Bools) -> Series:
        """The same with fewer days; `kept` has shape (known,)."""
        return replace(
            self, days=self.days[kept], levels=self.levels[kept], labels=self.labels[kept], noise=self.noise[kept]
        )


def series(values: Floats, weekdays: Ints, *, known: Bools | None = None, counts: Floats | None = None) -> Series:
    """The days that count, on the scale that fits them.

    Args:
        values: Shape (days,); nan = the day does not count.
        weekdays: Shape (days,): 0 = Monday; any small set of labels will do for another season.
        known: Shape (days,): False = the day does not count.
        counts: Shape (days,): how many events the value of a day rests upon (for a ratio those above the line), so
            that days of few are believed less.

    Raises:
        DefinitionError: Shapes differ.
    """
    if not len(values) == len(weekdays) == (len(values) if known is None else len(known)):
        message = f"A day is one value and one weekday: got {len(values)} values and {len(weekdays)} weekdays."
        raise DefinitionError(message)
    is_known = np.isfinite(values) if known is None else np.isfinite(values) & known
    days = np.flatnonzero(is_known).astype(np.int64)
    found = np.asarray(values, dtype=np.float64)[days]
    labels = np.unique(np.asarray(weekdays)[days], return_inverse=True)[1].astype(np.int64)
    scale, offset, unit = _scale(found)
    if scale == "log":
        levels = np.log(found + offset)
    elif scale == "root":
        levels = 2 * np.sqrt(found + offset)
    else:
        levels = found / unit
    middle = float(np.median(levels)) if len(levels) else 0.0
    noise = np.ones(len(days))
    if counts is not None and scale == "log":
        noise = _sampled(levels - middle, labels, np.asarray(counts, dtype=np.float64)[days])
    return Series(days, levels - middle, labels, scale, middle, offset, unit, noise, _LEAST_NOISE[scale])


def _scale(found: Floats) -> tuple[Scale, float, float]:
    """The scale of values, what is added before it, what divides them."""
    if not len(found):
        return "plain", 0.0, 1.0
    middle = float(np.median(found))
    if found.min() >= 0 and middle > 0:
        is_counted = middle < _FEW and bool(np.array_equal(found, np.round(found)))
        if is_counted:
            return "root", 0.375, 1.0
        return "log", (0.01 * middle if found.min() <= 0 else 0.0), 1.0
    if found.min() >= 0 and bool(np.array_equal(found, np.round(found))):
        return "root", 0.375, 1.0
    return "plain", 0.0, float(np.mean(np.abs(found))) or 1.0


def _sampled(levels: Floats, labels: Ints, counts: Floats) -> Floats:
    """Standard deviation of each day over the usual one, where a day of `counts` events varies by 1 / counts."""
    chance = 1 / np.maximum(counts, 1.0)
    common = max(rough_noise(levels, labels) ** 2 - float(np.median(chance)), 0.0)
    spread = common + chance
    relative: Floats = np.sqrt(spread / np.median(spread))
    return relative


def rough_noise(levels: Floats, labels: Ints) -> float:
    """Standard deviation from day to day by differences to the same weekday before: one step hardly moves it."""
    lag = int(labels.max()) + 1 if len(labels) else 1
    if len(levels) <= lag + 2:
        lag = 1
    if len(levels) < 3:
        return 0.0
    apart = levels[lag:] - levels[:-lag]
    return float(np.median(np.abs(apart - np.median(apart)))) * _MEDIAN_DEVIATION / float(np.sqrt(2))


def precision(one: Series, *, persistence: float, is_steep: bool = False) -> Floats:
    """Inverse covariance of the levels of a series without a step, in units of its noise.

    Weekdays and level are free, the trend is slow or free, noise persists from one day to the next (AR(1)); days that
    do not count lie between others as they do in time.

    Returns:
        Shape (known, known).
    """
    apart = np.abs(one.days[:, None] - one.days[None, :])
    covariance = persistence**apart * np.outer(one.noise, one.noise)
    covariance += _FREE**2 * (1.0 + (one.labels[:, None] == one.labels[None, :]))
    along = (one.days - one.days.mean()).astype(np.float64)
    covariance += (_FREE_SLOPE if is_steep else _SLOPE) ** 2 * np.outer(along, along)
    return np.asarray(np.linalg.inv(covariance), dtype=np.float64)


def without(inverse: Floats, columns: Floats) -> Floats:
    """The inverse covariance when the levels along `columns`, shape (known, terms), are free."""
    for column in columns.T:
        along = inverse @ column
        size = float(column @ along)
        if size > _TINY:
            inverse = inverse - np.outer(along, along) / size
    return inverse


def persistence_of(one: Series, inverse: Floats, used: float, *, terms: int) -> float:
    """Autocorrelation from day to day of what a model leaves, drawn to the usual one where days are few."""
    left = inverse @ one.levels
    noise = (used ** np.abs(one.days[:, None] - one.days[None, :]) * np.outer(one.noise, one.noise)) @ left / one.noise
    next_to = np.diff(one.days) == 1
    total = float(noise @ noise)
    if total <= _TINY or not next_to.any():
        return USUAL_PERSISTENCE
    days = int(next_to.sum())
    found = float(noise[1:][next_to] @ noise[:-1][next_to]) / total * len(noise) / days
    found += (1 + terms * 0.5) / len(noise)  # a fitted level takes some away: about one part in n for each term
    drawn = (days * found + _PERSISTENCE_DAYS * USUAL_PERSISTENCE) / (days + _PERSISTENCE_DAYS)
    return float(np.clip(drawn, 0.0, 0.9))


@dataclass(frozen=True)
class Noise:
    """How much a usual day strays, as far as the days tell.

    Attributes:
        variance: Of a usual day, on the scale.
        own_days: Days that tell of it: known ones without what was fitted.
        prior_days: Days that the usual noise of such series is worth; fewer where it is far from what was found.
        prior_variance: The usual one.
        floor: Least variance that is believed.
    """

    variance: float
    own_days: float
    prior_days: float
    prior_variance: float
    floor: float

    @property
    def days(self) -> float:
        """Degrees of freedom of the variance."""
        return self.own_days + self.prior_days

    @property
    def outlier(self) -> float:
        """What a day must explain to be an outlier, a squared deviation: more where days are few."""
        return self.variance * float(self.days * np.expm1(OUTLIER / self.days))

    def found(self, left: float, taken: float) -> Noise:
        """The noise when a sum of squares of `left` remains and `taken` days were taken for outliers."""
        own = max(self.own_days - taken, 3.0)
        far = np.log(max(left / own, self.floor) / self.prior_variance) / 2 / _UNUSUAL if self.prior_variance else 0.0
        days = float(_NOISE_DAYS / (1 + far**2)) if self.prior_variance else 0.0
        variance = (left + days * self.prior_variance) / (own + days)
        return replace(self, variance=max(float(variance), self.floor), prior_days=days)


def prior_noise(one: Series, own_days: float, variance: float) -> Noise:
    """The noise before anything was fitted: a rough guess of its variance, the usual one on the log scale only."""
    usual = _USUAL_NOISE**2 if one.scale == "log" else 0.0
    start = Noise(variance, own_days, 0.0, usual, one.floor**2)
    return start.found(variance * own_days, 0.0)


def outliers(one: Series, inverse: Floats, worth: float) -> tuple[Floats, list[int]]:
    """Days that nothing but themselves explains: squared deviations of `worth` or more, the largest first.

    Returns:
        The inverse covariance without them, and their indices among the days that count.
    """
    found: list[int] = []
    for _ in range(len(one.days) // 14 + 2):
        left, size = inverse @ one.levels, np.diag(inverse)
        gains = np.where(size > 1e-6, left**2 / np.maximum(size, 1e-6), 0.0)
        if len(gains) == 0 or gains.max() <= worth:
            break
        worst = int(gains.argmax())
        found.append(worst)
        inverse = inverse - np.outer(inverse[worst], inverse[worst]) / inverse[worst, worst]
    return inverse, found


@dataclass(frozen=True)
class Fit:
    """Weekdays, level, trend, outliers and steps of a series.

    Attributes:
        inverse: Shape (known, known): inverse covariance without steps, outliers taken out, in units of `variance`.
        effects: Shape (steps,): height of each step on the scale.
        covariance: Shape (steps, steps): theirs.
        variance: Of a usual day, on the scale.
        outliers: Indices of days, among those that count, that nothing else explains.
        persistence: Autocorrelation from day to day.
        is_steep: Whether the trend is more than a slow one.
    """

    inverse: Floats
    effects: Floats
    covariance: Floats
    variance: float
    outliers: tuple[int, ...]
    persistence: float
    is_steep: bool

    def levels(self, one: Series, days: Ints, labels: Ints, columns: Floats, to_columns: Floats) -> Floats:
        """Fitted levels, shape (days,), of any days with their labels; steps along `columns`, there `to_columns`."""
        around = one.days.mean()
        shared = _FREE**2 * (1.0 + (labels[:, None] == one.labels[None, :]))
        slope = _FREE_SLOPE if self.is_steep else _SLOPE
        shared += slope**2 * np.outer(days - around, one.days - around)
        level: Floats = shared @ (self.inverse @ (one.levels - columns @ self.effects)) + to_columns @ self.effects
        return level


def step_columns(days: Ints, starts: list[int]) -> Floats:
    """A column for each step: 0 before, 1 from its day on; shape (days, steps)."""
    return (days[:, None] >= np.array(starts, dtype=np.int64)[None, :]).astype(np.float64)


def fit(one: Series, columns: Floats) -> Fit:
    """Fit a series with steps along `columns`, shape (known, steps)."""
    terms = len(np.unique(one.labels)) + columns.shape[1]
    noise = prior_noise(one, max(len(one.days) - terms, 3.0), max(rough_noise(one.levels, one.labels), one.floor) ** 2)
    persistence = used = USUAL_PERSISTENCE
    is_steep = False
    for attempt in range(2):
        used = persistence
        bare = precision(one, persistence=used)
        inverse, found = outliers(one, without(bare, columns), noise.outlier)
        cost = float(one.levels @ inverse @ one.levels) / noise.variance + OUTLIER * len(found)
        if attempt and len(one.days) >= STEEP_FROM:
            steep = precision(one, persistence=used, is_steep=True)
            inverse_steep, found_steep = outliers(one, without(steep, columns), noise.outlier)
            cost_steep = float(one.levels @ inverse_steep @ one.levels) / noise.variance + OUTLIER * len(found_steep)
            if cost_steep + SLOPE_COSTS < cost:
                bare, inverse, found, is_steep = steep, inverse_steep, found_steep, True
        noise = noise.found(float(one.levels @ inverse @ one.levels), len(found))
        persistence = persistence_of(one, inverse, used, terms=terms)
    for index in found:
        if bare[index, index] > _TINY:
            bare = bare - np.outer(bare[index], bare[index]) / bare[index, index]
    size = columns.T @ bare @ columns
    spread: Floats = np.zeros((0, 0))
    if columns.shape[1]:
        spread = np.asarray(np.linalg.pinv(size, hermitian=True), dtype=np.float64)
    effects = spread @ (columns.T @ (bare @ one.levels))
    return Fit(bare, effects, spread * noise.variance, noise.variance, tuple(found), used, is_steep)
