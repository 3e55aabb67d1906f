"""A metric by day and by combination of dimensions: from an Arrow table, or by group-bys in the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidelake.analyses.change.leaves import Codes, Floats, column, encoded
from tidelake.contracts.table import literal, quoted
from tidelake.errors import DefinitionError, UnknownNameError

if TYPE_CHECKING:
    from tidelake.metrics.daily import Daily

Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]
Cells = Sequence[Mapping[str, str]]
KNOWN = ("complete", "provisional")
"""Statuses of days whose number counts: all else may move by what is not there."""
_WEIGHTS = "daily_weights"


@dataclass(frozen=True)
class Calendar:
    """The days that are looked at, one after the other.

    Attributes:
        first: The first of them.
        known: Shape (days,): whether a day's number counts.
    """

    first: date
    known: Bools

    def __len__(self) -> int:
        return len(self.known)

    def day(self, at: int | np.integer[Any]) -> date:
        """The date at a position."""
        return self.first + timedelta(days=int(at))

    def at(self, day: date) -> int:
        """The position of a date; outside of the days it is below 0 or beyond the last."""
        return (day - self.first).days

    @cached_property
    def weekdays(self) -> Ints:
        """Shape (days,): 0 is Monday."""
        return (self.first.weekday() + np.arange(len(self))) % 7


@dataclass(frozen=True)
class Lines:
    """Daily numbers of some segments.

    Attributes:
        names: For each segment its value of each dimension asked for.
        numerator: Shape (segments, days); a segment without rows on a day has 0.
        denominator: The same for a ratio.
    """

    names: tuple[tuple[str, ...], ...]
    numerator: Floats
    denominator: Floats | None

    @property
    def value(self) -> Floats:
        """The metric; of a ratio without a denominator nan."""
        if self.denominator is None:
            return self.numerator
        held = self.denominator > 0
        return np.where(held, self.numerator / np.where(held, self.denominator, 1.0), np.nan)


class Days(Protocol):
    """What the steps of an explanation ask for."""

    @property
    def dims(self) -> tuple[str, ...]:
        """The dimensions."""

    @property
    def is_ratio(self) -> bool:
        """Whether the metric is a ratio."""

    @property
    def calendar(self) -> Calendar:
        """The days."""

    def lines(self, by: Sequence[str] = (), *, within: Cells | None = None, outside: Cells = ()) -> Lines:
        """Daily numbers by some dimensions.

        Args:
            within: Only leaves in one of these cells; None = all.
            outside: No leaves in one of these.
        """

    def table(self, by: Sequence[str]) -> pa.Table:
        """Daily numbers by some dimensions as a table: `day`, the dimensions, and `value`, or both parts of a ratio."""

    def least(self) -> float:
        """The smallest number of a row; 0 where there are none."""

    def leaves(self, before: Floats, after: Floats) -> pa.Table:
        """The days added up with two sets of weights, each of shape (days,).

        Returns:
            The dimensions; of a sum `real` (with `after`) and `predict` (with `before`), of a ratio `num_real`,
            `num_predict`, `den_real`, `den_predict`; one row a combination that occurs on a day with a weight.
        """


def _names(is_ratio: bool) -> tuple[tuple[str, str], ...]:
    return (("num_real", "num_predict"), ("den_real", "den_predict")) if is_ratio else (("real", "predict"),)


class TableDays:
    """Days from a table.

    Args:
        table: `day`, a column a dimension, and `value`, or `numerator` and `denominator`; several rows of one day and
            combination are added up, null is 0.
        dims: The dimensions.
        known: Days whose number counts; None = those that have a row: a day without any is missing, not 0.

    Raises:
        UnknownNameError: The table lacks a column.
        DefinitionError: It has no rows, a row has no day, or a number is none.
    """

    def __init__(self, table: pa.Table, dims: Sequence[str], *, known: Sequence[date] | None = None) -> None:
        self.dims = tuple(dict.fromkeys(dims))
        self.is_ratio = "denominator" in table.column_names
        if "day" not in table.column_names:
            raise UnknownNameError("column", "day", table.column_names)
        if not table.num_rows:
            raise DefinitionError("There are no rows.", hint="Give a row a day and combination of the dimensions.")
        parts = ("numerator", "denominator") if self.is_ratio else ("value",)
        for name in self.dims:
            if name in ("day", *parts):
                raise DefinitionError(f"{name} is no dimension here.", hint="It is what is looked at, not by what.")
        days = _day_numbers(table)
        first, last = int(days.min()), int(days.max())
        start = date(1970, 1, 1) + timedelta(days=first)
        held = np.bincount(days - first) > 0
        if known is not None:
            counted = set(known)
            held = np.array([start + timedelta(days=at) in counted for at in range(last - first + 1)])
        self.calendar = Calendar(start, held)
        weight = np.abs(_numbers(table, "denominator" if self.is_ratio else "value"))
        values, codes = encoded(table, self.dims, weight=weight)
        self._values = values
        self._leaves, leaf = np.unique(codes, axis=0, return_inverse=True) if self.dims else (codes[:1], 0 * days)
        size = len(self._leaves) * len(self.calendar)
        place = leaf.reshape(-1) * len(self.calendar) + (days - first)
        self._parts = [np.bincount(place, _numbers(table, name), size).reshape(len(self._leaves), -1) for name in parts]

    def lines(self, by: Sequence[str] = (), *, within: Cells | None = None, outside: Cells = ()) -> Lines:
        """Daily numbers by some dimensions."""
        held = self._within(within) if within is not None else np.ones(len(self._leaves), dtype=bool)
        held &= ~self._within(outside)
        chosen = [self.dims.index(name) for name in by]
        codes: Codes = self._leaves[held][:, chosen]
        own, place = np.unique(codes, axis=0, return_inverse=True) if by else (codes[:1], np.zeros(held.sum(), int))
        names = tuple(tuple(self._values[at][code] for at, code in zip(chosen, row, strict=True)) for row in own)
        summed = []
        for part in self._parts:
            total = np.zeros((len(own) if by else 1, len(self.calendar)))
            np.add.at(total, place.reshape(-1), part[held])
            summed.append(total)
        return Lines(names if by else ((),), summed[0], summed[1] if self.is_ratio else None)

    def table(self, by: Sequence[str]) -> pa.Table:
        """Daily numbers by some dimensions as a table."""
        return table_of(self, by)

    def least(self) -> float:
        """The smallest number of a combination's day."""
        return float(min(part.min() for part in self._parts))

    def leaves(self, before: Floats, after: Floats) -> pa.Table:
        """The days added up with two sets of weights."""
        found = {
            name: pa.array([self._values[at][code] for code in self._leaves[:, at]], pa.string())
            for at, name in enumerate(self.dims)
        }
        for part, (real, predict) in zip(self._parts, _names(self.is_ratio), strict=True):
            found |= {real: pa.array(part @ after), predict: pa.array(part @ before)}
        return pa.table(found)

    def _within(self, cells: Cells) -> Bools:
        held = np.zeros(len(self._leaves), dtype=bool)
        for cell in cells:
            inside = np.ones(len(self._leaves), dtype=bool)
            for name, value in cell.items():
                at = self.dims.index(name)
                code = self._values[at].index(value) if value in self._values[at] else -1
                inside &= self._leaves[:, at] == code
            held |= inside
        return held


class LakeDays:
    """Days of a metric of the lake: every question is one group-by in the engine.

    Args:
        daily: The metric.
        is_held: Whether the rows are kept in a `temp` table, of which there is one.

    Attributes:
        asked: The SELECTs that were run so far.
    """

    def __init__(self, daily: Daily, *, is_held: bool = True) -> None:
        self._given = daily
        self._daily = daily.held() if is_held else daily
        is_kept = self._daily is not daily
        self.dims = daily.by
        self.is_ratio = daily.is_ratio
        days = sorted(daily.statuses)
        if not days:
            raise DefinitionError(
                "There are no days to look at.",
                hint="`tide build` takes what the sources hold; --from and --to bound what is looked at.",
            )
        self.calendar = Calendar(days[0], np.array([daily.statuses[day] in KNOWN for day in days]))
        self.asked: list[str] = [f"-- temp.daily_leaves, which the others read\n{daily.rows}"] if is_kept else []

    def release(self) -> None:
        """Give the `temp` table back: questions that come later read the lake's tables again."""
        self._daily = self._given

    def lines(self, by: Sequence[str] = (), *, within: Cells | None = None, outside: Cells = ()) -> Lines:
        """Daily numbers by some dimensions."""
        names = [f"s{self.dims.index(name)}" for name in by]
        sums = ", ".join(f"sum({part}) AS {part}" for part in self._daily.parts)
        listed = "".join(f", {name}" for name in names)
        where = [self._condition(within)] if within is not None else []
        where += [f"NOT {self._condition(outside)}"] if outside else []
        only = f"WHERE {' AND '.join(where)} " if where else ""
        rows = f"FROM ({self._daily.rows}) AS leaves {only}"
        found = self._asked(f"SELECT day{listed}, {sums} {rows}GROUP BY day{listed}")
        values, codes = encoded(found, names, weight=np.zeros(found.num_rows), most=found.num_rows + 1)
        own, place = np.unique(codes, axis=0, return_inverse=True) if by else (codes[:1], np.zeros(len(codes), int))
        listed_names = tuple(tuple(values[at][code] for at, code in enumerate(row)) for row in own) if by else ((),)
        offsets = np.array([self.calendar.at(day) for day in found["day"].to_pylist()], dtype=int)
        summed = []
        for part in self._daily.parts:
            total = np.zeros((len(listed_names), len(self.calendar)))
            inside = (offsets >= 0) & (offsets < len(self.calendar))
            total[place.reshape(-1)[inside], offsets[inside]] = column(found, part)[inside]
            summed.append(total)
        return Lines(listed_names, summed[0], summed[1] if self.is_ratio else None)

    def table(self, by: Sequence[str]) -> pa.Table:
        """Daily numbers by some dimensions as a table."""
        return table_of(self, by)

    def least(self) -> float:
        """The smallest number of a combination's day."""
        each = ", ".join(f"min({part}) AS {part}" for part in self._daily.parts)
        (row,) = self._asked(f"SELECT {each} FROM ({self._daily.rows}) AS leaves").to_pylist()
        return float(min((value for value in row.values() if value is not None), default=0.0))

    def leaves(self, before: Floats, after: Floats) -> pa.Table:
        """The days added up with two sets of weights."""
        days = [self.calendar.day(at) for at in range(len(self.calendar))]
        weights = pa.table({"day": pa.array(days, pa.date32()), "before": before, "after": after})
        self._daily.question.gold.temp(_WEIGHTS, weights)
        listed = ", ".join(f"s{at} AS {quoted(name)}" for at, name in enumerate(self.dims))
        grouped = ", ".join(f"s{at}" for at in range(len(self.dims)))
        sums = ", ".join(
            f"sum({part} * after) AS {real}, sum({part} * before) AS {predict}"
            for part, (real, predict) in zip(self._daily.parts, _names(self.is_ratio), strict=True)
        )
        return self._asked(
            f"SELECT {listed}{', ' if listed else ''}{sums} FROM ({self._daily.rows}) AS leaves "
            f"JOIN temp.{_WEIGHTS} AS weights ON weights.day = leaves.day WHERE before <> 0 OR after <> 0 "
            f"{f'GROUP BY {grouped} ORDER BY {grouped}' if grouped else ''}"
        )

    def _asked(self, sql: str) -> pa.Table:
        self.asked.append(sql)
        return self._daily.query(sql)

    def _condition(self, cells: Cells) -> str:
        told = [
            "(" + " AND ".join(f"s{self.dims.index(name)} = {literal(value)}" for name, value in cell.items()) + ")"
            for cell in cells
        ]
        return f"({' OR '.join(told)})" if told else "FALSE"


def table_of(days: Days, by: Sequence[str]) -> pa.Table:
    """Daily numbers by some dimensions as a table: `day`, the dimensions, and `value`, or both parts of a ratio.

    A combination has rows on those days on which it has a number: which days it was there can be told.
    """
    lines = days.lines(by)
    held = lines.numerator != 0
    if lines.denominator is not None:
        held |= lines.denominator != 0
    segment, day = np.nonzero(held)
    found = {"day": pa.array([days.calendar.day(at) for at in day], pa.date32())}
    for at, name in enumerate(by):
        values = pa.array([names[at] for names in lines.names], pa.string())
        found[name] = values.take(pa.array(segment))
    if lines.denominator is None:
        found["value"] = pa.array(lines.numerator[held])
    else:
        found |= {"numerator": pa.array(lines.numerator[held]), "denominator": pa.array(lines.denominator[held])}
    return pa.table(found)


def _day_numbers(table: pa.Table) -> NDArray[np.int32]:
    """The days of a table's rows, from 1 January 1970 on."""
    try:
        days = table["day"].cast(pa.date32())
    except pa.ArrowInvalid as error:
        raise DefinitionError(f"The column day holds no dates: {error}.", hint="Give it as date32.") from error
    if days.null_count:
        raise DefinitionError(
            f"{days.null_count} of {table.num_rows} rows have no day.", hint="Leave out rows whose day is not known."
        )
    return np.asarray(days.cast(pa.int32()).combine_chunks().to_numpy())


def _numbers(table: pa.Table, name: str) -> Floats:
    """A column of finite numbers; null is 0."""
    try:
        return column(table, name)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DefinitionError(f"The column {name} holds no numbers: {error}.", hint="Give it as float64.") from error


def weights(calendar: Calendar, baseline: Bools, window: Bools) -> tuple[Floats, Floats]:
    """Weights by which the days of a baseline add up to what the days of a window were expected to have.

    A day of the window is expected to have the mean of the baseline's days of its weekday, where there are any, else
    the mean of all of them.

    Args:
        baseline: Shape (days,): which days are looked back at.
        window: Which days are explained.

    Returns:
        Weights of the baseline and of the window, each of shape (days,); days that do not count have 0.
    """
    baseline, window = baseline & calendar.known, window & calendar.known
    before = np.zeros(len(calendar))
    for at in np.flatnonzero(window):
        alike = baseline & (calendar.weekdays == calendar.weekdays[at])
        chosen = alike if alike.any() else baseline
        before[chosen] += 1 / chosen.sum()
    return before, window.astype(float)
