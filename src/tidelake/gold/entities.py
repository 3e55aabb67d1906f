"""Building `gold.entity_day`: what each entity of the count sources had on each day (METRICS section 13).

A day's rows depend on its own counts, on whether it was received, and on each entity's first and last
appearance: made anew are the days whose counts or coverage changed, and the days on which an entity
starts to exist, is closed, or comes back.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from tidelake.contracts.table import ColumnSpec, TableSpec, literal, load_table, quoted
from tidelake.engine.base import Layout
from tidelake.errors import DefinitionError
from tidelake.gold.checks import hold_rows, is_retyped
from tidelake.gold.context import Gold
from tidelake.gold.coverage import Calendar, calendars
from tidelake.gold.dates import changed_dates, chunks, sum_kind
from tidelake.gold.model import ModelRun, definition_hash
from tidelake.gold.sqltext import FOLDER, SumKind, dates_condition, exact_sum, render, sql_kind

TABLE = "gold.entity_day"
CODE_VERSION = 1
_KINDS: tuple[SumKind, ...] = ("BIGINT", "DOUBLE", "WIDE")
_SPANS = "source, entity, min(day) AS first_date, max(day) AS last_date"


def count_sources(gold: Gold) -> dict[str, tuple[str, ...]]:
    """The count sources that have a silver table, with their measures."""
    found = {}
    for name, source in sorted(gold.sources.items()):
        schema = gold.lake.schema(f"silver.{name}")
        if source.fact == "count" and schema is not None:
            measures = source.measures or ("views",)
            for measure in measures:
                if schema.get_field_index(measure) < 0:
                    raise DefinitionError(f"sources/{name}.yml: measure '{measure}' is no column of silver.{name}.")
            found[name] = tuple(measures)
    return found


def entities_spec(gold: Gold) -> TableSpec:
    """The contract of `gold.entity_day`."""
    declared = load_table(FOLDER / "entity_day.yml", name=TABLE)
    added = {
        measure: ColumnSpec(type="integer" if kind == "BIGINT" else "number", description=f"sum of {measure}")
        for measure, kind in _measure_types(gold, count_sources(gold)).items()
    }
    return declared.model_copy(update={"columns": {**declared.columns, **added}})


def build_entities(gold: Gold, *, full_refresh: bool, dry_run: bool) -> ModelRun:
    """Bring `gold.entity_day` up to date with the count sources."""
    started = time.perf_counter()
    work = _Entities(gold)
    note = gold.lake.note(TABLE)
    reason, days = work.to_do(note, full_refresh=full_refresh)
    version = gold.lake.version(TABLE)
    if reason == "nothing new" or dry_run:
        rows = 0 if reason == "nothing new" else None
        return ModelRun(TABLE, reason, tuple(sorted(days)), rows, version, time.perf_counter() - started)
    written = work.write(sorted(days), note)
    return ModelRun(
        TABLE, reason, tuple(sorted(days)), written, gold.lake.version(TABLE), time.perf_counter() - started
    )


class _Entities:
    def __init__(self, gold: Gold) -> None:
        self.gold = gold
        self.is_full = False
        self.measures = count_sources(gold)
        self.types = _measure_types(gold, self.measures)
        self.calendars = calendars(gold, list(self.measures))
        self.inputs = gold.versions([f"silver.{name}" for name in self.measures])
        self.definition = definition_hash(
            CODE_VERSION, gold.project.timezone, gold.project.activity.any, self.measures, self._select(None)
        )

    # --- which days

    def to_do(self, note: dict[str, Any], *, full_refresh: bool) -> tuple[str, set[date]]:
        """Why to build, and the days; leaves `temp.entity_spans` behind where there is something to do."""
        everything = {day for calendar in self.calendars.values() for day in calendar.days()} | self._own_days()
        if self.gold.lake.version(TABLE) is None:
            return self._all("new", everything)
        if full_refresh:
            return self._all("full refresh", everything)
        if note.get("definition") != self.definition or "inputs" not in note:
            return self._all("definition changed", everything)
        before = {name: Calendar.from_note(note["calendars"].get(name, {})) for name in self.measures}
        touched: dict[str, set[date]] = {}
        for name in self.measures:
            found = changed_dates(self.gold.lake, f"silver.{name}", "event_date", note["inputs"].get(f"silver.{name}"))
            if found is None:
                return self._all("inputs changed", everything)
            touched[name] = found
        days = {date.fromisoformat(day) for day in note.get("pending", ())}
        for name, calendar in self.calendars.items():
            days |= touched[name] | calendar.changed(before[name])
        if not days:
            return "nothing new", set()
        self._spans(touched)
        return "inputs changed", (days | self._moved(before)) & everything

    def _own_days(self) -> set[date]:
        return {
            date.fromisoformat(file.partition["activity_date"] or "")
            for file in self.gold.lake.files(TABLE)
            if file.partition.get("activity_date")
        }

    def _all(self, reason: str, days: set[date]) -> tuple[str, set[date]]:
        self.is_full = True
        parts = [self._observed(name, None) for name in self.measures]
        self._write_spans(f"SELECT {_SPANS} FROM ({' UNION ALL '.join(parts)}) AS seen GROUP BY source, entity")
        return reason, days

    def _spans(self, touched: dict[str, set[date]]) -> None:
        """`temp.entity_spans`: first and last appearance now; `temp.entity_spans_before`: as the table has it."""
        own = f"SELECT source, entity, activity_date AS day FROM {TABLE} WHERE status = 'observed'"
        self.gold.temp("entity_spans_before", f"SELECT {_SPANS} FROM ({own}) AS seen GROUP BY source, entity")
        parts = []
        for name in self.measures:
            stay = f"source = {literal(name)} AND NOT {dates_condition('activity_date', sorted(touched[name]))}"
            parts.append(f"{own} AND {stay}")
            if touched[name]:
                parts.append(self._observed(name, sorted(touched[name])))
        self._write_spans(f"SELECT {_SPANS} FROM ({' UNION ALL '.join(parts)}) AS seen GROUP BY source, entity")

    def _write_spans(self, select: str) -> None:
        self.gold.temp("entity_spans", select)

    def _observed(self, source: str, days: Sequence[date] | None) -> str:
        return (
            f"SELECT {literal(source)} AS source, entity, event_date AS day FROM silver.{source} "
            f"WHERE {self._counts} AND {dates_condition('event_date', days)}"
        )

    @property
    def _counts(self) -> str:
        human = "TRUE" if self.gold.project.activity.any else "coalesce(traffic_class, 'human') = 'human'"
        return f"{human} AND entity IS NOT NULL"

    def _moved(self, before: dict[str, Calendar]) -> set[date]:
        """Days on which rows of an entity appear, disappear, or change between zero and closed."""
        found = self.gold.query(
            "SELECT DISTINCT coalesce(now.source, old.source) AS source, now.first_date AS first_date, "
            "now.last_date AS last_date, old.first_date AS old_first, old.last_date AS old_last "
            "FROM temp.entity_spans AS now FULL OUTER JOIN temp.entity_spans_before AS old "
            "ON old.source = now.source AND old.entity = now.entity"
        )
        days: set[date] = set()
        for row in found:
            calendar, old = self.calendars[row["source"]], before[row["source"]]
            end = max(day for day in (calendar.last, old.last) if day is not None)
            if row["first_date"] != row["old_first"]:
                firsts = [day for day in (row["first_date"], row["old_first"]) if day is not None]
                days |= _between(min(firsts), end if len(firsts) == 1 else max(firsts))
            closed = _closed(row["last_date"], calendar)
            was_closed = _closed(row["old_last"], old)
            if closed != was_closed:
                lasts = [day for day in (closed, was_closed) if day is not None]
                days |= _between(min(lasts), end)
        return days

    # --- rows

    def write(self, days: Sequence[date], note: dict[str, Any]) -> int:
        """Replace the rows of these days."""
        per_day = self.gold.query("SELECT count(*) AS n FROM temp.entity_spans")[0]["n"]
        groups = chunks(days, Counter(dict.fromkeys(days, per_day))) or [[]]
        written, left = 0, set(days)
        for index, group in enumerate(groups):
            self.gold.temp("entity_days", self._days(group))
            self.gold.temp("model_rows", self._select(group))
            begins_anew = is_retyped(self.gold, TABLE, "temp.model_rows", is_full=self.is_full)
            written += hold_rows(self.gold, entities_spec(self.gold), "temp.model_rows")
            left -= set(group)
            self.gold.engine.write(
                "SELECT * FROM temp.model_rows",
                TABLE,
                "overwrite" if begins_anew else "replace",
                replace={"activity_date": group or [date.min]},
                layout=Layout(partition_by=("activity_date",), sort_by=("source", "entity")),
                note=self._note(left, note),
            )
            self.gold.progress("gold entity_day", index + 1, len(groups), "passes")
        return written

    def _note(self, left: Iterable[date], before: dict[str, Any]) -> dict[str, Any]:
        pending = sorted(left)
        if not pending:
            told = {name: calendar.to_note() for name, calendar in self.calendars.items()}
            return {"definition": self.definition, "inputs": self.inputs, "calendars": told}
        if "inputs" not in before or before.get("definition") != self.definition:
            return {"definition": self.definition}
        kept = {name: before[name] for name in ("definition", "inputs", "calendars")}
        return {**kept, "pending": [day.isoformat() for day in pending]}

    def _days(self, days: Sequence[date]) -> pa.Table:
        rows = [
            {
                "source": name,
                "activity_date": day,
                "coverage": calendar.status(day),
                "closed_until": calendar.closed_until() or date(1, 1, 1),
            }
            for name, calendar in self.calendars.items()
            for day in days
            if calendar.first is not None and calendar.last is not None and calendar.first <= day <= calendar.last
        ]
        schema = pa.schema(
            [
                ("source", pa.string()),
                ("activity_date", pa.date32()),
                ("coverage", pa.string()),
                ("closed_until", pa.date32()),
            ]
        )
        return pa.Table.from_pylist(rows, schema=schema)

    def _select(self, days: Sequence[date] | None) -> str:
        return render("entity_day", measures=self._measures(), counted=self._counted(days))

    def _measures(self) -> str:
        found = ""
        for measure, kind in self.types.items():
            holders = [name for name, measures in self.measures.items() if measure in measures]
            has = f"spans.source IN ({', '.join(literal(name) for name in holders)})"
            found += (
                f",\n       CASE WHEN counted.entity IS NOT NULL THEN counted.{quoted(measure)}\n"
                f"            WHEN {has} AND days.coverage <> 'missing'\n"
                f"             AND (spans.last_date > days.closed_until OR days.activity_date < spans.last_date)\n"
                f"            THEN CAST(0 AS {sql_kind(kind)}) END AS {quoted(measure)}"
            )
        return found

    def _counted(self, days: Sequence[date] | None) -> str:
        parts = []
        for name, measures in self.measures.items():
            columns = ""
            for measure, kind in self.types.items():
                value = exact_sum(quoted(measure), kind) if measure in measures else f"CAST(NULL AS {sql_kind(kind)})"
                columns += f", {value} AS {quoted(measure)}"
            parts.append(
                f"SELECT {literal(name)} AS source, entity, event_date{columns} FROM silver.{name} "
                f"WHERE {self._counts} AND {dates_condition('event_date', days)} GROUP BY entity, event_date"
            )
        return "\nUNION ALL\n".join(parts)


def _measure_types(gold: Gold, sources: dict[str, tuple[str, ...]]) -> dict[str, SumKind]:
    found: dict[str, SumKind] = {}
    for name, measures in sources.items():
        table = f"silver.{name}"
        schema = gold.lake.schema(table)
        for measure in measures:
            is_whole = pa.types.is_integer(schema.field(measure).type)
            kind = sum_kind(gold.lake, [table], measure, is_whole=is_whole)
            found[measure] = max(kind, found.get(measure, "BIGINT"), key=_KINDS.index)
    return found


def _closed(last: date | None, calendar: Calendar) -> date | None:
    """The day from which an entity is closed; None while it is not."""
    until = calendar.closed_until()
    return last + timedelta(days=1) if last is not None and until is not None and last <= until else None


def _between(first: date, last: date) -> set[date]:
    return {first + timedelta(days=offset) for offset in range((last - first).days + 1)}
