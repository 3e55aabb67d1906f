"""Writing a table by day in passes that fit into memory, and several tables pass by pass.

A pass is a commit. Each says in its note that the inputs are still to be taken, except the last, so that a build
that was killed is simply run again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from tidelake.engine.base import Layout
from tidelake.errors import DefinitionError
from tidelake.gold.checks import hold_rows, is_retyped, kind_of
from tidelake.gold.context import Gold
from tidelake.gold.coverage import closed_through
from tidelake.gold.identity import restitched
from tidelake.gold.model import Model, ModelRun, Restatement
from tidelake.gold.restate import Numbers, compared, numbers_of, said_reason, to_note
from tidelake.gold.sqltext import dates_condition


class DayTable:
    """A table by day that is brought up to date.

    Args:
        days: The dates to make anew.
        note: The note of the table as it is.
        reason: Why it is made anew.
        is_full: All of its dates are made anew.
    """

    def __init__(
        self, gold: Gold, model: Model, days: Sequence[date], note: Mapping[str, Any], reason: str, *, is_full: bool
    ) -> None:
        assert model.spec.date is not None
        started = time.perf_counter()
        self.model = model
        self.left = set(days)
        self._gold, self._note, self._reason, self._is_full = gold, note, reason, is_full
        self._column = model.spec.date
        self._days = tuple(days)
        closed = date.fromisoformat(note["closed_through"]) if note.get("closed_through") else None
        closed_days = [day for day in days if closed and day <= closed]
        self._before = numbers_of(gold, model.name, self._column, closed_days)
        self._restitched = restitched(gold, note.get("inputs") or {}) if self._before else set()
        self._number = int(note.get("restated", {}).get("number", 0))
        # Also greater than the numbers of a table that was dropped.
        self._fresh_number = max(self._number + 1, time.time_ns() // 1000)
        self._has_written, self._rows, self._restated = False, 0, list[Restatement]()
        self._seconds = time.perf_counter() - started

    def is_whole(self, days: Iterable[date]) -> bool:
        """Whether one pass over these dates makes the table anew, from all rows of its inputs."""
        return self._is_full and not self._has_written and self.left <= set(days)

    def make(self, days: Collection[date]) -> None:
        """Replace the rows of those of these dates that are still to do, if there are any."""
        group = sorted(self.left.intersection(days))
        if group:
            self._make(group)

    def finish(self) -> ModelRun:
        """What was done, after the last pass; where no date was to do, the note is set here."""
        assert not self.left, self.left
        if not self._has_written:
            self._make([])
        version = self._gold.lake.version(self.model.name)
        restated = tuple(self._restated)
        return ModelRun(self.model.name, self._reason, self._days, self._rows, version, self._seconds, restated)

    def _make(self, group: Sequence[date]) -> None:
        started = time.perf_counter()
        gold, model, column = self._gold, self.model, self._column
        read = None if self.is_whole(group) else model.inputs_for(group)
        if model.prepare is not None:
            model.prepare(gold, read)
        made = f"SELECT * FROM ({model.select(read)}) AS made WHERE {dates_condition(column, group)}"
        gold.temp("model_rows", made)
        begins_anew = _check_shape(gold, model, is_full=self._is_full)
        self._rows += hold_rows(gold, model.spec, "temp.model_rows", file=model.file)
        replaced = _replaced(gold, model, group, begins_anew=begins_anew)
        old = {day: self._before[day] for day in group if day in self._before}
        after: Numbers = {} if not old else numbers_of(gold, "temp.model_rows", column, group, like=model.name)
        self._restated += compared(old, after, said_reason(self._reason), self._restitched)
        number = self._fresh_number if self._restated else self._number
        gold.engine.write(
            "SELECT * FROM temp.model_rows",
            model.name,
            "overwrite" if begins_anew else "replace",
            replace=replaced,
            layout=_layout(model),
            note={**self._new_note(is_last=self.left <= set(group)), "restated": to_note(number, self._restated)},
        )
        self.left.difference_update(group)
        self._has_written = True
        self._seconds += time.perf_counter() - started
        gold.progress(model.name.replace(".", " "), len(self._days) - len(self.left), len(self._days), "dates")

    def _new_note(self, *, is_last: bool) -> dict[str, Any]:
        """What a commit says of itself: before the last pass, that the inputs are still to be taken."""
        gold, model, before = self._gold, self.model, self._note
        if is_last:
            silver = tuple((table, gold.lake.version(table)) for table in gold.events.tables)
            through = gold.once(("closed", silver), lambda: closed_through(gold))
            return {
                "definition": model.definition,
                "inputs": gold.versions([item.table for item in model.inputs]),
                "closed_through": through.isoformat() if through else None,
            }
        if self._is_full:
            return {"definition": model.definition, "closed_through": before.get("closed_through")}
        return {name: before[name] for name in ("definition", "inputs", "closed_through") if name in before}


def days_left(tables: Iterable[DayTable]) -> set[date]:
    """The dates that are still to do in some of these tables."""
    return {day for table in tables for day in table.left}


def make_pass(gold: Gold, tables: Iterable[DayTable], days: Sequence[date]) -> None:
    """Make these dates in several tables, from one making of what they share."""
    asking = [table for table in tables if table.left.intersection(days)]
    prepare = asking[0].model.prepare if asking else None
    if prepare is not None:
        prepare(gold, None if all(table.is_whole(days) for table in asking) else days)
    for table in asking:
        table.make(days)


def write_whole(gold: Gold, model: Model) -> int:
    """Make a table without dates anew; gives its rows."""
    gold.temp("model_rows", model.select(None))
    _check_shape(gold, model, is_full=True)
    rows = hold_rows(gold, model.spec, "temp.model_rows", file=model.file)
    gold.engine.write(
        "SELECT * FROM temp.model_rows",
        model.name,
        "overwrite",
        layout=_layout(model),
        note={"definition": model.definition, "inputs": gold.versions([item.table for item in model.inputs])},
    )
    return rows


def _replaced(gold: Gold, model: Model, group: Sequence[date], *, begins_anew: bool) -> dict[str, list[date]]:
    """The partitions to replace; where they are wider than a date, `temp.model_rows` gets their other dates too.

    Not those of a table that begins anew: all of its dates are made, and the old rows have the old types.
    """
    column = model.spec.date
    assert column is not None
    if column in model.spec.partitions:
        return {column: list(group) or [date.min]}
    (wide,) = model.spec.partitions
    found = sorted({day.replace(day=1) for day in group})
    if found and not begins_anew and gold.lake.version(model.name) is not None:
        columns = ", ".join(gold.columns("temp.model_rows"))
        kept = f"{dates_condition(wide, found)} AND NOT {dates_condition(column, group)}"
        rows = f"SELECT {columns} FROM temp.model_rows UNION ALL SELECT {columns} FROM {model.name} WHERE {kept}"
        gold.temp("model_rows", rows)
    return {wide: found or [date.min]}


def _layout(model: Model) -> Layout:
    return Layout(partition_by=model.spec.partitions, sort_by=model.spec.sort_by)


def _check_shape(gold: Gold, model: Model, *, is_full: bool) -> bool:
    """Hold the columns to be written against the contract and against the table as it is.

    Args:
        is_full: The whole table is made anew, so that its columns may take other types.

    Returns:
        Whether they do: the table then begins anew.
    """
    made = gold.engine.schema("temp.model_rows")
    assert made is not None
    kinds = {field.name: kind_of(field.type) for field in made}
    for column, rule in model.spec.columns.items():
        if column not in kinds:
            raise DefinitionError(
                f"{model.name}: the contract declares the column '{column}', which the SELECT does not give.",
                hint=f"It gives: {', '.join(kinds)}.",
            )
        if not model.is_built_in and rule.type != kinds[column]:
            raise DefinitionError(f"{model.name}: column '{column}' is declared {rule.type} and is {kinds[column]}.")
    if model.spec.date is not None and kinds.get(model.spec.date) != "date":
        raise DefinitionError(
            f"{model.name}: `date: {model.spec.date}` must be a column of dates that the SELECT gives.",
            hint=f"It gives: {', '.join(f'{name} ({kind})' for name, kind in kinds.items())}.",
        )
    return is_retyped(gold, model.name, "temp.model_rows", is_full=is_full)
