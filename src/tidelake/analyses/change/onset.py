"""Since when a daily series stands at another level, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc

import numpy as np

from tidelake.analyses.change.fitted import (
    OUTLIER,
    SLOPE_COSTS,
    STEEP_FROM,
    USUAL_PERSISTENCE,
    Bools,
    Fit,
    Ints,
    Noise,
    Series,
    fit,
    outliers,
    persistence_of,
    precision,
    prior_noise,
    rough_noise,
    series,
    step_columns,
    without,
)
from tidelake.analyses.change.leaves import Floats
from tidelake.errors import DefinitionError

THRESHOLD = 3.7
NAMED_THRESHOLD = 2.0
_LEAST_AFTER = 2
_LEAST_BEFORE = 7
_MOST_STEPS = 4
_STAGES = 7  # days within which two steps one way are one change that arrives in stages
_HISTORY = 21  # days from which steps within a history are looked for
_HISTORY_THRESHOLD = 5.0
_LOOKS = 100.0  # independent standard normal deviates whose largest behaves as a score does where nothing happened
_EPISODE = 14  # days that a fall may last and be over
_PART = 1.3  # of the effect, that the day in which it begins may have
_LEVEL = 0.9
_SAME = 0.05  # of autocorrelation


@dataclass(frozen=True)
class Onset:
    """Where a new level begins.

    Attributes:
        at: Position of its first day.
        low: First day of the 90 % interval of `at`.
        high: Last day of it.
        effect: Relative change of the level: -.17 = a fall by 17 %.
        score: How many standard deviations the step is from none, the noise's own uncertainty, weekdays, trend and
            outliers taken into account.
    """

    at: int
    low: int
    high: int
    effect: float
    score: float


@dataclass(frozen=True)
class _Sweep:
    """A step tried at each day: `costs` is what is left unexplained in squared standard deviations, the least best."""

    costs: Floats
    starts: Ints
    freedom: float
    none: float

    @property
    def best(self) -> int:
        return int(self.starts[self.costs.argmin()])

    @property
    def score(self) -> float:
        """Root of the likelihood ratio of the best step to none, as a standard normal deviate.

        Small samples: D. L. Wallace, Annals of Mathematical Statistics 30 (1959), on Student's t.
        """
        gain = max(self.none - float(self.costs.min()), 0.0)
        return float((8 * self.freedom + 1) / (8 * self.freedom + 3) * np.sqrt(gain))


def _swept(one: Series, others: list[int], starts: Ints) -> _Sweep:
    """A step at each of `starts` (indices of days that count), beside steps at `others`."""
    size = len(one.days)
    columns = step_columns(np.arange(size), others)
    terms = len(np.unique(one.labels)) + len(others) + 1
    noise = prior_noise(one, max(size - terms, 3.0), max(rough_noise(one.levels, one.labels), one.floor) ** 2)
    used = persistence = USUAL_PERSISTENCE
    costs = np.zeros(0)
    for _ in range(2):
        used = persistence
        inverse = without(precision(one, persistence=used), columns)
        left, taken = _tried(one, inverse, starts, noise.outlier)
        costs = _costs(left, taken, noise)
        best = 1 + int(costs[1:].argmin())
        noise = noise.found(float(left[best]), float(taken[best]))
        with_best = without(inverse, step_columns(np.arange(size), [int(starts[best - 1])]))
        with_best = outliers(one, with_best, noise.outlier)[0]
        persistence = persistence_of(one, with_best, used, terms=terms)
        costs = _costs(left, taken, noise)
        if abs(used - persistence) < _SAME:
            break
    none = float(costs[0])
    if size >= STEEP_FROM:
        steep = without(precision(one, persistence=used, is_steep=True), columns)
        left, taken = _tried(one, steep, starts, noise.outlier)
        steep_costs = _costs(left, taken, noise) + SLOPE_COSTS
        none = min(none, float(steep_costs[0]))
        costs = steep_costs if steep_costs[1:].min() < costs[1:].min() else costs
    return _Sweep(costs[1:], starts, noise.days, none)


def _costs(left: Floats, taken: Floats, noise: Noise) -> Floats:
    """Twice the negative log likelihood, the noise's size being estimated, and what outliers cost."""
    whole = left + noise.prior_days * noise.prior_variance
    return np.asarray(noise.days * np.log(whole / (noise.days * noise.variance) + 1 / noise.days) + OUTLIER * taken)


def _tried(one: Series, inverse: Floats, starts: Ints, worth: float) -> tuple[Floats, Floats]:
    """What is left without a step (first) and with one at each start, and how many days had to be left out as outliers.

    All starts at once: each has its own outliers, taken away one by one while one explains `worth`. Sums of squares
    and counts, shape (1 + starts,).
    """
    along = np.cumsum(inverse[::-1], axis=0)[::-1][starts]  # inverse @ step, for each start: (starts, days)
    pulled = inverse @ one.levels
    sizes = np.cumsum(along[:, ::-1], axis=1)[np.arange(len(starts)), len(one.days) - 1 - starts]
    sizes = np.maximum(sizes, 1e-9)
    effects = np.cumsum(pulled[::-1])[::-1][starts] / sizes
    along = np.vstack([np.zeros(len(pulled)), along])
    sizes, effects = np.append(1.0, sizes), np.append(0.0, effects)
    unexplained = pulled - effects[:, None] * along
    spread = np.diag(inverse) - along**2 / sizes[:, None]
    left = float(one.levels @ pulled) - effects**2 * sizes
    taken = np.zeros(len(left))
    removed: list[tuple[Floats, Floats]] = []
    rows = np.arange(len(left))
    for _ in range(len(one.days) // 14 + 2):
        gains = np.where(spread > 1e-6, unexplained**2, 0.0) / np.maximum(spread, 1e-6)
        worst = gains.argmax(axis=1)
        gain = gains[rows, worst]
        is_out = gain > worth
        if not is_out.any():
            break
        column = inverse[worst] - along * (along[rows, worst] / sizes)[:, None]
        for earlier, divided in removed:
            column -= earlier * divided[rows, worst][:, None]
        column[~is_out] = 0.0
        own = np.where(is_out, spread[rows, worst], 1.0)
        divided = column / own[:, None]
        unexplained = unexplained - divided * unexplained[rows, worst][:, None]
        spread = spread - column * divided
        spread[rows[is_out], worst[is_out]] = 0.0
        left -= np.where(is_out, gain, 0.0)
        taken += is_out
        removed.append((column, divided))
    return np.maximum(left, 0.0), taken


def _starts(size: int, least_after: int, others: list[int]) -> Ints:
    """Days at which a step can be told: enough days before, after, and to the next step."""
    possible = np.arange(_LEAST_BEFORE, size - least_after + 1)
    for other in others:
        possible = possible[np.abs(possible - other) >= _LEAST_AFTER]
    return possible.astype(np.int64)


def _steps(one: Series, threshold: float, least_after: int) -> list[tuple[int, _Sweep]]:
    """The steps of a series in time's order, each with its sweep beside the others."""
    found: list[int] = []
    sweeps: dict[int, _Sweep] = {}
    while len(found) < _MOST_STEPS:
        starts = _starts(len(one.days), least_after, found)
        if not len(starts):
            break
        sweep = _swept(one, found, starts)
        if sweep.score <= threshold:
            break
        found.append(sweep.best)
        sweeps[sweep.best] = sweep
    if len(found) > 1:
        found, sweeps = _settled(one, sorted(found), threshold, least_after)
    return [(start, sweeps[start]) for start in sorted(found)]


def _settled(one: Series, found: list[int], threshold: float, least_after: int) -> tuple[list[int], dict[int, _Sweep]]:
    """Each step moved to where it fits best beside the others; one that is none beside them is dropped."""
    sweeps: dict[int, _Sweep] = {}
    for start in list(found):
        others = [other for other in found if other != start]
        low = max((other for other in others if other < start), default=0)
        high = min((other for other in others if other > start), default=len(one.days))
        starts = _starts(len(one.days), least_after, others)
        starts = starts[(starts > low) & (starts < high)]
        if not len(starts):
            found = others
            continue
        sweep = _swept(one, others, starts)
        found = sorted([*others, sweep.best]) if sweep.score > threshold else others
        sweeps[sweep.best] = sweep
    return found, sweeps


def onset(
    values: Floats,
    weekdays: Ints,
    *,
    known: Bools | None = None,
    counts: Floats | None = None,
    threshold: float = THRESHOLD,
    least_after: int = _LEAST_AFTER,
) -> Onset | None:
    """Since when the newest days stand at another level than before; none where nothing but chance moved.

    The newest 18 weeks are read. Weekdays, level, trend, persistence of the noise and outliers are fitted with and
    without a step at each day; the step must explain far more than as many days taken for outliers would.

    Of several steps the last one counts: it leads to the newest level. Steps one way within a week are one change that
    arrives in stages (its first day is the onset, its effect their sum). A fall and a rise within two weeks of it that
    leave nothing behind are an episode: it is over, and left out; where they leave something, that is the effect.

    Args:
        values: Shape (days,), one a day; nan = the day does not count (missing, partial).
        weekdays: Shape (days,): 0 = Monday.
        known: Shape (days,): False = the day does not count (open).
        counts: Shape (days,): how many events a day's value rests upon, for ratios of few.
        threshold: Standard deviations that a step must reach. At 3.7 a series without one raises about .3 false
            alarms in a year of daily looks; 3 is for one look at a change that somebody saw.
        least_after: Days of the new level that must have been seen.

    Returns:
        None too where there are fewer than 7 days before and `least_after` behind any step.

    Raises:
        DefinitionError: Shapes differ.

    Source:
        The generalised likelihood ratio of a step: M. Basseville and I. Nikiforov: Detection of Abrupt Changes (1993),
        section 2.4; outliers by deletion: A. J. Fox, Journal of the Royal Statistical Society B 34 (1972).
    """
    one = series(values, weekdays, known=known, counts=counts).newest()
    for _ in range(_MOST_STEPS):
        steps = _steps(one, threshold, least_after)
        if not steps:
            return None
        found = _change(one, steps, threshold)
        if isinstance(found, Onset):
            return found
        one = one.where(~found)
    return None


def onset_at(
    values: Floats,
    weekdays: Ints,
    at: int,
    *,
    known: Bools | None = None,
    counts: Floats | None = None,
    threshold: float = NAMED_THRESHOLD,
) -> Onset | None:
    """Whether a step lies at a day that the user named, and how sure; no other day is looked at.

    Args:
        values, weekdays, known, counts: As in `onset`.
        at: Position of the first day of the new level; `low` and `high` are the same.
        threshold: Standard deviations that it must reach. One day is asked about, so 2 is 95 % sure.

    Returns:
        None where the step is not that sure, or where no day that counts lies on one of its sides.

    Raises:
        DefinitionError: Shapes differ, or `at` is outside of the series.
    """
    if not 0 <= at < len(values):
        message = f"Day {at} lies outside of a series of {len(values)} days: name one of 0 to {len(values) - 1}."
        raise DefinitionError(message)
    one = series(values, weekdays, known=known, counts=counts).newest()
    start = int(np.searchsorted(one.days, at))
    if not 2 <= start < len(one.days):
        return None
    sweep = _swept(one, [], np.array([start], dtype=np.int64))
    if sweep.score <= threshold:
        return None
    fitted = fit(one, step_columns(np.arange(len(one.days)), [start]))
    return Onset(at, at, at, _relative(one, start, float(fitted.effects[0])), sweep.score)


def onsets(
    values: Floats,
    weekdays: Ints,
    *,
    known: Bools | None = None,
    error: float = 0.05,
    weights: Floats | None = None,
) -> list[Onset | None]:
    """The onset of each of many series, with false alarms bounded over all of them together.

    A score's chance where nothing happened is bounded as that of the largest of 100 normal deviates (found by
    simulation); of those chances as many are believed as keep the expected share of false ones below `error`. Where
    nothing happened anywhere that is the probability of any alarm.

    Args:
        values: Shape (series, days), one a day; nan = the day does not count.
        weekdays: Shape (days,): 0 = Monday.
        known: Shape (days,) or (series, days): False = the day does not count.
        error: Share of false onsets among those told, on one look.
        weights: Shape (series,), above 0: how much each matters; a chance is divided by its series' weight over the
            mean of all. None = all alike.

    Returns:
        One for each series, in their order.

    Raises:
        DefinitionError: Shapes differ.

    Source:
        Y. Benjamini and Y. Hochberg: Controlling the false discovery rate, J. R. Stat. Soc. B 57 (1995); with weights
        C. R. Genovese, K. Roeder, L. Wasserman: False discovery control with p-value weighting, Biometrika 93 (2006).
    """
    if values.ndim != 2 or values.shape[1] != len(weekdays):
        message = f"Values are (series, days): got shape {values.shape} and {len(weekdays)} weekdays."
        raise DefinitionError(message)
    all_known = np.broadcast_to(True if known is None else known, values.shape)
    found = [onset(row, weekdays, known=is_known) for row, is_known in zip(values, all_known, strict=True)]
    chances = np.array([_LOOKS * erfc(one.score / np.sqrt(2)) if one else 1.0 for one in found])
    if weights is not None and len(weights):
        chances = chances * weights.mean() / weights
    ranked = np.sort(chances)
    enough = ranked <= error * np.arange(1, len(ranked) + 1) / max(len(ranked), 1)
    limit = float(ranked[enough].max()) if enough.any() else -1.0
    return [one if one and chance <= limit else None for one, chance in zip(found, chances, strict=True)]


def earlier_steps(one: Series) -> list[int]:
    """Steps within a history (indices of days that count): only sure ones, as what follows is drawn from it."""
    if len(one.days) < _HISTORY:
        return []
    return [start for start, _ in _steps(one, _HISTORY_THRESHOLD, _LEAST_BEFORE)]


def _change(one: Series, steps: list[tuple[int, _Sweep]], threshold: float) -> Onset | Bools:
    """What the last steps come to: an onset, or the days of an episode that is over."""
    starts = [start for start, _ in steps]
    fitted = fit(one, step_columns(np.arange(len(one.days)), starts))
    effects = fitted.effects
    first = len(starts) - 1
    while first and effects[first] * effects[first - 1] > 0 and _apart(one, starts, first) <= _STAGES:
        first -= 1
    effect = float(effects[first:].sum())
    if first and effects[first] * effects[first - 1] < 0 and _apart(one, starts, first) <= _EPISODE:
        weights = (np.arange(len(starts)) >= first - 1).astype(np.float64)
        net, variance = float(weights @ effects), float(weights @ fitted.covariance @ weights)
        if net**2 <= threshold**2 * variance:
            indices = np.arange(len(one.days))
            return np.asarray((indices >= starts[first - 1]) & (indices < starts[first]))
        first -= net * effects[first - 1] > 0
        effect = net
    return _onset(one, steps, first, fitted, effect)


def _apart(one: Series, starts: list[int], later: int) -> int:
    return int(one.days[starts[later]] - one.days[starts[later - 1]])


def _onset(one: Series, steps: list[tuple[int, _Sweep]], which: int, fitted: Fit, effect: float) -> Onset:
    """The onset at step number `which`, when all that came with it is `effect`."""
    start, sweep = steps[which]
    low, high = _interval(sweep)
    relative = _relative(one, start, effect)
    if _begins_within(one, [step for step, _ in steps], start, fitted, effect):
        start -= 1
        low = min(low, start)
    earliest = int(one.days[low - 1]) + 1  # days that do not count may be the first ones
    return Onset(int(one.days[start]), earliest, int(one.days[high]), relative, sweep.score)


def _begins_within(one: Series, starts: list[int], start: int, fitted: Fit, effect: float) -> bool:
    """Whether the day before `start` has a part of the change: an outlier the same way, and no further."""
    day = slice(start - 1, start)
    if start - 1 not in fitted.outliers or one.days[start] - one.days[start - 1] > 1:
        return False
    columns = step_columns(np.arange(len(one.days)), starts)
    usual = fitted.levels(one, one.days[day], one.labels[day], columns, columns[day])
    part = float(one.levels[start - 1] - usual[0]) / effect if effect else 0.0
    return 0 < part < _PART


def _interval(sweep: _Sweep) -> tuple[int, int]:
    """The range of the likeliest days that hold 90 % of the likelihood; Student's, as the noise is estimated."""
    likely = np.exp((sweep.costs.min() - sweep.costs) / 2)
    order = np.argsort(-likely, kind="stable")
    enough = int(np.searchsorted(np.cumsum(likely[order]), _LEVEL * likely.sum())) + 1
    held = sweep.starts[order[:enough]]
    return int(held.min()), int(held.max())


def _relative(one: Series, start: int, effect: float) -> float:
    """Relative change of the days from `start` on, by a step of `effect` on the scale."""
    after = one.levels[start:]
    actual, otherwise = float(one.values(after).sum()), float(one.values(after - effect).sum())
    return (actual - otherwise) / abs(otherwise) if otherwise else float(np.copysign(np.inf, actual)) if actual else 0.0
