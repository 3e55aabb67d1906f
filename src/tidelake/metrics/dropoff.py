"""Drop-off: sessions with little watched, by two dimensions, each value tested against the rest (METRICS section 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from tidelake.config import Project, Settings
from tidelake.contracts.source import Source, columns_by_field
from tidelake.contracts.table import literal, quoted
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.engine.sql import check_expression, check_names_in
from tidelake.errors import DefinitionError
from tidelake.gold.builtin import ALL
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import dates_condition, real
from tidelake.metrics.answer import answer, number_fields, version_of, within_one
from tidelake.metrics.attributes import attribute_notes, attribute_tables, session_notes, session_rows
from tidelake.metrics.choosing import need_events
from tidelake.metrics.dimensions import UNKNOWN, check_by, fact_dimensions
from tidelake.metrics.intervals import benjamini_hochberg, moments_bounds
from tidelake.metrics.kinds.strata import (
    Z_90,
    Cell,
    Contrast,
    against_the_rest,
    heterogeneity,
    heterogeneity_contrasts,
    standard_error,
    trials_needed,
    two_sided,
)
from tidelake.metrics.measure import OTHER
from tidelake.metrics.periods import dates_between
from tidelake.metrics.series import observe_read, span
from tidelake.metrics.status import Observed

SESSIONS = "gold.sessions"
CELLS = "temp.dropoff_cells"
_SUMS = ", ".join(f"CAST(sum({name}) AS BIGINT) AS {name}" for name in ("x", "y", "unwatched"))
_FEW_PAIRS = 8  # pairs of an actor's cells for each of them
ABNORMAL, LOWER, SAME, UNTOLD = "abnormal", "lower", "no difference", "cannot be told"


class Dropoff(Settings):
    """What drops off, and when a value's share is called abnormal.

    Attributes:
        threshold_seconds: A session drops off with fewer seconds watched.
        abnormal_difference: Least difference from the rest that is called abnormal.
        same_margin: A value does not differ where the 90 % interval of the difference lies within this.
        alpha: Share of false alarms among the alarms (Benjamini and Hochberg).
        limit: Values of a dimension with rows of their own; the rest is `(other)`.
    """

    threshold_seconds: float = Field(10.0, gt=0, allow_inf_nan=False)
    abnormal_difference: float = Field(0.02, gt=0, lt=1)
    same_margin: float = Field(0.05, gt=0, lt=1)
    alpha: float = Field(0.05, gt=0, lt=1)
    limit: int = Field(20, ge=2, le=50)


def dropoff(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Dropoff | None = None,
    *,
    by: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
    members: bool = False,
) -> Result:
    """The share of sessions below a threshold of watch seconds, by two dimensions, and which values are abnormal.

    Sessions of complete days only. A session without any watch event has 0 seconds and counts. A session counts for
    the values at its first event.

    Args:
        by: One or two dimensions of sessions; each value is compared with the rest within the values of the other.
        start: First local date; None = where the data begin.
        end: Last local date; None = where the data end.
        where: SQL over the columns of sessions.
        members: The actors behind the numbers instead: dimension, segment, actor_id, sessions, dropped_sessions.

    Returns:
        One row a dimension and value: `value` = `numerator` / `denominator` = sessions below the threshold / sessions,
        `n` = actors, interval by the delta method over actors; `no_watch_share`; `difference` from the rest with its
        90 % interval, `p_value` (at the share of both sides together), `q_value` (Benjamini and Hochberg over the
        dimension), `verdict` (abnormal, lower, no difference, cannot be told), `sessions_needed` for a verdict where it
        cannot be told; `heterogeneity_p`: one test of all values of the dimension.

    Raises:
        UnknownNameError: Sessions have no such dimension.
        DefinitionError: Not one or two dimensions, or no source says what was watched.
        QueryError: `where` is not one portable condition over sessions.
    """
    need_events(sources, "Drop-off")
    gold = open_gold(engine, lake, project, sources)
    where = gold.events.attributes.spelled(where) if where else where
    names = (by,) if isinstance(by, str) else tuple(by)
    _check(gold, names, where)
    observed = observe_read(gold, [source.name for source in gold.events.sources], [SESSIONS])
    first, last = span(observed, start, end)
    return _Question(gold, definition or Dropoff(), names, where, observed, first, last).answer(members=members)


def _check(gold: Gold, by: Sequence[str], where: str | None) -> None:
    if not by or len(by) > 2 or len(set(by)) != len(by):
        raise DefinitionError(
            f"Drop-off is told by one or two dimensions, not by {', '.join(by) or 'none'}.",
            hint="Each value is compared with the rest within those of the other: --by device_os --by app_version.",
        )
    if gold.events.sources and not gold.events.has_watch:
        raise DefinitionError("No event tells what was watched.", hint="Say it under `watch:` (docs/settings.md).")
    check_by(gold, by, fact_dimensions(gold, "session"), more="List it under `dimensions:` in tide.yml.")
    if where is not None:
        check_expression(where)
        schema = gold.lake.schema(SESSIONS)
        columns = [*(schema.names if schema is not None else ()), *gold.project.dimensions]
        check_names_in(where, columns, columns_by_field(gold.sources))


@dataclass(frozen=True)
class _Question:
    gold: Gold
    asked: Dropoff
    by: tuple[str, ...]
    where: str | None
    observed: Observed
    first: date | None
    last: date | None

    def answer(self, *, members: bool) -> Result:
        notes: list[str] = []
        rows: list[dict[str, Any]] = []
        sql = ""
        days = self._days()
        if self.gold.lake.version(SESSIONS) is None or not days:
            notes.append("There is no complete day with sessions.")
        else:
            sql = self._cells_sql(days)
            self.gold.temp("dropoff_cells", sql)
            self._put_together(notes)
            if members:
                return self._answered(self._members(), _MEMBER_FIELDS, sql, notes)
            for index, name in enumerate(self.by):
                rows += self._of_dimension(index, name, days, notes)
            notes.append(f"sessions of {len(days)} complete days, {days[0]} to {days[-1]}{self._left_out(days)}")
        return self._answered(rows, _MEMBER_FIELDS if members else _FIELDS, sql, notes)

    # --- sessions

    def _days(self) -> list[date]:
        if self.first is None or self.last is None:
            return []
        return [day for day in dates_between(self.first, self.last) if self.observed.of_day(day) == "complete"]

    def _left_out(self, days: Sequence[date]) -> str:
        assert self.first is not None
        assert self.last is not None
        gone = (self.last - self.first).days + 1 - len(days)
        return f"; {gone} left out that are not complete" if gone else ""

    def _cells_sql(self, days: Sequence[date]) -> str:
        """One row an actor and cell: sessions, those that dropped off, and those without a watch event."""
        cut = [f"coalesce(CAST({quoted(name)} AS VARCHAR), '{UNKNOWN}')" for name in self.by]
        listed = [f"{text} AS c{index}" for index, text in enumerate(cut)] + [f"'{ALL}' AS c1"] * (2 - len(cut))
        condition = f" AND ({self.where})" if self.where else ""
        nothing = " AND ".join(["coalesce(watch_seconds, 0) = 0", "coalesce(play_count, 0) = 0", *self._of_watch()])
        return (
            f"SELECT actor_id, {', '.join(listed)}, count(*) AS x, "
            f"count(*) FILTER (WHERE coalesce(watch_seconds, 0) < {real(self.asked.threshold_seconds)}) AS y, "
            f"count(*) FILTER (WHERE {nothing}) AS unwatched FROM {session_rows(self.gold, self.by, self.where)} "
            f"WHERE {dates_condition('session_date', days)}{condition} GROUP BY {', '.join(['actor_id', *cut])}"
        )

    def _of_watch(self) -> list[str]:
        """Conditions for nothing known of a first watch event: one of 0 declared seconds is a watch event too."""
        schema = self.gold.lake.schema(SESSIONS)
        names = [] if schema is None else [name for name in schema.names if name.startswith("first_watch_")]
        return [f"{quoted(name)} IS NULL" for name in names]

    def _put_together(self, notes: list[str]) -> None:
        """Give the smallest values beyond the limit the name `(other)`."""
        for index, name in enumerate(self.by):
            sizes = f"SELECT c{index} AS value, sum(x) AS x FROM {CELLS} GROUP BY c{index} ORDER BY x DESC, value"
            values = [row["value"] for row in self.gold.query(sizes)]
            if len(values) <= self.asked.limit:
                continue
            kept = ", ".join(literal(value) for value in values[: self.asked.limit])
            merged = f"CASE WHEN c{index} IN ({kept}) THEN c{index} ELSE '{OTHER}' END"
            columns = [merged if place == index else f"c{place}" for place in range(2)]
            table = self.gold.engine.query(
                f"SELECT actor_id, {columns[0]} AS c0, {columns[1]} AS c1, {_SUMS} "
                f"FROM {CELLS} GROUP BY actor_id, {columns[0]}, {columns[1]}"
            )
            self.gold.temp("dropoff_cells", table)
            limit = self.asked.limit
            notes.append(f"{name} has {len(values)} values: the {limit} largest are shown, the others are {OTHER}.")

    # --- numbers

    def _of_dimension(self, index: int, name: str, days: Sequence[date], notes: list[str]) -> list[dict[str, Any]]:
        found = self._shares(index)
        values = [row["value"] for row in found]
        cells = {(row["value"], ALL): (row["x"], row["y"]) for row in found}
        if len(self.by) > 1:
            summed = self.gold.query(f"SELECT c0, c1, sum(x) AS x, sum(y) AS y FROM {CELLS} GROUP BY c0, c1")
            cells = {(row[f"c{index}"], row[f"c{1 - index}"]): (float(row["x"]), float(row["y"])) for row in summed}
        compared = [against_the_rest(cells, value) for value in values]
        scores, all_at_once = heterogeneity_contrasts(cells, values)
        spread = [contrast for one in compared for contrast in (one.own, one.common)]
        actors, squares, products = self._moments(index, list(cells), spread, all_at_once)
        tested = heterogeneity(scores, products, actors) if len(values) > 1 else None
        if tested is not None:
            words = f"chi-square {tested[0]:.1f} with {tested[1]} degrees of freedom, p = {tested[2]:.2g}"
            notes.append(f"{name}: one test of all {len(values)} values: {words}")
        errors = [
            (standard_error(squares[2 * place], actors), standard_error(squares[2 * place + 1], actors))
            for place in range(len(values))
        ]
        p_values = [
            None if one.difference is None or common is None else two_sided(one.difference, common)
            for one, (_, common) in zip(compared, errors, strict=True)
        ]
        q_values = benjamini_hochberg(p_values)
        tests = sum(p is not None for p in p_values)
        rows = []
        for row, one, (own, common), p, q in zip(found, compared, errors, p_values, q_values, strict=True):
            error = None if own is None or common is None else max(own, common)
            rows.append(
                {
                    "period_start": days[0],
                    "period_end": days[-1],
                    "grain": "range",
                    "dimension": name,
                    "segment": row["value"],
                    **_share(row),
                    **judged(one.difference, error, q, row["x"], tests=tests, rule=self.asked),
                    "p_value": p,
                    "q_value": q,
                    "heterogeneity_p": None if tested is None else tested[2],
                    "status": "complete",
                }
            )
        apart = sum(row["verdict"] in (ABNORMAL, LOWER) for row in rows)
        if len(rows) > 2 and apart * 2 > len(rows):
            notes.append(differing(name, apart, len(rows), self.asked.abnormal_difference))
        return rows

    def _shares(self, index: int) -> list[dict[str, Any]]:
        """Each value's sums and sums of squares over its actors, the value with the most sessions first."""
        by_actor = f"SELECT c{index} AS value, CAST(x AS DOUBLE) AS x, CAST(y AS DOUBLE) AS y, unwatched FROM {CELLS}"
        if len(self.by) > 1:
            by_actor = (
                f"SELECT c{index} AS value, CAST(sum(x) AS DOUBLE) AS x, CAST(sum(y) AS DOUBLE) AS y, "
                f"sum(unwatched) AS unwatched FROM {CELLS} GROUP BY c{index}, actor_id"
            )
        return self.gold.query(
            "SELECT value, count(*) AS actors, sum(x) AS x, sum(y) AS y, sum(unwatched) AS unwatched, "
            f"sum(y * y) AS yy, sum(x * y) AS xy, sum(x * x) AS xx FROM ({by_actor}) AS by_actor GROUP BY value "
            "ORDER BY x DESC, value"
        )

    def _moments(
        self, index: int, cells: Sequence[Cell], squared: Sequence[Contrast], crossed: Sequence[Contrast]
    ) -> tuple[int, list[float], np.ndarray[Any, np.dtype[np.float64]]]:
        """Actors, and sums over them: squares of some contrasts, products of each two of others; one reading."""
        contrasts = [*squared, *crossed]
        columns: dict[str, list[Any]] = {
            "c0": [cell[index] for cell in cells],
            "c1": [cell[1 - index] for cell in cells],
        }
        for place, contrast in enumerate(contrasts):
            given = [contrast.weights.get(cell, (0.0, 0.0)) for cell in cells]
            columns[f"w{place}"] = [weight for weight, _ in given]
            columns[f"e{place}"] = [weight * share for weight, share in given]
        begin, size = len(squared), len(crossed)
        (spread,) = self.gold.query(
            "SELECT count(*) AS actors, sum(cells) AS cells, sum(cells * cells) AS pairs FROM "
            f"(SELECT actor_id, count(*) AS cells FROM {CELLS} GROUP BY actor_id) AS by_actor"
        )
        if spread["pairs"] <= _FEW_PAIRS * spread["cells"]:
            return spread["actors"], *self._paired(columns, begin, size)
        self.gold.temp("dropoff_weights", pa.table(columns))
        sums = ", ".join(f"sum(y * w{place} - x * e{place}) AS f{place}" for place in range(len(contrasts)))
        by_actor = (
            f"SELECT actor_id, {sums} FROM {CELLS} AS cells JOIN temp.dropoff_weights AS weights "
            "ON weights.c0 = cells.c0 AND weights.c1 = cells.c1 GROUP BY actor_id"
        )
        pairs = [(one, other) for one in range(size) for other in range(one, size)]
        wanted = ["count(*) AS actors", *(f"sum(f{place} * f{place}) AS s{place}" for place in range(begin))]
        wanted += [f"sum(f{begin + one} * f{begin + other}) AS p{one}_{other}" for one, other in pairs]
        (row,) = self.gold.query(f"SELECT {', '.join(wanted)} FROM ({by_actor}) AS by_actor")
        products = np.zeros((size, size))
        for one, other in pairs:
            products[one, other] = products[other, one] = row[f"p{one}_{other}"] or 0.0
        return row["actors"], [row[f"s{place}"] or 0.0 for place in range(begin)], products

    def _paired(
        self, columns: Mapping[str, list[Any]], begin: int, size: int
    ) -> tuple[list[float], np.ndarray[Any, np.dtype[np.float64]]]:
        """The sums that `_moments` gives, from those over actors of products of the counts of each two cells.

        Only where actors have few cells each, so that the join of their cells with themselves stays small.
        """
        numbers = {cell: number for number, cell in enumerate(zip(columns["c0"], columns["c1"], strict=True))}
        cells = len(numbers)
        used = ", ".join(f"{side}.c{index} AS {side}{index}" for side in ("a", "b") for index in range(len(self.by)))
        keys = ", ".join(f"{side}.c{index}" for side in ("a", "b") for index in range(len(self.by)))
        found = self.gold.query(
            f"SELECT {used}, sum(CAST(a.x AS DOUBLE) * b.x) AS xx, sum(CAST(a.y AS DOUBLE) * b.x) AS yx, "
            f"sum(CAST(a.y AS DOUBLE) * b.y) AS yy FROM {CELLS} AS a JOIN {CELLS} AS b ON b.actor_id = a.actor_id "
            f"GROUP BY {keys}"
        )
        sums = {name: np.zeros((cells, cells)) for name in ("xx", "yx", "yy")}
        for row in found:
            place = tuple(numbers[row[f"{side}0"], row.get(f"{side}1", ALL)] for side in ("a", "b"))
            for name, table in sums.items():
                table[place] = row[name]
        weights = np.array([columns[f"w{index}"] for index in range(begin + size)], dtype=float).reshape(-1, cells)
        expected = np.array([columns[f"e{index}"] for index in range(begin + size)], dtype=float).reshape(-1, cells)
        crossing = weights @ sums["yx"] @ expected.T
        products = weights @ sums["yy"] @ weights.T - crossing - crossing.T + expected @ sums["xx"] @ expected.T
        return [float(one) for one in np.diag(products)[:begin]], products[begin:, begin:]

    def _members(self) -> list[dict[str, Any]]:
        parts = [
            f"SELECT {literal(name)} AS dimension, c{index} AS segment, actor_id, CAST(sum(x) AS BIGINT) AS sessions, "
            f"CAST(sum(y) AS BIGINT) AS dropped_sessions FROM {CELLS} GROUP BY c{index}, actor_id"
            for index, name in enumerate(self.by)
        ]
        every = f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS members"
        found = self.gold.query(f"{every} ORDER BY dimension, segment, actor_id")
        return [{**row, "status": "complete"} for row in found]

    def _answered(
        self, rows: list[dict[str, Any]], fields: Sequence[pa.Field], sql: str, notes: Sequence[str]
    ) -> Result:
        return answer(
            self.gold,
            rows,
            fields,
            name="dropoff",
            version=version_of(self.gold, self.asked),
            observed=self.observed,
            sql=sql,
            tables=[SESSIONS, *attribute_tables(self.gold, self.by)],
            title=f"Sessions with less than {self.asked.threshold_seconds:g} s watched, by {' and '.join(self.by)}",
            notes=[*notes, *session_notes(self.gold, self.by), *attribute_notes(self.gold, self.by)],
        )


def differing(name: str, apart: int, values: int, least: float) -> str:
    """What to say where most values lie apart from the rest: that a value does is then no sign of a fault."""
    return (
        f"{name}: {apart} of {values} values lie {100 * least:g} points or more from the rest, so that is usual here: "
        "their verdict says that they differ, not that something is wrong. --abnormal (`abnormal_difference`) takes "
        "the least difference that matters."
    )


def judged(
    difference: float | None, error: float | None, q: float | None, sessions: float, *, tests: int, rule: Dropoff
) -> dict[str, Any]:
    """The difference with its 90 % interval, the verdict, and where there is none the sessions that would tell."""
    if difference is None or error is None or not error:
        return {"difference": difference, "verdict": UNTOLD}
    low, high = difference - Z_90 * error, difference + Z_90 * error
    found: dict[str, Any] = {"difference": difference, "difference_low": low, "difference_high": high}
    if q is not None and q <= rule.alpha and abs(difference) >= rule.abnormal_difference:
        return {**found, "verdict": ABNORMAL if difference > 0 else LOWER}
    if -rule.same_margin <= low and high <= rule.same_margin:
        return {**found, "verdict": SAME}
    needed = trials_needed(
        difference,
        error,
        sessions,
        abnormal=rule.abnormal_difference,
        same=rule.same_margin,
        tests=tests,
        alpha=rule.alpha,
    )
    return {**found, "verdict": UNTOLD, "sessions_needed": needed}


def _share(row: Mapping[str, Any]) -> dict[str, Any]:
    value, bounds = moments_bounds(row["actors"], row["y"], row["x"], row["yy"], row["xy"], row["xx"])
    low, high = within_one(bounds)
    return {
        "value": value,
        "numerator": row["y"],
        "denominator": row["x"],
        "n": row["actors"],
        "ci_low": low,
        "ci_high": high,
        "no_watch_share": row["unwatched"] / row["x"],
    }


def _shared(name: str) -> pa.Field:
    return pa.field(name, pa.float64(), metadata={"unit": "share"})


_FIELDS = [
    pa.field("period_start", pa.date32()),
    pa.field("period_end", pa.date32()),
    pa.field("grain", pa.string()),
    pa.field("dimension", pa.string()),
    pa.field("segment", pa.string()),
    *number_fields("share"),
    *(_shared(name) for name in ("no_watch_share", "difference", "difference_low", "difference_high")),
    pa.field("p_value", pa.float64()),
    pa.field("q_value", pa.float64()),
    pa.field("verdict", pa.string()),
    pa.field("sessions_needed", pa.int64()),
    pa.field("heterogeneity_p", pa.float64()),
]
_MEMBER_FIELDS = [
    pa.field("dimension", pa.string()),
    pa.field("segment", pa.string()),
    pa.field("actor_id", pa.string()),
    pa.field("sessions", pa.int64()),
    pa.field("dropped_sessions", pa.int64()),
]
