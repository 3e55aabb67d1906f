"""Which days are compared: those that a user names, or those before and after an onset that is found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from tidelake.analyses.change.days import Bools, Calendar, Days, Lines
from tidelake.analyses.change.leaves import Floats
from tidelake.analyses.change.onset import Onset, onset, onset_at, onsets
from tidelake.errors import DefinitionError

BASELINE_DAYS = 56
WINDOW_DAYS = 28
_TURNED = 0.05  # of all, under values that were not there before, or are no longer
_SEGMENTS = 60  # of one dimension that are looked at one by one


@dataclass(frozen=True)
class Asked:
    """What a user said of the days.

    Attributes:
        at: First day of the change; null = it is looked for.
        start: First day that is explained, in place of `at`.
        end: Last of them; null = up to 28 days after the first, as far as days count.
        baseline: First and last day looked back at; null = up to 56 days before.

    Raises:
        DefinitionError: Two of the days contradict each other.
    """

    at: date | None = None
    start: date | None = None
    end: date | None = None
    baseline: tuple[date, date] | None = None

    def __post_init__(self) -> None:
        pairs = [("The days", self.start, self.end), ("The days from the change on", self.at, self.end)]
        if self.baseline is not None:
            pairs.append(("The baseline's days", *self.baseline))
        for name, first, last in pairs:
            if first is not None and last is not None and first > last:
                raise DefinitionError(f"{name} end on {last}, before they begin on {first}.", hint="Exchange the two.")
        if self.baseline is not None and self.at is not None and self.start is not None and self.at != self.start:
            raise DefinitionError(
                f"With a baseline the days that are explained begin either on {self.start} or on {self.at}.",
                hint="Give --from or --at, not both.",
            )

    @property
    def of_days_held(self) -> Asked:
        """The same over days that were bounded already: without a baseline `start` and `end` say what is looked at."""
        return self if self.baseline is not None else Asked(self.at)

    @property
    def first(self) -> date | None:
        """The first day that is explained, where one was named."""
        return self.at or self.start


@dataclass(frozen=True)
class Found:
    """An onset and in what it was found.

    Attributes:
        onset: Where the step is, and how sure.
        within: The segment in which it was found, beside all others; empty = the whole.
    """

    onset: Onset
    within: dict[str, str]


@dataclass(frozen=True)
class Spans:
    """The days that are compared, as masks of shape (days,).

    Attributes:
        at: Position of the first day that is explained.
        until: Position of the last.
    """

    at: int
    until: int
    baseline: Bools
    window: Bools


def found_onset(days: Days, asked: Asked) -> Found | None:
    """The onset of the whole, else the weightiest one of a segment against all others; None where there is none.

    Where a user named the day, whether there is a step on it.
    """
    calendar = days.calendar
    whole = days.lines().value[0]
    if asked.first is not None:
        at = calendar.at(asked.first)
        _check_inside(calendar, at, asked.first)
        step = onset_at(whole, calendar.weekdays, at, known=calendar.known)
        return Found(step, {}) if step is not None else None
    step = onset(whole, calendar.weekdays, known=calendar.known)
    return Found(step, {}) if step is not None else _of_segments(days)


def _of_segments(days: Days) -> Found | None:
    """The onset that weighs most among the values of each dimension, each against all that is not in it."""
    names: list[dict[str, str]] = []
    against: list[Floats] = []
    weight: list[float] = []
    every = days.lines()
    for dim in days.dims:
        lines = days.lines([dim])
        order = np.argsort(-lines.numerator.sum(axis=1), kind="stable")[:_SEGMENTS]
        if len(lines.names) < 2 or (lines.denominator is None and _takes_turns(lines, days.calendar.known)):
            continue
        for at in order:
            names.append({dim: lines.names[at][0]})
            weight.append(float((lines.numerator if lines.denominator is None else lines.denominator)[at].sum()))
            against.append(_against_others(every, lines, int(at)))
    if not names:
        return None
    size = np.sqrt(np.maximum(weight, 1e-9))  # what is large matters more
    steps = onsets(np.array(against), days.calendar.weekdays, known=days.calendar.known, weights=size)
    sure = [(abs(step.effect) * weight[place], -place) for place, step in enumerate(steps) if step is not None]
    if not sure:
        return None
    place = -max(sure)[1]
    best = steps[place]
    assert best is not None
    return Found(best, names[place])


def _takes_turns(lines: Lines, known: Bools) -> bool:
    """Whether values of a dimension come and go, as releases do: what one gains another loses, and nothing moved."""
    counted = lines.numerator[:, known]
    length = max(counted.shape[1] // 4, 1)
    first, last = counted[:, :length].sum(axis=1), counted[:, -length:].sum(axis=1)
    came, went = last[first <= 0].sum(), first[last <= 0].sum()
    return bool(came > _TURNED * last.sum() or went > _TURNED * first.sum())


def _against_others(every: Lines, lines: Lines, at: int) -> Floats:
    """A segment's number over that of all others, day by day; nan where the others have none."""
    above = every.numerator[0] - lines.numerator[at]
    if lines.denominator is None or every.denominator is None:
        return np.where(above > 0, lines.numerator[at] / np.where(above > 0, above, 1.0), np.nan)
    below = every.denominator[0] - lines.denominator[at]
    held = (below > 0) & (above > 0) & (lines.denominator[at] > 0)
    own = lines.numerator[at] / np.where(held, lines.denominator[at], 1.0)
    return np.where(held, own / np.where(held, above / np.where(below > 0, below, 1.0), 1.0), np.nan)


def spans(calendar: Calendar, asked: Asked, at: int) -> Spans:
    """The days before and after.

    Args:
        at: Position of the first day of the change.

    Raises:
        DefinitionError: No day before, or none after, counts.
    """
    known = np.flatnonzero(calendar.known)
    last = at + WINDOW_DAYS - 1 if asked.end is None else calendar.at(asked.end)
    position = np.arange(len(calendar))
    window = (position >= at) & (position <= last)
    first, until = at - BASELINE_DAYS, at - 1
    if asked.baseline is not None:
        first, until = (calendar.at(day) for day in asked.baseline)
    if until >= at:
        raise DefinitionError(
            f"The baseline ends on {calendar.day(until)}, after {calendar.day(at)}, when the change begins.",
            hint="Days of the change itself cannot tell what was to be expected.",
        )
    baseline = (position >= first) & (position <= until)
    for name, days in (("before", baseline), ("from", window)):
        if not (days & calendar.known).any():
            own = f"{calendar.day(known[0])} to {calendar.day(known[-1])}" if len(known) else "none"
            raise DefinitionError(
                f"No day {_said(name, days, calendar, at)} counts: none is there, complete and received whole.",
                hint=f"The days that count are of {own}. `tide measure` shows the status of each.",
            )
    ended = np.flatnonzero(window & calendar.known)
    return Spans(at, int(ended[-1]), baseline & calendar.known, window & calendar.known)


def _said(name: str, days: Bools, calendar: Calendar, at: int) -> str:
    held = np.flatnonzero(days)
    if not len(held):
        return f"{name} {calendar.day(at)} that was asked for"
    return f"{name} {calendar.day(at)} ({calendar.day(held[0])} to {calendar.day(held[-1])})"


def _check_inside(calendar: Calendar, at: int, day: date) -> None:
    if not 0 < at < len(calendar):
        first, last = calendar.day(0), calendar.day(len(calendar) - 1)
        hint = f"Name a day from {calendar.day(1)} to {last}, or none: then it is looked for."
        raise DefinitionError(
            f"{day} cannot be explained: the data are of {first} to {last}, and days before it are needed.",
            hint=hint if len(calendar) > 1 else "One day alone cannot be compared with anything.",
        )
