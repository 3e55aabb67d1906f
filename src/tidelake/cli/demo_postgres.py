"""`tide demo NAME --postgres`: the example's numbers once more inside PostgreSQL, each beside the lake's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from tidelake.engine.result import Result
from tidelake.errors import DefinitionError, ProjectError, UnknownNameError
from tidelake.postgres.scripts import copy_lines, run_script
from tidelake.postgres.server import Server
from tidelake.sources.listing import find_listing

if TYPE_CHECKING:
    from tidelake.session import Session

ALL = "(all)"
_KEYS = ("day", "dimension", "segment")  # of the query `numbers`; its other columns are the lake's metrics
_LEDGER = {
    "lines": {"read": 1, "filtered": -1, "superseded": -1},
    "loaded": {"accepted": 1},
    "duplicates": {"duplicate": 1},
    "rejected": {"quarantined": 1},
}
_AVERAGES = {"baseline": "before", "post": "after", "fall_percent": "fall in %"}
_EVERY_SEGMENT = 1_000_000
_DAY = np.timedelta64(1, "D")


class _Cell(NamedTuple):
    """A row of the lake's answer."""

    value: float | None
    numerator: float | None
    denominator: float | None
    status: str


Cells = Mapping[tuple[Any, ...], float | None]
Series = dict[tuple[str, str], dict[date, _Cell]]  # by dimension and segment
Sides = tuple[tuple[date, ...], ...]


@dataclass(frozen=True)
class Pair:
    """One number on both sides, in all of its cells (dimension, segment, day).

    Attributes:
        adds_up: Whether the sum of the cells says something.
    """

    number: str
    lake: Cells
    postgres: Cells
    adds_up: bool = True

    @property
    def differing(self) -> list[tuple[Any, ...]]:
        """The cells that are not equal: no row is the same as null or nothing, null is not zero."""
        keys = dict.fromkeys([*self.lake, *self.postgres])
        return [key for key in keys if not _equal(key, self.lake, self.postgres)]

    def row(self) -> dict[str, Any]:
        """The number as a row of the table."""
        wrong = self.differing
        size = len({*self.lake, *self.postgres})
        return {
            "number": self.number,
            "cells": size,
            "lake": self._shown(self.lake, wrong),
            "PostgreSQL": self._shown(self.postgres, wrong),
            "equal": "yes" if not wrong else "NO" if size == 1 else f"NO, {len(wrong):,} cells differ",
        }

    def _shown(self, cells: Cells, wrong: list[tuple[Any, ...]]) -> str:
        if wrong:
            where = " ".join(str(part) for part in wrong[0])
            return f"{where}: {_text(cells[wrong[0]]) if wrong[0] in cells else 'no row'}".removeprefix(": ")
        overall = {key: value for key, value in cells.items() if key[0] == ALL} or cells
        values = [value for value in overall.values() if value is not None]
        if len(overall) == 1 or not values:
            return _text(values[0] if values else None)
        return _text(math.fsum(values)) if self.adds_up else f"{_text(min(values))} to {_text(max(values))}"


def _equal(key: tuple[Any, ...], lake: Cells, postgres: Cells) -> bool:
    if key not in lake or key not in postgres:
        return (lake.get(key) or 0) == (postgres.get(key) or 0)
    one, other = lake[key], postgres[key]
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def _text(value: float | None) -> str:
    if value is None:
        return "null"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4f}".rstrip("0").rstrip(".")


def beside_postgres(session: Session, folder: Path, url: str) -> tuple[Result, bool]:
    """Load the project's log files into PostgreSQL, ask there, and put every number beside the lake's.

    Args:
        session: The built project, with one source of JSON Lines in a local folder.
        folder: Where schema.sql, load.sql and sql_queries.sql are.
        url: The database; its tables are made where they are missing, and a second load changes nothing.

    Returns:
        One row a number, and whether all are equal.

    Raises:
        ProjectError: The source's files are not in a folder.
        SourceError: No server, or no right.
    """
    source, files = _log_files(session)
    server = Server(url, what="--postgres")
    with server.connect() as connection:
        connection.execute((folder / "schema.sql").read_text(encoding="utf-8"))
        copy_lines(connection, files)
        run_script(connection, folder / "load.sql")
        found = run_script(connection, folder / "sql_queries.sql")
    compared = _Compared(session, source, {name: rows.to_pylist() for name, rows in found.items()}, set(files))
    pairs = list(compared.pairs())
    is_equal = not any(pair.differing for pair in pairs)
    table = pa.Table.from_pylist([pair.row() for pair in pairs])
    cells = sum(row["cells"] for row in table.to_pylist())
    verdict = "all are equal; shown is each number over all segments."
    if not is_equal:
        verdict = "NOT all are equal; of those, the first cell that differs is shown."
    notes = (
        f"{len(pairs)} numbers, {cells:,} cells: {verdict}",
        *compared.notes,
        f"The queries: {folder / 'sql_queries.sql'}; the tables: {server.shown}, collapse.*",
    )
    return Result(table, title="The same numbers inside PostgreSQL", notes=notes), is_equal


def _log_files(session: Session) -> tuple[str, dict[str, Path]]:
    """The event source and its files by the name that the lake's ledger gives them."""
    (name,) = [name for name, source in session.sources.items() if source.fact == "event"]
    pattern = session.sources[name].path
    if "://" in pattern:
        raise ProjectError(f"The logs are at {pattern}.", hint="--postgres loads files of a folder: copy them there.")
    looks = find_listing(pattern, root=session.project.root).looks()
    return name, {look.source_path: Path(look.path) for look in looks}


@dataclass
class _Compared:
    """The lake's numbers, each beside what PostgreSQL found.

    Attributes:
        found: PostgreSQL's rows by query.
        files: The files that were loaded now.
        notes: What a reader must know besides.
    """

    session: Session
    source: str
    found: Mapping[str, list[dict[str, Any]]]
    files: set[str]
    notes: list[str] = field(default_factory=list)

    def pairs(self) -> Iterator[Pair]:
        """Every number: the row ledger, the days, the metrics by day and segment, averages, and what was lost."""
        yield from self._ledger()
        if not self.found["numbers"]:
            return
        dimensions = list(dict.fromkeys(row["dimension"] for row in self.found["numbers"]))
        metrics = list(self.found["numbers"][0])[len(_KEYS) :]
        asked = {metric: self._asked(metric, dimensions) for metric in metrics}
        after = {row["day"] for row in self.found["days"] if row["is_after"]}
        sides = self._sides(asked["plays"].get((ALL, ALL), {}), after)
        yield Pair(
            "days that can be compared",
            {(day,): 1 for days in sides for day in days},
            {(row["day"],): 1 for row in self.found["days"] if row["is_comparable"]},
        )
        for metric, series in asked.items():
            yield self._by_day(metric, series)
        for metric, series in asked.items():
            averages = {key: _averages(days, sides) for key, days in series.items()}
            for column, name in _AVERAGES.items():
                lake = {key: found[column] for key, found in averages.items()}
                yield Pair(f"{metric}, {name}", lake, self._cells("averages", column, series, metric), adds_up=False)
        for number, metric, unit in (("plays_lost", "plays", 1), ("hours_lost", "watch_seconds", 3600)):
            lake = {key: _lost(days, sides, unit) for key, days in asked[metric].items()}
            yield Pair(number, lake, self._cells("losses", number, asked[metric]))

    def _cells(self, query: str, column: str, series: Series, number: str | None = None) -> Cells:
        """PostgreSQL's values by dimension and segment, of the dimensions that the lake was asked by."""
        dimensions = {dimension for dimension, _ in series}
        return {
            (row["dimension"], row["segment"]): row[column]
            for row in self.found[query]
            if row["dimension"] in dimensions and row.get("number") == number
        }

    # --- rows in, rows out

    def _ledger(self) -> Iterator[Pair]:
        """Lines of every file by what became of them, and the reasons of those that were not taken."""
        lake = [row for row in self.session.ledger().to_dicts() if row["source_path"] in self.files]
        postgres = [row for row in self.found["ledger"] if row["source_file"] != ALL]
        others = sorted({row["source_file"] for row in postgres} - self.files)
        if others:
            self.notes.append(
                f"The database holds lines of other files too ({', '.join(others[:3])} ...): give an empty one."
            )
        for number, columns in _LEDGER.items():
            counted = {(row["source_path"],): _signed_sum(row, columns) for row in lake}
            loaded = {(row["source_file"],): row[number] for row in postgres}
            if number in ("loaded", "duplicates"):
                # Of two equal lines in different files either may be the one that is kept.
                counted, loaded = {(ALL,): sum(counted.values())}, {(ALL,): sum(loaded.values())}
            yield Pair("lines read" if number == "lines" else f"lines {number}", counted, loaded)
        reasons = {(row["reason"],): row["rows"] for row in self.session.quarantine(summary=True).to_dicts()}
        yield Pair(
            "lines rejected, by reason", reasons, {(row["reason"],): row["lines"] for row in self.found["rejected"]}
        )

    # --- metrics

    def _asked(self, metric: str, dimensions: Sequence[str]) -> Series:
        """The lake's answer by (dimension, segment) and day, for the dimensions that both sides have it by."""
        found: Series = {}
        for dimension in dimensions:
            rows = [row for row in self.found["numbers"] if row["dimension"] == dimension]
            if all(row[metric] is None for row in rows):
                continue
            by = () if dimension == ALL else (dimension,)
            try:
                told = self.session.measure(metric, by=by, segment_limit=_EVERY_SEGMENT).to_dicts()
            except (DefinitionError, UnknownNameError) as error:
                self.notes.append(f"Not asked of the lake: {metric} by {dimension}. {error}")
                continue
            for row in told:
                cell = _Cell(row["value"], row["numerator"], row["denominator"], row["status"])
                found.setdefault((dimension, row[dimension] if by else ALL), {})[row["period_start"]] = cell
        return found

    def _by_day(self, metric: str, series: Series) -> Pair:
        dimensions = {dimension for dimension, _ in series}
        postgres = {
            (row["dimension"], row["segment"], row["day"]): row[metric]
            for row in self.found["numbers"]
            if row["dimension"] in dimensions
        }
        lake = {(*key, day): cell.value for key, days in series.items() for day, cell in days.items()}
        is_ratio = any(cell.denominator is not None for days in series.values() for cell in days.values())
        return Pair(f"{metric}, by day", lake, postgres, adds_up=not is_ratio)

    def _sides(self, plays: Mapping[date, _Cell], after: set[date]) -> Sides:
        """Whole days before and after the change whose weekday is there on both sides.

        A first or last day is a part of one where its log is silent at its outer end for longer than between any two
        events of the same or of successive days.
        """
        times = self.session.sql(f"SELECT event_time FROM silver.{self.source}").table.column("event_time")
        instants = np.sort(np.asarray(times.cast("timestamp[us]")))
        dates = instants.astype("datetime64[D]")
        near = np.diff(instants)[np.diff(dates) <= _DAY]
        parts = set()
        if len(near):
            longest = near.max()
            parts |= {dates[0].item()} if instants[0] - dates[0] > longest else set()
            parts |= {dates[-1].item()} if dates[-1] + _DAY - instants[-1] > longest else set()
        whole = [day for day, cell in plays.items() if cell.status == "complete" and day not in parts]
        before = [day for day in whole if day not in after]
        later = [day for day in whole if day in after]
        shared = {day.weekday() for day in before} & {day.weekday() for day in later}
        return tuple(tuple(day for day in days if day.weekday() in shared) for days in (before, later))


def _signed_sum(row: Mapping[str, Any], columns: Mapping[str, int]) -> float:
    return math.fsum(sign * row[name] for name, sign in columns.items())


def _averages(days: Mapping[date, _Cell], sides: Sides) -> dict[str, float | None]:
    """The mean of a day on both sides, of a ratio the ratio of the sums, and the fall in per cent."""
    baseline, post = (_mean([days[day] for day in side if day in days], len(side)) for side in sides)
    is_known = baseline and post is not None
    return {
        "baseline": baseline,
        "post": post,
        "fall_percent": 100 * (1 - (post or 0) / baseline) if is_known and baseline else None,
    }


def _mean(cells: Sequence[_Cell], length: int) -> float | None:
    above = math.fsum(cell.numerator or 0 for cell in cells)
    if any(cell.denominator is not None for cell in cells):
        below = math.fsum(cell.denominator or 0 for cell in cells)
        return above / below if below else None
    return above / length if length else None


def _lost(days: Mapping[date, _Cell], sides: Sides, unit: float) -> float | None:
    """What the days after the change fell short of the mean of their weekday before it."""
    before, after = sides
    found = []
    for day in after:
        alike = [days[one].value or 0 for one in before if one.weekday() == day.weekday()]
        found.append(math.fsum(alike) / len(alike) - (days[day].value or 0))
    return math.fsum(found) / unit if found else None
