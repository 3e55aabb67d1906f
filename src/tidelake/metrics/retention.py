"""Retention: who comes back in which unit after entering, by cohort, each cell with who could be seen (METRICS 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, get_args

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source, columns_by_field
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.engine.sql import check_expression, check_names_in
from tidelake.errors import DefinitionError, QueryError, UnknownNameError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables, dates_behind
from tidelake.gold.sqltext import day_start
from tidelake.metrics.answer import Answer, answer, number_fields, version_of, within_one
from tidelake.metrics.attributes import session_notes
from tidelake.metrics.choosing import check_event_names, need_events
from tidelake.metrics.dimensions import check_by, fact_dimensions
from tidelake.metrics.intervals import Bounds, moments_bounds, wilson
from tidelake.metrics.kinds.retention import HOUR, SOURCES, Cell, Plan
from tidelake.metrics.levels import by_level, refuse_level
from tidelake.metrics.periods import dates_between, in_order, next_period
from tidelake.metrics.retention_averages import averages_of, averages_table
from tidelake.metrics.retention_definition import ALL, CohortGrain, Retention
from tidelake.metrics.retention_members import Members
from tidelake.metrics.status import Observed, observe

__all__ = ["Retention", "RetentionResult", "retention"]
SEGMENT_LIMIT = 50
NO_COHORT = "(no cohort)"


@dataclass(frozen=True)
class RetentionResult(Answer):
    """A row a cohort, segment and cell.

    Attributes:
        averages: By segment, source of the cohort and cell, over complete cells: `pooled` (sum of numerators over
            sum of denominators), `simple` (mean of the cohorts), `cohorts`, and `set_changes` where other cohorts
            stand behind it than behind the cell before, so that no line may join them.
        definition: What was asked.
    """

    averages: pa.Table | None = None
    definition: Retention | None = None
    by: tuple[str, ...] = ()
    _asked: Any = field(default=None, repr=False, compare=False)

    def members(self, period: int | None = None) -> Result:
        """The members of every cohort with whether they are in the numerator and in the denominator of a cell.

        Args:
            period: Its number; None = the first.

        Raises:
            DefinitionError: There is no such cell, or there are no data.
        """
        if self._asked is None:
            raise DefinitionError("There are no members: the lake holds no rows for this.")
        lake: Tables = self._asked.gold.lake
        if any(lake.version(source.table) != source.version for source in self.sources):
            raise QueryError("A build has ended since this was asked: its members are others now.", hint="Ask again.")
        found: Result = self._asked.members(period)
        return found


@by_level
def retention(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Retention,
    *,
    by: Sequence[str] = (),
    grain: str | None = None,
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
    segment_limit: int = SEGMENT_LIMIT,
) -> RetentionResult:
    """Share of each cohort that came back, cell by cell.

    Args:
        engine: Runs the SELECTs.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        definition: What is asked.
        by: Dimensions; a member counts for its value at entry.
        grain: Cohorts by day, week or month of the entry, or all in one; None = the unit (hours: day).
        start: First local date of the cohorts; None = where the data begin.
        end: Last local date of the cohorts; None = where the data end.
        where: SQL over silver's columns (sessions: over theirs): only rows for which it is true.
        segment_limit: Values of a dimension that get rows of their own.

    Returns:
        One row a cohort (named by its first date), source of the cohort, segment and cell. `value` = numerator /
        denominator, of the members whose cell has ended; null where there is none (`open`). `size` counts all
        members, `numerator_so_far` returns of those whose cell runs. Wilson's interval where an actor counts once,
        else the delta method's.

    Raises:
        UnknownNameError: Unknown dimension, column, grain or event.
        DefinitionError: The definition asks for what the project does not declare.
        QueryError: A condition is not one portable condition, or names a column that is not there.
    """
    gold = open_gold(engine, lake, project, sources).at_level()
    refuse_level(gold, "sessions", when=definition.fact == "session")
    refuse_level(gold, "cohort_by", when=definition.cohort_by != "entry")
    where = gold.events.attributes.spelled(where) if where else where
    by = (by,) if isinstance(by, str) else tuple(by)
    grains = get_args(CohortGrain)
    chosen = grain or ("day" if definition.unit == "hour" else definition.unit)
    if chosen not in grains:
        raise UnknownNameError("grain", chosen, grains)
    in_order(start, end)
    _check(gold, definition, by, where)
    observed = observe(gold, [source.name for source in gold.events.sources])
    who = Members(gold, definition, by, chosen, where, observed, start, end, segment_limit)
    return _Question(gold, definition, by, chosen, observed, who).answer()


def _check(gold: Gold, definition: Retention, by: tuple[str, ...], where: str | None) -> None:
    need_events(gold.sources, "Retention")
    if not gold.events.sources:
        return  # nothing was built yet: which columns there will be is not known
    check_by(gold, by, fact_dimensions(gold, definition.fact))
    if definition.fact == "session":
        names = [*_session_columns(gold), *gold.project.dimensions]
        for condition in (where, definition.entry.where, definition.returned.where):
            if condition is not None:
                check_expression(condition)
                check_names_in(condition, names, {})
    elif where is not None:
        check_expression(where)
        check_names_in(where, list(gold.events.types), columns_by_field(gold.sources))


def _session_columns(gold: Gold) -> list[str]:
    schema = gold.lake.schema("gold.sessions")
    return [] if schema is None else list(schema.names)


@dataclass(frozen=True)
class _Question:
    gold: Gold
    definition: Retention
    by: tuple[str, ...]
    grain: str
    observed: Observed
    who: Members
    memo: dict[str, Any] = field(default_factory=dict, compare=False)

    # --- answer

    def answer(self) -> RetentionResult:
        mark = self._ended_by()
        if self.observed.first is None or mark is None or not self._is_there():
            return self._result([], [], "", ["The lake holds no rows for this yet."], None)
        kinds = self.who.write_kinds()
        if kinds is None:
            self.who.write_members()
        plan = self.who.plan(mark)
        self.who.write_cells(plan)
        self.memo["plan"], self.memo["reached"] = plan, plan.reached(self.who.hits(plan))
        reached = self.memo["reached"]
        if kinds is not None:
            plan = kinds.plan(plan)
            reached = plan.reached(kinds.hits(plan))
        counted = plan.numerators(reached)
        sizes = self.gold.query(plan.sizes())
        found = self.gold.query(counted)
        asked = [self.definition.entry, self.definition.returned]
        check_event_names(self.gold, asked, is_met=bool(sizes and found))
        rows = self._rows(plan, sizes, found, reached)
        averages = averages_of(rows, plan.cells, self.by, self._pooled_bounds(plan, rows, reached))
        without = self.gold.query("SELECT count(*) AS n FROM temp.retention_outside") if self.who.signup else []
        if without and without[0]["n"]:
            rows.append(self._no_cohort(without[0]["n"]))
        notes = [*self.who.memo["notes"], *self._notes(rows)]
        notes += session_notes(self.gold, self.by) if self.definition.fact == "session" else []
        return self._result(rows, averages, counted, notes, self)

    def members(self, period: int | None) -> Result:
        """See `RetentionResult.members`."""
        plan: Plan = self.memo["plan"]
        cells = {cell.number: cell for cell in plan.cells}
        wanted = plan.cells[0].number if period is None else period
        if wanted not in cells:
            raise DefinitionError(f"There is no period {wanted}.", hint=f"There are {', '.join(map(str, cells))}.")
        # Another question may have been asked since: its small tables are not ours.
        self.who.write_members()
        self.who.write_cells(plan)
        sql = plan.members(self.memo["reached"], cells[wanted], self.by)
        table = self.gold.engine.query(sql)
        if self.grain == ALL:
            place = table.column_names.index("cohort_start")
            table = table.set_column(place, "cohort_start", pa.nulls(table.num_rows, pa.date32()))
        title = f"Members, period {cells[wanted].label}: {self.definition.words()}"
        return Result(table=table, sql=sql, title=title)

    def _is_there(self) -> bool:
        return self.definition.fact == "event" or self.gold.lake.version("gold.sessions") is not None

    def _ended_by(self) -> datetime | None:
        """W': the instant up to which nothing more is expected."""
        mark = self.observed.watermark
        return None if mark is None else mark - self.observed.lateness

    # --- rows that are given

    def _rows(
        self, plan: Plan, sizes: list[dict[str, Any]], found: list[dict[str, Any]], reached: str
    ) -> list[dict[str, Any]]:
        names = ("cohort", "origin", *(f"g{index}" for index in range(len(self.by))))
        by_cell = {(*(row[name] for name in names), row["cell"]): row for row in found}
        bounds = self._moments(plan, reached, names, sizes)
        rows = []
        for group in sorted(sizes, key=lambda row: tuple(row[name] for name in names)):
            key = tuple(group[name] for name in names)
            for index, cell in enumerate(plan.cells):
                counted = by_cell.get((*key, cell.number), {})
                eligible = int(group[f"d{index}"])
                numerator = counted.get("numerator", 0)
                status = self._status(plan, cell, group, eligible, int(group.get(f"e{index}", eligible)))
                value = numerator / eligible if eligible and status not in ("missing", "open") else None
                low, high = (None, None) if value is None else wilson(numerator, eligible)
                if value is not None and group["actors"] < group["size"]:
                    low, high = bounds.get((*key, cell.number), (None, None))
                rows.append(
                    {
                        **self._named(key),
                        "period": cell.number,
                        "period_label": cell.label,
                        "size": group["size"],
                        "eligible": eligible,
                        "value": value,
                        "numerator": None if value is None else numerator,
                        "denominator": eligible,
                        "n": eligible,
                        "ci_low": low,
                        "ci_high": high,
                        "numerator_so_far": counted.get("numerator_so_far", 0),
                        "is_below_min_n": eligible < self.definition.min_n,
                        "is_biased": self.definition.horizon == "inf",
                        "status": status,
                        "_key": key,
                    }
                )
        return rows

    def _named(self, key: tuple[Any, ...]) -> dict[str, Any]:
        return {
            "cohort_start": None if self.grain == ALL else key[0],
            "cohort_grain": self.grain,
            "cohort_source": SOURCES[key[1]],
            "unit": self.definition.unit,
            **dict(zip(self.by, key[2:], strict=True)),
        }

    def _no_cohort(self, size: int) -> dict[str, Any]:
        empty = dict.fromkeys(("cohort_start", "period", "period_label", "value", "numerator", "ci_low", "ci_high"))
        zero = dict.fromkeys(("eligible", "denominator", "n", "numerator_so_far"), 0)
        named = {"cohort_grain": self.grain, "cohort_source": NO_COHORT, "unit": self.definition.unit}
        return {**empty, **zero, **named, "size": size, "is_below_min_n": True, "is_biased": False, "status": "open"}

    def _moments(
        self, plan: Plan, reached: str, names: Sequence[str], sizes: list[dict[str, Any]]
    ) -> dict[tuple[Any, ...], Bounds]:
        """Bounds by the delta method, where an actor is several members of one cohort."""
        if all(group["actors"] == group["size"] for group in sizes):
            return {}
        found = self.gold.query(plan.moments(reached, is_pooled=False))
        return {
            (*(row[name] for name in names), row["cell"]): within_one(
                moments_bounds(row["actors"], row["y"], row["x"], row["yy"], row["xy"], row["xx"])[1]
            )
            for row in found
        }

    def _status(self, plan: Plan, cell: Cell, group: Mapping[str, Any], eligible: int, ended: int) -> str:
        """`complete` where all members were seen to the end of the cell, on days that were received."""
        if ended == 0:
            return "open"
        gaps = self._gaps(plan, cell, group)
        if gaps is not None:
            return gaps
        if eligible == 0:
            return "partial_left"
        if ended < group["size"] or self._grows(group["cohort"]):
            return "partial_cohort"
        return "complete" if eligible == group["size"] else "partial_left"

    def _grows(self, cohort: date) -> bool:
        """Whether the cohort's own period has not ended: more members may come."""
        mark = self._ended_by()
        if self.grain == ALL or mark is None:
            return False
        after = cohort + timedelta(days=1)
        if self.grain in ("week", "month"):
            after = next_period(cohort, "week" if self.grain == "week" else "month")
        return day_start(after, self.gold.project.zone) > mark

    def _gaps(self, plan: Plan, cell: Cell, group: Mapping[str, Any]) -> str | None:
        """`missing` where no day that the cell looks at was received, `degraded` where one was received in part.

        A single day without rows among others degrades only where files are expected by day or hour: elsewhere
        nothing tells an outage from a day on which nobody came.
        """
        observed, clock = self.observed, plan.clock
        noted = {day: status for day, status in observed.days.items() if status in ("missing", "degraded")}
        mark = self._ended_by()
        if not noted or observed.first is None or observed.last is None or mark is None:
            return None
        zone = self.gold.project.zone
        ends = (cell.high + 1) * clock.step if self.definition.horizon == "inf" else cell.ends
        if clock.is_elapsed:
            day_length = 24 * HOUR
            first = group["first_entry"] + timedelta(days=cell.starts // day_length)
            last = group["last_entry"] + timedelta(days=-(-ends // day_length))
        else:
            entries = (group["first_entry"], group["last_entry"])
            entered = [clock.number_of(day, day_start(day, zone)) for day in entries]
            first = clock.first_date(entered[0] + cell.starts)
            last = clock.first_date(entered[1] + ends) - timedelta(days=0 if clock.unit == "hour" else 1)
        first, last = max(first, observed.first), min(last, observed.last, mark.astimezone(zone).date())
        inside = {day: status for day, status in noted.items() if first <= day <= last}
        if inside and all(inside.get(day) == "missing" for day in dates_between(first, last)):
            return "missing"
        if self._are_files_expected or "degraded" in inside.values():
            return "degraded" if inside else None
        return None

    @property
    def _are_files_expected(self) -> bool:
        names = [source.name for source in self.gold.events.sources]
        return any(self.gold.sources[name].complete.by in ("daily_file", "hourly_file") for name in names)

    # --- averages

    def _pooled_bounds(
        self, plan: Plan, rows: list[dict[str, Any]], reached: str
    ) -> Mapping[tuple[Any, ...], Bounds] | None:
        """Bounds over the complete cells, by the delta method over actors; None where each counts once."""
        if self.definition.cohort != "recurring":
            return None
        complete = [row for row in rows if row["status"] == "complete"]
        if not complete:
            return {}
        names = [f"g{index}" for index in range(len(self.by))]
        columns = {
            "cohort": pa.array([row["_key"][0] for row in complete], pa.date32()),
            "origin": pa.array([row["_key"][1] for row in complete], pa.int64()),
            "cell": pa.array([row["period"] for row in complete], pa.int64()),
        }
        for place, name in enumerate(names, start=2):
            columns[name] = pa.array([row["_key"][place] for row in complete], pa.string())
        self.gold.temp("retention_complete", pa.table(columns))
        found = self.gold.query(plan.moments(reached, is_pooled=True))
        return {
            (row["origin"], *(row[name] for name in names), row["cell"]): within_one(
                moments_bounds(row["actors"], row["y"], row["x"], row["yy"], row["xy"], row["xx"])[1]
            )
            for row in found
        }

    # --- result

    def _notes(self, rows: list[dict[str, Any]]) -> list[str]:
        notes = []
        origins = {row["cohort_source"] for row in rows}
        if "new_or_existing" in origins:
            notes.append(
                f"new_or_existing: entered within {self.definition.warmup_days} days of the start of history "
                f"({self.observed.first}), so it may not have been for the first time. --warmup 0 (`warmup_days=0`) "
                "takes them all as first ones."
            )
        if "first_seen" in origins:
            notes.append(f"first_seen: actors without {self.definition.cohort_by}, from their first entry.")
        if NO_COHORT in origins:
            notes.append(f"{NO_COHORT}: users with neither a date of signup nor an entry.")
        if self.definition.cohort == "recurring":
            notes.append("Recurring cohorts: an actor may be in many.")
        if self.definition.horizon == "inf":
            notes.append("Biased: without a horizon, older cohorts have had longer to come back.")
        if self.definition.counts_same_visit:
            notes.append(
                "The next event of the same visit counts as a return here: ask with --sessions (`fact='session'`) for "
                "another visit, or let the span begin after it, such as --within 30m:72h."
            )
        if self.definition.fact == "session" and dates_behind(self.gold.lake, self.gold.sources, "gold.sessions"):
            notes.append("gold.sessions has not been built since silver changed: `tide build` does it.")
        return notes

    def _result(
        self,
        rows: list[dict[str, Any]],
        averages: list[dict[str, Any]],
        sql: str,
        notes: Sequence[str],
        asked: _Question | None,
    ) -> RetentionResult:
        segments = [pa.field(name, pa.string()) for name in self.by]
        fields = [
            pa.field("cohort_start", pa.date32()),
            pa.field("cohort_grain", pa.string()),
            pa.field("cohort_source", pa.string()),
            *segments,
            pa.field("unit", pa.string()),
            pa.field("period", pa.int64()),
            pa.field("period_label", pa.string()),
            pa.field("size", pa.int64()),
            pa.field("eligible", pa.int64()),
            *number_fields("share"),
            pa.field("numerator_so_far", pa.int64()),
            pa.field("is_below_min_n", pa.bool_()),
            pa.field("is_biased", pa.bool_()),
        ]
        rows = [{**dict.fromkeys(self.by), **{name: row[name] for name in row if name != "_key"}} for row in rows]
        made = answer(
            self.gold,
            rows,
            fields,
            name=self.definition.name,
            version=version_of(self.gold, self.definition),
            observed=self.observed,
            sql=sql,
            tables=self.who.tables if asked else [],
            title=self.definition.words() + (f", by {', '.join(self.by)}" if self.by else ""),
            notes=notes,
        )
        return RetentionResult(
            table=made.table,
            sql=made.sql,
            sources=made.sources,
            title=made.title,
            notes=made.notes,
            averages=averages_table(averages, self.by),
            definition=self.definition,
            by=self.by,
            _asked=asked,
        )
