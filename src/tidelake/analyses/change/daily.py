"""Daily numbers of segments from a daily leaf table, and the step of a daily series at a given day."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit  # type: ignore[import-untyped]

from tidelake.analyses.change.leaves import column, encoded

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LEAST_BEFORE, LEAST_AFTER, LEAST_FREEDOM = 3, 2, 3
OTHER = "(other)"
_MOST_CORRELATED = 0.5


@dataclass(frozen=True)
class Daily:
    """A daily leaf table: a row a day and combination of dimensions that occurs.

    Attributes:
        table: Columns `day`, one a dimension, and `value` (additive) or `numerator` and `denominator` (a ratio).
        days: The days that count, in their order; a segment without a row on one of them had 0.
    """

    table: pa.Table
    days: tuple[date, ...]

    @classmethod
    def of(cls, table: pa.Table, days: Collection[date] | None = None) -> Daily:
        """The table with the days that count; None = every day that has a row."""
        found = set(table["day"].to_pylist()) if days is None else set(days)
        chosen = tuple(sorted(found))
        kept = pc.is_in(table["day"], value_set=pa.array(chosen, pa.date32()))
        return cls(table.filter(kept), chosen)

    @property
    def is_ratio(self) -> bool:
        """Whether a number is a numerator over a denominator."""
        return "denominator" in self.table.column_names

    @property
    def weekdays(self) -> NDArray[np.int64]:
        """Shape (days,): 0 = Monday."""
        return np.array([day.weekday() for day in self.days], dtype=np.int64)

    def after(self, at: date) -> Bools:
        """Shape (days,): from a day on."""
        return np.array([day >= at for day in self.days], dtype=bool)

    def parts(self, rows: Bools | None = None) -> tuple[Floats, Floats]:
        """Numerators (values) and denominators (ones) of chosen rows by day; shape (days,) each."""
        chosen = np.ones(self.table.num_rows) if rows is None else rows.astype(np.float64)
        above = _added(self._at, self._above * chosen, len(self.days))
        if not self.is_ratio:
            return above, np.ones(len(self.days))
        return above, _added(self._at, self._below * chosen, len(self.days))

    def by(self, name: str, *, limit: int = 50) -> tuple[tuple[str, ...], Floats, Floats]:
        """Values of a dimension, and their numerators and denominators; shapes (values, days).

        Args:
            limit: More values than these: the largest by weight, then `(other)`.

        Raises:
            UnknownNameError: There is no such column.
        """
        (names,), codes = encoded(self.table, [name])
        many, code = len(names), codes[:, 0]
        weight = _added(code, np.abs(self._below if self.is_ratio else self._above), many)
        if many > limit:
            kept = np.sort(np.argsort(-weight, kind="stable")[:limit])
            place = np.full(many, limit)
            place[kept] = np.arange(limit)
            names, code, many = (*(names[at] for at in kept), OTHER), place[code], limit + 1
        cell = code.astype(np.int64) * len(self.days) + self._at
        shape = (many, len(self.days))
        above = _added(cell, self._above, many * len(self.days)).reshape(shape)
        if not self.is_ratio:
            return names, above, np.ones(shape)
        return names, above, _added(cell, self._below, many * len(self.days)).reshape(shape)

    @cached_property
    def _at(self) -> NDArray[np.int64]:
        numbers = np.array([day.toordinal() for day in self.days], dtype=np.int64)
        own = np.array([day.toordinal() for day in self.table["day"].to_pylist()], dtype=np.int64)
        return np.searchsorted(numbers, own)

    @cached_property
    def _above(self) -> Floats:
        return column(self.table, "numerator" if self.is_ratio else "value")

    @cached_property
    def _below(self) -> Floats:
        return column(self.table, "denominator")


@dataclass(frozen=True)
class Step:
    """How far a series of logarithms lies higher after a day than before it.

    Attributes:
        log: The step; expm1 of it is the relative change.
        error: Its standard error.
        freedom: Degrees of freedom behind the error.
        gain: Twice the logarithm of the likelihood ratio against no step.
    """

    log: float
    error: float
    freedom: int
    gain: float

    def bounds(self, level: float = 0.95) -> tuple[float, float]:
        """Interval of `log` after Student's t."""
        half = float(stdtrit(self.freedom, 0.5 + level / 2)) * self.error
        return self.log - half, self.log + half

    @property
    def z(self) -> float:
        """The step over its error, as a normal deviate that is as unlikely."""
        beyond = max(float(stdtr(self.freedom, -abs(self.log) / self.error)), 1e-300)
        return -float(np.sign(self.log)) * float(ndtri(beyond))


def step(logs: Floats, after: Bools, weekdays: Any) -> Step | None:
    """The step of a daily series, by least squares with a term for each weekday where the days allow it.

    Days within one side can be alike (autocorrelation): the error is that of as many independent days as an
    autoregression of first order leaves, (1 - r) / (1 + r) of them, with r estimated from the residuals, from 0 to .5.

    Args:
        logs: Shape (days,); nan or infinite where the day does not count.
        after: Shape (days,): whether a day lies after the change.
        weekdays: Shape (days,): 0 = Monday.

    Returns:
        None with fewer than three days before, two after, or three degrees of freedom.
    """
    fine = np.isfinite(logs)
    y, late, week = logs[fine], after[fine], np.asarray(weekdays)[fine]
    if (~late).sum() < LEAST_BEFORE or late.sum() < LEAST_AFTER:
        return None
    terms = np.stack([np.ones(len(y)), late.astype(float)], axis=1)
    names = np.unique(week)
    is_covered = np.isin(week[late], week[~late]).all()
    if is_covered and len(y) - len(names) - 1 >= LEAST_FREEDOM:
        dummies = (week[:, None] == names[None, 1:]).astype(float)
        terms = np.hstack([terms, dummies])
    freedom = len(y) - terms.shape[1]
    if freedom < LEAST_FREEDOM:
        return None
    inverse = np.linalg.inv(terms.T @ terms)
    fitted = inverse @ terms.T @ y
    rest = y - terms @ fitted
    squares = max(float(rest @ rest), len(y) * 1e-14)
    alike = float(rest[1:] @ rest[:-1]) / squares
    alike = min(max(alike, 0.0), _MOST_CORRELATED)
    error = float(np.sqrt(squares / freedom * inverse[1, 1] * (1 + alike) / (1 - alike)))
    gain = len(y) * float(np.log1p(fitted[1] ** 2 / inverse[1, 1] / squares))
    return Step(float(fitted[1]), error, freedom, gain)


def _added(at: NDArray[Any], values: Floats, many: int) -> Floats:
    """Sums by place; shape (many,)."""
    return np.bincount(at, values, many).astype(np.float64, copy=False)


def logs_of(above: Floats, below: Floats | float = 1.0) -> Floats:
    """Logarithms of a ratio by day; a 0 above stands for half of the smallest number that is not 0.

    nan where nothing stands below, and everywhere where all is 0.
    """
    positive = above[above > 0]
    least = 0.5 * float(positive.min()) if len(positive) else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.log(np.where(above > 0, above, least) / np.where(np.asarray(below) > 0, below, np.nan))
    return found
