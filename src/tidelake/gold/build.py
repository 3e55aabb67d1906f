"""Bringing the gold tables up to date: each from what changed in its inputs since it was last built.

A table's commit holds in its note which input versions its rows come from, and the hash of its definition,
so data and note change together: a build that was killed is simply run again.
"""

from __future__ import annotations

import time
from calendar import monthrange
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine, Layout, Parallel
from tidelake.engine.progress import Progress
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.gold.builtin import built_in_models
from tidelake.gold.checks import hold_rows, is_retyped, kind_of
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.coverage import closed_through
from tidelake.gold.dates import Tables, changed_dates, chunks
from tidelake.gold.entities import TABLE as ENTITIES
from tidelake.gold.entities import build_entities, count_sources
from tidelake.gold.ledger import hold_ledger
from tidelake.gold.model import Input, Model, ModelRun, Restatement
from tidelake.gold.models import project_models, read_models
from tidelake.gold.restate import Numbers, compared, numbers_of, said_reason, to_note
from tidelake.gold.sessions import TABLE as SESSIONS
from tidelake.gold.sessions import build_sessions
from tidelake.gold.sqltext import dates_condition

Builder = Callable[..., ModelRun]
BUILT_IN = (SESSIONS, ENTITIES, "gold.user_day", "gold.user_day_value", "gold.event_day")


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
        LedgerError: Rows of silver and gold do not add up.
    """
    gold = open_gold(engine, lake, project, sources, progress)
    steps = _steps(gold)
    wanted = _wanted(select, list(steps))
    chosen = {name: step for name, step in steps.items() if name in wanted}
    runs = _built(gold, chosen, full_refresh=full_refresh, dry_run=dry_run)
    if not list(select):
        runs += _emptied(gold, steps, dry_run=dry_run)
    changed = {day for run in runs if run.name in ("gold.user_day", "gold.event_day") for day in run.dates or ()}
    if changed and not dry_run:
        hold_ledger(gold, sorted(changed))
    return runs


def _built(gold: Gold, steps: Mapping[str, Model | Builder], *, full_refresh: bool, dry_run: bool) -> list[ModelRun]:
    """Bring tables up to date in their order; built-in ones that do not read the sessions are made beside them."""
    done: dict[str, ModelRun] = {}

    def make(name: str, where: Gold) -> None:
        step = steps[name]
        if isinstance(step, Model):
            stale = frozenset(run.name for run in done.values() if not run.is_current) if dry_run else frozenset()
            done[name] = build_model(where, step, full_refresh=full_refresh, dry_run=dry_run, stale=stale)
        else:
            done[name] = step(where, full_refresh=full_refresh, dry_run=dry_run)

    beside = [
        name
        for name, step in steps.items()
        if isinstance(step, Model) and step.is_built_in and SESSIONS not in {item.table for item in step.inputs}
    ]
    if SESSIONS in steps and beside and not dry_run and isinstance(gold.engine, Parallel):
        with closing(gold.engine.beside()) as engine, ThreadPoolExecutor(1, "tidelake-gold") as pool:
            running = pool.submit(make, SESSIONS, replace(gold, engine=engine))
            for name in beside:
                make(name, gold)
            running.result()
    for name in steps:
        if name not in done:
            make(name, gold)
    return [done[name] for name in steps]


def _emptied(gold: Gold, steps: Collection[str], *, dry_run: bool) -> list[ModelRun]:
    """Built-in tables lose their rows when no source of their kind is left."""
    runs = []
    for name in BUILT_IN:
        held = 0 if name in steps else sum(file.records for file in gold.lake.files(name))
        if held:
            if not dry_run:
                gold.progress.say(f"{name}: no source for it is left: its {held:,} rows go.")
                gold.engine.write(f"SELECT * FROM {name} WHERE false", name, "overwrite", note={})
            runs.append(ModelRun(name, "no source left", None, 0, gold.lake.version(name), 0.0))
    return runs


def _steps(gold: Gold) -> dict[str, Model | Builder]:
    """Every table to build, in order."""
    steps: dict[str, Model | Builder] = {}
    if gold.events.sources:
        steps[SESSIONS] = build_sessions
    if count_sources(gold):
        steps[ENTITIES] = build_entities
    steps |= {model.name: model for model in ordered(built_in_models(gold))}
    files = read_models(gold.project.root)
    return steps | {model.name: model for model in project_models(files, _known(gold, steps), gold.project.root)}


def _known(gold: Gold, steps: Mapping[str, Model | Builder]) -> dict[str, str | None]:
    """Tables that models may read, with the date by which their changes are followed."""
    built: dict[str, str | None] = {SESSIONS: "session_date", ENTITIES: "activity_date"}
    known: dict[str, str | None] = {
        table: None for table in gold.lake.tables() if table.partition(".")[0] in ("bronze", "silver", "ops")
    }
    for name, source in gold.sources.items():
        known[f"silver.{name}"] = None if source.fact == "dimension" else "event_date"
    for name, step in steps.items():
        known[name] = step.spec.date if isinstance(step, Model) else built[name]
    return known


def lineage(gold: Gold) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """The tables that each gold table reads, in the order of building: the built-in ones, and the project's own."""
    built_in: dict[str, tuple[str, ...]] = {}
    own: dict[str, tuple[str, ...]] = {}
    for name, step in _steps(gold).items():
        if isinstance(step, Model):
            (built_in if step.is_built_in else own)[name] = tuple(item.table for item in step.inputs)
        elif name == SESSIONS:
            built_in[name] = tuple(gold.events.tables)
        else:
            built_in[name] = tuple(f"silver.{source}" for source in count_sources(gold))
    return built_in, own


def table_names(project: Project, sources: Mapping[str, Source]) -> list[str]:
    """The gold tables that a project can have, also before they are built: the built-in ones, and its own."""
    facts = {source.fact for source in sources.values()}
    found = ["gold.user_day_value"] if "event" in facts and project.dimensions else []
    found += [SESSIONS, "gold.user_day", "gold.event_day"] if "event" in facts else []
    found += [ENTITIES] if "count" in facts else []
    return [*found, *(item.spec.name for item in read_models(project.root))]


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
            near = UnknownNameError("gold table", name, known)
            raise near if known else DefinitionError(str(near), hint="Build its sources first: tide build.")
    return set(chosen or known)


def build_model(
    gold: Gold, model: Model, *, full_refresh: bool, dry_run: bool, stale: frozenset[str] = frozenset()
) -> ModelRun:
    """Bring one table up to date.

    Args:
        stale: In a dry run, tables that would change before this one is built.
    """
    started = time.perf_counter()
    note = gold.lake.note(model.name)
    reason, touched = what_changed(gold, model, note, full_refresh=full_refresh)
    if reason == "nothing new" and stale & {item.table for item in model.inputs}:
        reason, touched = "inputs changed", set()
    version = gold.lake.version(model.name)
    if reason == "nothing new":
        return ModelRun(model.name, reason, (), 0, version, time.perf_counter() - started)
    if not dry_run and version is not None and gold.lake.layout(model.name).partition_by != model.spec.partitions:
        gold.progress.say(f"{model.name}: its partitions changed: it is laid out anew.")
        gold.lake.drop(model.name)
        reason, touched, note = "definition changed", None, {}
    rows_at = _input_rows(gold, model)
    is_dated = model.spec.date is not None
    days = sorted(_own_dates(gold, model) | set(rows_at) if touched is None else touched) if is_dated else []
    if dry_run or reason == "definition changed":
        held = _held(gold, model, days)
        if dry_run:
            return ModelRun(model.name, reason, tuple(days) if is_dated else None, held, version, 0.0)
        where = f"{len(days)} dates" if is_dated else "the whole table"
        gold.progress.say(f"{model.name}: definition changed: {where} with {held:,} rows are made anew.")
    if is_dated:
        rows, restated = _write_dates(gold, model, days, rows_at, note, reason, is_full=touched is None)
    else:
        rows, restated = _write_whole(gold, model), []
    return ModelRun(
        model.name,
        reason,
        tuple(days) if is_dated else None,
        rows,
        gold.lake.version(model.name),
        time.perf_counter() - started,
        tuple(restated),
    )


def _held(gold: Gold, model: Model, days: Sequence[date]) -> int:
    """Rows that the table has on these dates now."""
    wanted = {day.isoformat() for day in days}
    return sum(
        file.records
        for file in gold.lake.files(model.name)
        if model.spec.date is None or file.partition.get(model.spec.date) in wanted
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
    return gold.rows_by_date([(item.table, item.date) for item in model.inputs if item.date])


def _own_dates(gold: Gold, model: Model) -> set[date]:
    assert model.spec.date is not None
    return set(gold.rows_by_date([(model.name, model.spec.date)])) | _days_of_months(gold, model)


def _days_of_months(gold: Gold, model: Model) -> set[date]:
    """Every day of the months that a table partitioned by month has."""
    found: set[date] = set()
    for column in model.spec.partitions:
        if column != model.spec.date:
            for first in gold.rows_by_date([(model.name, column)]):
                found |= {first + timedelta(days=offset) for offset in range(monthrange(first.year, first.month)[1])}
    return found


def _write_dates(
    gold: Gold,
    model: Model,
    days: Sequence[date],
    rows_at: Any,
    note: Mapping[str, Any],
    reason: str,
    *,
    is_full: bool,
) -> tuple[int, list[Restatement]]:
    """Replace the table's rows of these dates, in passes that fit into memory; the last one sets the note."""
    column = model.spec.date
    assert column is not None
    passes = chunks(days, rows_at) or [[]]
    written, restated = 0, list[Restatement]()
    closed = date.fromisoformat(note["closed_through"]) if note.get("closed_through") else None
    before = numbers_of(gold, model.name, column, [day for day in days if closed and day <= closed])
    number = int(note.get("restated", {}).get("number", 0))
    fresh_number = max(number + 1, time.time_ns() // 1000)  # also greater than those of a table that was dropped
    for index, group in enumerate(passes):
        is_last = index == len(passes) - 1
        read = None if is_full and len(passes) == 1 else model.inputs_for(group)
        if model.prepare is not None:
            model.prepare(gold, read)
        made = f"SELECT * FROM ({model.select(read)}) AS made WHERE {dates_condition(column, group)}"
        gold.temp("model_rows", made)
        begins_anew = _check_shape(gold, model, is_full=is_full)
        written += hold_rows(gold, model.spec, "temp.model_rows")
        replaced = _replaced(gold, model, group)
        old = {day: before[day] for day in group if day in before}
        after: Numbers = {} if not old else numbers_of(gold, "temp.model_rows", column, group, like=model.name)
        restated += compared(old, after, said_reason(reason))
        gold.engine.write(
            "SELECT * FROM temp.model_rows",
            model.name,
            "overwrite" if begins_anew else "replace",
            replace=replaced,
            layout=_layout(model),
            note={
                **_note(gold, model, note, is_last=is_last, is_full=is_full),
                "restated": to_note(fresh_number if restated else number, restated),
            },
        )
        gold.progress(model.name.replace(".", " "), index + 1, len(passes), "passes")
    return written, restated


def _replaced(gold: Gold, model: Model, group: Sequence[date]) -> dict[str, list[date]]:
    """The partitions to replace; where they are wider than a date, `temp.model_rows` gets their other dates too."""
    column = model.spec.date
    assert column is not None
    if column in model.spec.partitions:
        return {column: list(group) or [date.min]}
    (wide,) = model.spec.partitions
    found = sorted({day.replace(day=1) for day in group})
    if found and gold.lake.version(model.name) is not None:
        columns = ", ".join(gold.columns("temp.model_rows"))
        kept = f"{dates_condition(wide, found)} AND NOT {dates_condition(column, group)}"
        rows = f"SELECT {columns} FROM temp.model_rows UNION ALL SELECT {columns} FROM {model.name} WHERE {kept}"
        gold.temp("model_rows", rows)
    return {wide: found or [date.min]}


def _note(gold: Gold, model: Model, before: Mapping[str, Any], *, is_last: bool, is_full: bool) -> dict[str, Any]:
    """What a commit says of itself: before the last pass, that the inputs are still to be taken."""
    if is_last:
        silver = tuple((table, gold.lake.version(table)) for table in gold.events.tables)
        through = gold.once(("closed", silver), lambda: closed_through(gold))
        return {
            "definition": model.definition,
            "inputs": gold.versions([item.table for item in model.inputs]),
            "closed_through": through.isoformat() if through else None,
        }
    if is_full:
        return {"definition": model.definition, "closed_through": before.get("closed_through")}
    return {name: before[name] for name in ("definition", "inputs", "closed_through") if name in before}


def _write_whole(gold: Gold, model: Model) -> int:
    gold.temp("model_rows", model.select(None))
    _check_shape(gold, model, is_full=True)
    rows = hold_rows(gold, model.spec, "temp.model_rows")
    gold.engine.write(
        "SELECT * FROM temp.model_rows",
        model.name,
        "overwrite",
        layout=_layout(model),
        note={"definition": model.definition, "inputs": gold.versions([item.table for item in model.inputs])},
    )
    return rows


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
