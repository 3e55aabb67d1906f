"""What a fall cost: what would have been, from the segments that were not hit or from the series' own history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.stats import norm  # type: ignore[import-untyped]

from tidelake.analyses.change.controls import Controls, Parts, Window, index_of, rates_of, scales, steady, unaffected
from tidelake.analyses.change.leaves import Floats
from tidelake.analyses.change.loss_coverage import coverage_of_controls, coverage_of_own_history
from tidelake.analyses.change.own_history import own_spread
from tidelake.analyses.change.seasonal import WEEK, Bools, Ints, Rates, filled
from tidelake.analyses.change.selected import interval, widening
from tidelake.analyses.change.words import percent
from tidelake.errors import QueryError

MOST_DAYS = 84  # of history that is read
LEAST_DAYS = 35  # of history, for an interval that is calibrated
LEAST_SUMS = 9  # pretended onsets: the fewest that can tell 90 %
_LEAST_TAUGHT = 14  # days before a pretended onset
_LEAST_KNOWN = 0.8  # of the days of history
_BADLY = 3.0  # times the error of the own history: the controls fit badly
_LEVEL = 0.9  # the level whose coverage was measured
_ROUNDING = 1e-9  # a share of the volume that says nothing
_UNEVEN = 0.15  # of what the controls share, by which one segment may take part more or less than another


@dataclass(frozen=True)
class Loss:
    """What is missing against what would have been, over the days counted.

    Attributes:
        lost: Expected less actual, in units of the metric; below 0 where more came than expected.
        low: Lower end of the interval of `lost`.
        high: Upper end.
        expected: Shape (days,): what each day would have been; nan more than 12 weeks before the onset.
        band_low: Lower end of a single day's interval.
        band_high: Upper end.
        method: What `expected` comes from.
        controls_used: Positions of the segments that it was compared with.
        controls_left_out: Positions of those that could have served, but changed at the onset themselves.
        calibration: Pretended onsets whose whole-horizon errors made the interval; 0 where it was not made so.
        coverage: Share of intervals that held the truth in simulations of such data, at level .9; None elsewhere.
        is_calibrated: Whether the interval comes from errors that this method made on these data.
        days_counted: Days in `lost`; days that are missing or not known are not among them.
        shared_change: By which share the controls together moved against their own history; `lost` leaves it out.
        placebo_center: Mean of the losses found at the pretended onsets, where nothing was lost; None without any.
        placebo_spread: Their standard deviation about 0, in the same unit.
        note: What a reader must know.
    """

    lost: float
    low: float
    high: float
    expected: Floats
    band_low: Floats
    band_high: Floats
    method: Literal["controls", "own history"]
    controls_used: tuple[int, ...]
    controls_left_out: tuple[int, ...]
    calibration: int
    coverage: float | None
    is_calibrated: bool
    days_counted: int
    shared_change: float | None
    placebo_center: float | None
    placebo_spread: float | None
    note: str


@dataclass(frozen=True)
class RatioLoss:
    """What a ratio's fall cost.

    Attributes:
        numerator: The loss in units of the numerator: denominator x (expected rate - rate), over the days counted. Its
            `expected` is what the numerator would have been at the denominators that were.
        rate: Expected rate less rate, over the same days.
        rate_low: Lower end of its interval.
        rate_high: Upper end.
    """

    numerator: Loss
    rate: float
    rate_low: float
    rate_high: float


def loss(
    affected: Floats,
    controls: Floats,
    weekdays: Ints,
    at: int,
    until: int,
    *,
    known: Bools | None = None,
    level: float = 0.9,
    gap: int = 0,
) -> Loss:
    """What a segment lost from a day on.

    With at least five weeks of history, nine pretended onsets and a control that can serve: difference in differences
    on logs, with weekday terms. The interval is that of whole sums over the horizon: its scale from the errors of the
    same method at pretended onsets before the real one, its width from what all other segments did at the real one
    (placebo segments), and its lower end lowered where the segment may only be the unluckiest of many. Else the
    series' own level and weekdays, with an interval from the spread of its days, not calibrated.

    Args:
        affected: Shape (days,), one value a day without holes in the calendar; nan = missing.
        controls: Shape (segments, days): all other segments, in the same days; may have no rows. Those that cannot
            serve or changed at the onset themselves are left out here.
        weekdays: Shape (days,), 0 = Monday.
        at: Position of the first day counted: the day of the fall, also where it fell in the middle of it.
        until: Position after the last day counted.
        known: Shape (days,): False = the day does not count (partial, open), in no series.
        level: Of the interval, between 0 and 1.
        gap: Days right before `at` that may have been hit already: neither history nor counted.

    Raises:
        QueryError: Fewer than two known days before, no known day from `at` on, or shapes that do not fit.

    Source:
        A. Abadie, A. Diamond, J. Hainmueller: Synthetic control methods for comparative case studies, JASA 105 (2010),
        for placebo segments and placebo onsets; I. Andrews, T. Kitagawa, A. McCloskey: Inference on winners, QJE 139
        (2024), for the choice of the segment. Coverage is measured: `python -m benchmarks.loss`.
    """
    counted = _known(affected, known)
    target = Parts.of(affected[None, :].astype(float), None, counted)
    others = Parts.of(_rows(controls, len(affected)), None, counted)
    return _loss(target, others, weekdays, at, until, level=level, gap=gap)


def loss_of_ratio(
    numerator: Floats,
    denominator: Floats,
    control_numerators: Floats,
    control_denominators: Floats,
    weekdays: Ints,
    at: int,
    until: int,
    *,
    known: Bools | None = None,
    level: float = 0.9,
    gap: int = 0,
) -> RatioLoss:
    """What a segment's ratio lost from a day on, in units of its numerator and as a rate.

    As `loss`, with the ratios of the segments in place of their sums. A day without a denominator does not count. What
    a smaller denominator cost is not in it.

    Args:
        numerator: Shape (days,).
        denominator: Shape (days,).
        control_numerators: Shape (segments, days).
        control_denominators: Shape (segments, days).
        weekdays: As for `loss`, and so are the others.
        at: First day counted.
        until: Day after the last one counted.
        known: Days that count.
        level: Of the interval.
        gap: Days before `at` that are no history.
    """
    days = len(numerator)
    counted = _known(numerator, known)
    target = Parts.of(numerator[None, :].astype(float), denominator[None, :].astype(float), counted)
    others = Parts.of(_rows(control_numerators, days), _rows(control_denominators, days), counted)
    found = _loss(target, others, weekdays, at, until, level=level, gap=gap)
    below = float(target.below[0, at:until].sum())
    return RatioLoss(found, found.lost / below, found.low / below, found.high / below)


def _known(values: Floats, known: Bools | None) -> Bools:
    return np.ones(len(values), bool) if known is None else np.asarray(known, bool)


def _rows(controls: Floats, days: int) -> Floats:
    """Controls as rows; none of any shape is none."""
    found: Floats = np.asarray(controls, float).reshape(-1, days) if np.size(controls) else np.empty((0, days))
    return found


def _loss(target: Parts, others: Parts, weekdays: Ints, at: int, until: int, *, level: float, gap: int) -> Loss:
    days = target.above.shape[1]
    _check(target, weekdays, at, until, level=level, gap=gap)
    start = max(int(np.argmax(target.known[0])), at - gap - MOST_DAYS)
    target, others = target.between(start, days), others.between(start, days)
    window = _window(target, at - start, until - start, gap)
    found = _by_controls(target, others, window, level)
    if isinstance(found, str):
        found = _by_own_history(target, window, level, why=found)
    before = np.full(start, np.nan)
    return replace(
        found,
        expected=np.concatenate((before, found.expected)),
        band_low=np.concatenate((before, found.band_low)),
        band_high=np.concatenate((before, found.band_high)),
        note=_note(found, until - at),
    )


def _check(target: Parts, weekdays: Ints, at: int, until: int, *, level: float, gap: int) -> None:
    days = target.above.shape[1]
    if len(weekdays) != days or (np.diff(weekdays) % WEEK != 1).any():
        raise QueryError("The days of a loss must follow one another.", hint="Give missing days as nan.")
    if not (0 <= at < until <= days and 0 < level < 1 and gap >= 0):
        raise QueryError(f"No loss from day {at} to {until} of {days} with a gap of {gap} and level {level}.")
    if target.known[0, : max(at - gap, 0)].sum() < 2:
        raise QueryError("A loss needs two known days before the fall.", hint="Take a later onset.")
    if not target.known[0, at:until].any():
        raise QueryError("No day from the fall on is known.", hint="Wait for the first complete day.")


def _window(target: Parts, at: int, until: int, gap: int) -> Window:
    ahead = np.flatnonzero(target.known[0, at:until])
    return Window(at, ahead, gap, np.arange(_LEAST_TAUGHT + gap, at - gap - int(ahead[-1])))


def _by_controls(target: Parts, others: Parts, window: Window, level: float) -> Loss | str:
    """The loss against the controls, or why they cannot tell it."""
    history = target.known[0, : window.at - window.gap]
    if len(history) < LEAST_DAYS or len(window.origins) < LEAST_SUMS or history.mean() < _LEAST_KNOWN:
        return f"{int(history.sum())} days before the change are too few to try the method out on earlier days"
    if (target.above[0][: len(history)][history] < 0).any() or not target.above[0][: len(history)][history].any():
        return "values before the change are not above zero"
    usable = steady(others, window.at, window.at + int(window.ahead[-1]) + 1)
    if not len(usable):
        return "no other segment can be compared"
    kept = unaffected(usable, window)
    if 2 * len(kept) < len(usable):
        return "most other segments changed at the onset too, each by another share"
    controls = usable.of(kept)
    seen: Bools = np.any(controls.volume > 0, axis=0)
    if not seen[window.at + window.ahead].all():
        return "on a day counted no other segment is known"
    target = replace(target, known=target.known & seen)
    index, apart = index_of(controls)
    rates = _rates(target, controls, index, apart, window)
    strayed, daily = rates.strayed(np.append(window.origins, window.at), window.ahead, window.gap)
    own = _own_rates(target, window)
    own_strayed, _ = own.strayed(window.origins, window.ahead, window.gap)
    error = _root_mean_square(strayed[0, :-1])
    if error > _BADLY * _root_mean_square(own_strayed[0]) + _ROUNDING:
        return "the controls fit badly: before the fall they foretold it worse than its own history"
    scale = np.maximum(scales(strayed[:, :-1], rates, window), _ROUNDING)
    changes = strayed[:, -1] / scale
    shared = _shared(index, window)
    wide = widening(changes[1:], window.apart, level, uneven=float((_UNEVEN * shared / scale[0]) ** 2))
    low, high = interval(float(changes[0] / wide), changes[1:] / wide, level)
    volume = float(rates.volume[0, window.at + window.ahead].sum())
    unit, placebo = float(scale[0]) * wide * volume, strayed[0, :-1] * volume
    day = _root_mean_square(daily[:-1]) * wide * float(norm.ppf(0.5 + level / 2))
    expected, weight = _expected(rates, window)
    left = [row for row in range(len(usable)) if row not in kept]
    used = tuple(sorted(one for row in controls.members for one in row))
    return Loss(
        lost=float(strayed[0, -1]) * volume,
        low=low * unit,
        high=high * unit,
        expected=expected,
        band_low=expected - day * weight,
        band_high=expected + day * weight,
        method="controls",
        controls_used=used,
        controls_left_out=tuple(sorted(one for row in left for one in usable.members[row])),
        calibration=len(window.origins),
        coverage=coverage_of_controls(len(controls)) if level == _LEVEL else None,
        is_calibrated=level <= _LEVEL,
        days_counted=len(window.ahead),
        shared_change=shared,
        placebo_center=float(np.nanmean(placebo)),
        placebo_spread=_root_mean_square(placebo),
        note="",
    )


def _by_own_history(target: Parts, window: Window, level: float, *, why: str) -> Loss:
    """The loss against the series' own level and weekdays."""
    rates = _own_rates(target, window)
    strayed, _ = rates.strayed(np.array([window.at]), window.ahead, window.gap)
    volume = rates.volume[0, window.at + window.ahead]
    known = target.known[0, : window.at - window.gap]
    sums, day = own_spread(rates.taught[0], known, window, volume / volume.sum(), level)
    whole = float(volume.sum())
    lost = float(strayed[0, 0]) * whole
    before, _ = rates.strayed(window.origins, window.ahead, window.gap)
    placebo = before[0][np.isfinite(before[0])] * whole
    expected, weight = _expected(rates, window)
    return Loss(
        lost=lost,
        low=lost - sums * whole,
        high=lost + sums * whole,
        expected=expected,
        band_low=expected - day * weight,
        band_high=expected + day * weight,
        method="own history",
        controls_used=(),
        controls_left_out=(),
        calibration=0,
        coverage=coverage_of_own_history(int(known.sum()), len(window.ahead)) if level == _LEVEL else None,
        is_calibrated=False,
        days_counted=len(window.ahead),
        shared_change=None,
        placebo_center=float(placebo.mean()) if len(placebo) else None,
        placebo_spread=_root_mean_square(placebo) if len(placebo) else None,
        note=why,
    )


def _rates(target: Parts, controls: Controls, index: Floats, apart: Floats, window: Window) -> Rates:
    """The affected segment in the first row, then each control, over what the others share."""
    shared = np.exp(index)
    values, unit, known = (_filled(target, shared, window) / shared)[None, :], target.below * shared, target.known
    if len(controls) > 1:
        values = np.vstack((values, np.exp(controls.logs - apart)))
        unit = np.vstack((unit, controls.volume * np.exp(apart)))
        known = np.vstack((known, controls.volume > 0))
    return rates_of(values, unit, known, window)


def _own_rates(target: Parts, window: Window) -> Rates:
    """The affected segment by itself."""
    flat = np.ones(target.above.shape[1])
    return rates_of(_filled(target, flat, window)[None, :], target.below, target.known, window)


def _filled(target: Parts, shared: Floats, window: Window) -> Floats:
    """Values or ratios, gaps of history filled by weekday from history alone."""
    known = target.known[0]
    value = np.where(known, target.above[0] / np.where(known, target.below[0], 1.0), 0.0)
    end = window.at - window.gap
    value[:end] = filled(value[:end] / shared[:end], known[:end]) * shared[:end]
    return value


def _expected(rates: Rates, window: Window) -> tuple[Floats, Floats]:
    """Shape (days,) each: what the first series' days would have been, and what a share of 1 is worth that day."""
    days = rates.values.shape[1]
    forecast = rates.forecast(window.at, np.arange(-window.at, days - window.at), window.gap)[0]
    return forecast * rates.unit[0], rates.unit[0]


def _shared(index: Floats, window: Window) -> float:
    """By which share the controls together moved over the horizon, against their own history."""
    flat = np.ones((1, len(index)))
    rates = rates_of(np.exp(index)[None, :], flat, flat > 0, window)
    strayed, _ = rates.strayed(np.array([window.at]), window.ahead, window.gap)
    return -float(strayed[0, 0])


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt(np.nanmean(values**2)))


def _note(found: Loss, days: int) -> str:
    """What a reader must know, in sentences."""
    said = []
    if found.shared_change is None:
        said.append(
            f"The loss is told from the segments' own history, not calibrated: {found.note}. What moved all segments "
            "alike counts as lost."
        )
        if found.coverage is not None:
            share = percent(found.coverage, signed=False, digits=0)
            said.append(f"In simulations where nothing moved all alike {share} of such intervals held the truth.")
    else:
        moved = percent(found.shared_change)
        said.append(f"The segments compared with moved by {moved} against their own history; that is not counted.")
    if found.controls_left_out:
        many = len(found.controls_left_out)
        who = "One of them changed itself and is" if many == 1 else f"{many} of them changed themselves and are"
        said.append(f"{who} left out.")
    if found.days_counted < days:
        missing = days - found.days_counted
        is_one = missing == 1
        said.append(
            f"{missing} of {days} days {'is' if is_one else 'are'} missing or not complete: no loss is counted for "
            f"{'it' if is_one else 'them'}."
        )
    return " ".join(said)
