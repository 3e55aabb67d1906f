"""Bringing the gold tables up to date: each from what changed in its inputs since it was last built.

A table's commit holds in its note which input versions its rows come from, and the hash of its definition,
so data and note change together: a build that was killed is simply run again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.contracts.table import TableSpec, row_checks
from tidelake.engine.base import Engine, Layout
from tidelake.engine.progress import Progress
from tidelake.errors import ContractError, UnknownNameError
from tidelake.gold.builtin import built_in_models
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables, changed_dates, chunks, rows_by_date
from tidelake.gold.entities import TABLE as ENTITIES
from tidelake.gold.entities import build_entities, count_sources
from tidelake.gold.model import Input, Model, ModelRun
from tidelake.gold.sessions import TABLE as SESSIONS
from tidelake.gold.sessions import build_sessions
from tidelake.gold.sqltext import dates_condition


def build_gold(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    *,
    select: Iterable[str] = (),
    full_refresh: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[ModelRun]:
    """Bring gold tables and the project's models up to date.

    Args:
        engine: Runs the SELECTs.
        lake: The tables; silver is up to date.
        project: Settings.
        sources: The project's sources by name.
        select: Tables to build (`gold.sessions` or `sessions`); none = all.
        full_refresh: Make the tables anew from all of their inputs.
        dry_run: Only say what would be done.
        progress: Who watches.

    Returns:
        One entry a table, in the order of building.

    Raises:
        UnknownNameError: `select` names no gold table.
        ContractError: Rows break a table's contract; the table stays as it was.
    """
    gold = open_gold(engine, lake, project, sources, progress)
    models = ordered(built_in_models(gold))
    has_counts = bool(count_sources(gold))
    known = [SESSIONS, *(model.name for model in models)] if gold.events.sources else []
    wanted = _wanted(select, [*known, ENTITIES] if has_counts else known)
    runs: list[ModelRun] = []
    if gold.events.sources and SESSIONS in wanted:
        runs.append(build_sessions(gold, full_refresh=full_refresh, dry_run=dry_run))
    if has_counts and ENTITIES in wanted:
        runs.append(build_entities(gold, full_refresh=full_refresh, dry_run=dry_run))
    for model in models:
        if model.name in wanted:
            stale = {run.name for run in runs if not run.is_current} if dry_run else set()
            runs.append(build_model(gold, model, full_refresh=full_refresh, dry_run=dry_run, stale=stale))
    return runs


def ordered(models: Sequence[Model]) -> list[Model]:
    """The models, each after those it reads."""
    by_name = {model.name: model for model in models}
    done: dict[str, Model] = {}

    def visit(model: Model) -> None:
        for item in model.inputs:
            if item.table in by_name and item.table not in done:
                visit(by_name[item.table])
        done[model.name] = model

    for model in models:
        if model.name not in done:
            visit(model)
    return list(done.values())


def _wanted(select: Iterable[str], known: Sequence[str]) -> set[str]:
    chosen = [name if "." in name else f"gold.{name}" for name in select]
    for name in chosen:
        if name not in known:
            raise UnknownNameError("gold table", name, known)
    return set(chosen or known)


def build_model(
    gold: Gold,
    model: Model,
    *,
    full_refresh: bool,
    dry_run: bool,
    stale: set[str] = frozenset(),  # type: ignore[assignment]
) -> ModelRun:
    """Bring one table up to date."""
    started = time.perf_counter()
    note = gold.lake.note(model.name)
    reason, touched = what_changed(gold, model, note, full_refresh=full_refresh)
    if reason == "nothing new" and stale & {item.table for item in model.inputs}:
        reason, touched = "inputs changed", set()
    version = gold.lake.version(model.name)
    if reason == "nothing new":
        return ModelRun(model.name, reason, (), 0, version, time.perf_counter() - started)
    rows_at = _input_rows(gold, model)
    if dry_run:
        days = sorted(touched if touched is not None else set(rows_at))
        return ModelRun(model.name, reason, tuple(days) if model.spec.date else None, None, version, 0.0)
    if model.spec.date is None:
        days, rows = [], _write_whole(gold, model)
    else:
        days = sorted(_own_dates(gold, model) | set(rows_at) if touched is None else touched)
        rows = _write_dates(gold, model, days, rows_at, note, is_full=touched is None)
    return ModelRun(
        model.name,
        reason,
        tuple(days) if model.spec.date else None,
        rows,
        gold.lake.version(model.name),
        time.perf_counter() - started,
    )


def what_changed(
    gold: Gold, model: Model, note: Mapping[str, Any], *, full_refresh: bool
) -> tuple[str, set[date] | None]:
    """Why to build a table, and the dates of it that are touched; None = all."""
    if gold.lake.version(model.name) is None:
        return "new", None
    if full_refresh:
        return "full refresh", None
    if note.get("definition") != model.definition or "inputs" not in note:
        return "definition changed", None
    before = note["inputs"]
    changed = [item for item in model.inputs if gold.lake.version(item.table) != before.get(item.table)]
    if not changed:
        return "nothing new", set()
    if model.spec.date is None:
        return "inputs changed", None
    touched: set[date] = set()
    for item in changed:
        days = _changed(gold, item, before)
        if days is None:
            return "inputs changed", None
        touched |= model.outputs_of(sorted(days))
    return "inputs changed", touched


def _changed(gold: Gold, item: Input, before: Mapping[str, int]) -> set[date] | None:
    if item.date is None:
        return None
    return changed_dates(gold.lake, item.table, item.date, before.get(item.table))


def _input_rows(gold: Gold, model: Model) -> Any:
    return rows_by_date(gold.lake, [(item.table, item.date) for item in model.inputs if item.date])


def _own_dates(gold: Gold, model: Model) -> set[date]:
    (column,) = model.spec.partitions
    return set(rows_by_date(gold.lake, [(model.name, column)]))


def _write_dates(
    gold: Gold, model: Model, days: Sequence[date], rows_at: Any, note: Mapping[str, Any], *, is_full: bool
) -> int:
    """Replace the table's rows of these dates, in passes that fit into memory; the last one sets the note."""
    column = model.spec.date
    assert column is not None
    passes = chunks(days, rows_at) or [[]]
    written = 0
    for index, group in enumerate(passes):
        is_last = index == len(passes) - 1
        inputs = gold.versions([item.table for item in model.inputs]) if is_last else note.get("inputs")
        select = model.select(None if is_full and len(passes) == 1 else model.inputs_for(group))
        gold.temp("model_rows", f"SELECT * FROM ({select}) AS made WHERE {dates_condition(column, group)}")
        _check_rows(gold, model)
        written += _count(gold)
        marked = {"definition": model.definition} if is_last or not is_full else {}
        gold.engine.write(
            "SELECT * FROM temp.model_rows",
            model.name,
            "replace",
            replace={column: list(group) or [date.min]},
            layout=_layout(model),
            note={**marked, **({"inputs": inputs} if inputs is not None else {})},
        )
        gold.progress(model.name.replace(".", " "), index + 1, len(passes), "passes")
    return written


def _write_whole(gold: Gold, model: Model) -> int:
    gold.temp("model_rows", model.select(None))
    _check_rows(gold, model)
    gold.engine.write(
        "SELECT * FROM temp.model_rows",
        model.name,
        "overwrite",
        layout=_layout(model),
        note={"definition": model.definition, "inputs": gold.versions([item.table for item in model.inputs])},
    )
    return _count(gold)


def _layout(model: Model) -> Layout:
    return Layout(partition_by=model.spec.partitions, sort_by=model.spec.sort_by)


def _count(gold: Gold) -> int:
    return int(gold.query("SELECT count(*) AS n FROM temp.model_rows")[0]["n"])


def _check_rows(gold: Gold, model: Model) -> None:
    """Hold the rows to be written against the table's contract."""
    for name, broken in broken_checks(gold, model.spec, "temp.model_rows"):
        raise ContractError(
            f"{model.name}: {broken} rows break '{name}'. The table was left as it was.",
            hint=f"SELECT the rows of {model.name} that break it, and mend the model or its contract.",
        )


def broken_checks(gold: Gold, spec: TableSpec, rows: str) -> list[tuple[str, int]]:
    """The checks of a contract that rows break, with how many do."""
    checks = row_checks(spec, rows)
    single = [check for check in checks if check.broken is not None]
    found: list[tuple[str, int]] = []
    if single:
        counts = ", ".join(f"count(*) FILTER (WHERE {check.broken}) AS c{i}" for i, check in enumerate(single))
        (counted,) = gold.query(f"SELECT {counts} FROM {rows}")
        found += [(check.name, counted[f"c{i}"]) for i, check in enumerate(single)]
    found += [(check.name, gold.query(check.sql)[0]["broken"]) for check in checks if check.broken is None]
    return [(name, broken) for name, broken in found if broken]
