"""Streaks of an entity written a second time, from METRICS section 13: one day after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import mean, median
from typing import Any

from tests.checks.events import days_between

Days = Mapping[date, tuple[str, float | None]]


@dataclass(frozen=True)
class Streak:
    """A maximal run.

    Attributes:
        is_censored: Ended by a missing day or by the edge of the data.
        is_cut_at_start: Begins on the data's first day or after a missing one, so that it may be longer.
    """

    first: date
    length: int
    is_censored: bool
    is_cut_at_start: bool


def streaks(days: Days, *, first: date, last: date, threshold: float = 0) -> list[Streak]:
    """ "`streak`: a maximal run of days with value > threshold (default 0); a missing day ends it with flag `censored`,
    so does the edge of the data".

    Args:
        days: (status, value) by date, as of `tests.checks.entities`; a date that is not there was not yet or closed.
        first: First day of the data.
        last: Last day of the data.
    """

    def is_on(day: date) -> bool:
        value = days.get(day, ("", None))[1]
        return value is not None and value > threshold

    def is_missing(day: date) -> bool:
        return days.get(day, ("", None))[0] == "missing"

    found = []
    one = timedelta(days=1)
    for day in days_between(first, last):
        if not is_on(day) or (day > first and is_on(day - one)):
            continue
        end = day
        while end < last and is_on(end + one):
            end += one
        is_censored = end == last or is_missing(end + one)
        found.append(Streak(day, (end - day).days + 1, is_censored, day == first or is_missing(day - one)))
    return found


def kaplan_meier_median(lengths: Iterable[tuple[int, bool]]) -> int | None:
    """The least t at which the product over end times u ≤ t of (1 − ends at u / still running at u) is at most a half.

    Args:
        lengths: (length, censored).
    """
    lengths = list(lengths)
    survival = 1.0
    for at in sorted({length for length, _ in lengths}):
        running = sum(length >= at for length, _ in lengths)
        ended = sum(length == at and not is_censored for length, is_censored in lengths)
        survival *= 1 - ended / running
        if survival <= 0.5 + 1e-12:
            return at
    return None


def streak_lengths(found: Iterable[Streak]) -> dict[str, Any]:
    """ "Mean and median of the length with and without censored ones (Kaplan–Meier median where any are)"."""
    found = list(found)
    every = [streak.length for streak in found]
    ended = [streak.length for streak in found if not streak.is_censored]
    return {
        "n": len(every),
        "censored": len(every) - len(ended),
        "mean": mean(every) if every else None,
        "median": median(every) if every else None,
        "mean_uncensored": mean(ended) if ended else None,
        "median_uncensored": median(ended) if ended else None,
        "kaplan_meier_median": kaplan_meier_median((streak.length, streak.is_censored) for streak in found),
    }
