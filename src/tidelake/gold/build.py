"""Bringing the gold tables up to date: each from what changed in its inputs since it was last built.

A table's commit holds in its note which input versions its rows come from, and the hash of its definition,
so data and note change together: a build that was killed is simply run again.
"""

from __future__ import annotations

import time
from calendar import monthrange
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any

from tidelake.config import Project
from tidelake.contracts.source import Source, columns_by_field
from tidelake.contracts.table import quoted
from tidelake.engine.base import Engine, Parallel
from tidelake.engine.progress import Progress
from tidelake.engine.sql import check_names
from tidelake.errors import DefinitionError, QueryError, UnknownNameError
from tidelake.gold.builtin import built_in_models
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables, changed_dates, chunks
from tidelake.gold.entities import TABLE as ENTITIES
from tidelake.gold.entities import build_entities, count_sources
from tidelake.gold.events import IDENTITY_DAY
from tidelake.gold.identity import IDENTITY, build_identity_day, identity_model
from tidelake.gold.identity import TABLES as IDENTITIES
from tidelake.gold.ledger import hold_ledger
from tidelake.gold.model import Input, Model, ModelRun
from tidelake.gold.models import project_models, read_models
from tidelake.gold.passes import DayTable, days_left, make_pass, write_whole
from tidelake.gold.sessions import TABLE as SESSIONS
from tidelake.gold.sessions import build_sessions
from tidelake.gold.sqltext import dates_condition

Builder = Callable[..., ModelRun]
BUILT_IN = (*IDENTITIES, SESSIONS, ENTITIES, "gold.user_day", "gold.user_day_value", "gold.event_day")


def build_gold(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    *,
    select: Iterable[str] = (),
    full_refresh: bool = False,
    dry_run: bool = False,
    pending: Collection[str] = (),
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
        pending: In a dry run, sources that have something to take before.
        progress: Who watches.

    Returns:
        One entry a table, in the order of building.

    Raises:
        UnknownNameError: `select` names no gold table.
        ContractError: Rows break a table's contract; the table stays as it was.
        LedgerError: Rows of silver and gold do not add up.
    """
    gold = open_gold(engine, lake, project, sources, progress)
    gold = replace(gold, events=gold.events.stitching())  # the tables that say who is who are made first
    coming = table_names(project, sources) if pending else []
    steps = _steps(gold, coming)
    wanted = _wanted(select, list(dict.fromkeys([*steps, *coming])))
    wanted |= {IDENTITY_DAY, IDENTITY} & set(steps)  # small, and what other tables are made from
    chosen = {name: step for name, step in steps.items() if name in wanted}
    runs = _built(gold, chosen, full_refresh=full_refresh, dry_run=dry_run)
    if pending:
        absent = [name for name in coming if name not in steps]
        waiting = _waiting(gold, steps, pending, absent)
        first = [ModelRun(name, "new", None, None, None, 0.0, waits=True) for name in absent if name in wanted]
        runs = first + [replace(run, waits=run.name in waiting) for run in runs]
    if not list(select):
        runs += _emptied(gold, steps, dry_run=dry_run)
    by_day = {"gold.user_day", "gold.event_day"} & set(steps)
    changed = {day for run in runs if run.name in by_day for day in run.dates or ()}
    is_behind = any(_is_behind(gold, steps[name]) for name in by_day - wanted)
    if changed and not dry_run and not is_behind:
        hold_ledger(gold, sorted(changed))
    return runs


def _is_behind(gold: Gold, step: Model | Builder) -> bool:
    """Whether a table's inputs have changed since it was made."""
    assert isinstance(step, Model)
    return what_changed(gold, step, gold.lake.note(step.name), full_refresh=False)[0] != "nothing new"


def _built(gold: Gold, steps: Mapping[str, Model | Builder], *, full_refresh: bool, dry_run: bool) -> list[ModelRun]:
    """Bring tables up to date in their order: first the built-in ones by day, beside the sessions where that goes."""
    done: dict[str, ModelRun] = {}

    def make(name: str, where: Gold) -> None:
        step = steps[name]
        if isinstance(step, Model):
            stale = frozenset(run.name for run in done.values() if not run.is_current) if dry_run else frozenset()
            done[name] = build_model(where, step, full_refresh=full_refresh, dry_run=dry_run, stale=stale)
        else:
            done[name] = step(where, full_refresh=full_refresh, dry_run=dry_run)

    if IDENTITY_DAY in steps:
        make(IDENTITY_DAY, gold)
    by_day = [step for step in steps.values() if isinstance(step, Model) and step.is_built_in]
    together = partial(build_together, gold, by_day, full_refresh=full_refresh)
    runs: list[ModelRun] = []
    if SESSIONS in steps and len(by_day) > 1 and not dry_run and isinstance(gold.engine, Parallel):
        with closing(gold.engine.beside()) as engine, ThreadPoolExecutor(1, "tidelake-gold") as pool:
            running = pool.submit(make, SESSIONS, replace(gold, engine=engine))
            runs = together(wait=running.result)
    elif by_day and not dry_run:
        if SESSIONS in steps:
            make(SESSIONS, gold)
        runs = together()
    done |= {run.name: run for run in runs}
    for name in steps:
        if name not in done:
            make(name, gold)
    return [done[name] for name in steps]


def _emptied(gold: Gold, steps: Collection[str], *, dry_run: bool) -> list[ModelRun]:
    """Built-in tables lose their rows when no source of their kind is left, or nothing is to be stitched any more."""
    runs = []
    for name in BUILT_IN:
        held = 0 if name in steps else sum(file.records for file in gold.lake.files(name))
        if held:
            reason = "no stitching" if name in IDENTITIES else "no source left"
            if not dry_run:
                why = "nothing is stitched any more" if name in IDENTITIES else "no source for it is left"
                gold.progress.say(f"{name}: {why}: its {held:,} rows go.")
                gold.engine.write(f"SELECT * FROM {name} WHERE false", name, "overwrite", note={})
            runs.append(ModelRun(name, reason, None, 0, gold.lake.version(name), 0.0))
    return runs


def _waiting(
    gold: Gold, steps: Mapping[str, Model | Builder], pending: Collection[str], absent: Collection[str]
) -> set[str]:
    """The tables that are made from what some sources have still to take, by themselves or through other tables.

    Args:
        absent: Tables that these sources will make.
    """
    facts = {gold.sources[name].fact for name in pending}
    waiting = {*absent, *(f"silver.{name}" for name in pending)}
    for name, step in steps.items():
        if isinstance(step, Model) and not step.is_built_in:
            is_waiting = not waiting.isdisjoint(item.table for item in step.inputs)
        else:
            is_waiting = ("count" if name == ENTITIES else "event") in facts
        if is_waiting:
            waiting.add(name)
    return waiting


def _steps(gold: Gold, coming: Collection[str] = ()) -> dict[str, Model | Builder]:
    """Every table to build, in order.

    Args:
        coming: Tables that models may read though they are not there yet.
    """
    steps: dict[str, Model | Builder] = {}
    if gold.events.is_stitched:
        steps[IDENTITY_DAY] = build_identity_day
    if gold.events.sources:
        steps[SESSIONS] = build_sessions
    if count_sources(gold):
        steps[ENTITIES] = build_entities
    identity = [identity_model()] if gold.events.is_stitched else []
    steps |= {model.name: model for model in ordered([*identity, *built_in_models(gold)])}
    files = read_models(gold.project.root)
    own = {item.spec.name for item in files}
    known = {name: None for name in coming if name not in own} | _known(gold, steps)
    return steps | {model.name: model for model in project_models(files, known, gold.project.root)}


def _known(gold: Gold, steps: Mapping[str, Model | Builder]) -> dict[str, str | None]:
    """Tables that models may read, with the date by which their changes are followed."""
    built: dict[str, str | None] = {
        IDENTITY_DAY: "event_date",
        SESSIONS: "session_date",
        ENTITIES: "activity_date",
    }
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
        elif name == IDENTITY_DAY:
            built_in[name] = tuple(gold.events.anonymous_tables)
        elif name == SESSIONS:
            built_in[name] = tuple(gold.events.inputs)
        else:
            built_in[name] = tuple(f"silver.{source}" for source in count_sources(gold))
    return built_in, own


def table_names(project: Project, sources: Mapping[str, Source]) -> list[str]:
    """The gold tables that a project can have, also before they are built: the built-in ones, and its own."""
    facts = {source.fact for source in sources.values()}
    found = ["gold.user_day_value"] if "event" in facts and project.dimensions else []
    found += [SESSIONS, "gold.user_day", "gold.event_day"] if "event" in facts else []
    has_anonymous = any(source.mapping.anonymous_id is not None for source in sources.values())
    found += IDENTITIES if has_anonymous and project.identity.stitch != "off" else []
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


def full_name(name: str, known: Iterable[str]) -> str:
    """A table's name with its layer, where one alone has a table so called."""
    found = [table for table in known if table.partition(".")[2] == name]
    return name if "." in name else found[0] if len(found) == 1 else f"gold.{name}"


def _wanted(select: Iterable[str], known: Sequence[str]) -> set[str]:
    chosen = [full_name(name, known) for name in select]
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
    begun = _begun(gold, model, full_refresh=full_refresh, dry_run=dry_run, stale=stale)
    if isinstance(begun, ModelRun):
        return begun
    for group in chunks(begun.left, _input_rows(gold, model)):
        begun.make(group)
    return begun.finish()


def build_together(
    gold: Gold, models: Sequence[Model], *, full_refresh: bool, wait: Callable[[], None] | None = None
) -> list[ModelRun]:
    """Bring tables by day that share what their `prepare` makes up to date, pass by pass: it is made once a pass.

    Args:
        wait: Comes back when the sessions are up to date. It is called before the first pass of the tables that
            read them, which is after the first pass of the others.
    """
    # Sessions do not count for what a pass holds: they are far fewer than events, and are only added up.
    inputs = {(item.table, item.date) for model in models for item in model.inputs if item.date}
    rows_at = gold.rows_by_date(sorted(item for item in inputs if item[0] != SESSIONS))
    finished: dict[str, ModelRun] = {}

    def begin(*, over_sessions: bool) -> list[DayTable]:
        tables = []
        for model in models:
            if over_sessions == (SESSIONS in {item.table for item in model.inputs}):
                begun = _begun(gold, model, full_refresh=full_refresh)
                if isinstance(begun, ModelRun):
                    finished[model.name] = begun
                else:
                    tables.append(begun)
        return tables

    beside = begin(over_sessions=False)
    passes = chunks(days_left(beside), rows_at)
    make_pass(gold, beside, passes[0] if passes else [])
    if wait is not None:
        wait()
    after = begin(over_sessions=True)
    for group in passes if len(passes) > 1 else []:
        make_pass(gold, [*beside, *after], group)
    for group in chunks(days_left(after), rows_at):
        make_pass(gold, after, group)
    finished |= {table.model.name: table.finish() for table in (*beside, *after)}
    return [finished[model.name] for model in models]


def _begun(
    gold: Gold, model: Model, *, full_refresh: bool, dry_run: bool = False, stale: frozenset[str] = frozenset()
) -> DayTable | ModelRun:
    """What is to do for a table by day; any other one is made at once, unless there is nothing to do."""
    started = time.perf_counter()
    note = gold.lake.note(model.name)
    reason, touched = what_changed(gold, model, note, full_refresh=full_refresh)
    if reason == "nothing new" and stale & {item.table for item in model.inputs}:
        reason, touched = "inputs changed", set()
    version = gold.lake.version(model.name)
    if reason == "nothing new":
        return ModelRun(model.name, reason, (), 0, version, time.perf_counter() - started)
    dates, held = _held(gold, model, touched)
    if not model.is_built_in:
        _refuse_engine_names(gold, model)
    if not dry_run and version is not None and gold.lake.layout(model.name).partition_by != model.spec.partitions:
        gold.progress.say(f"{model.name}: its partitions changed: it is laid out anew.")
        gold.lake.drop(model.name)
        reason, touched, note = "definition changed", None, {}
    is_dated = model.spec.date is not None
    all_days = _own_dates(gold, model) | set(_input_rows(gold, model)) if is_dated and touched is None else set()
    days = sorted(all_days if touched is None else touched) if is_dated else []
    if dry_run:
        return ModelRun(model.name, reason, tuple(days) if is_dated else None, held, version, 0.0)
    if reason == "definition changed":
        where = f"{dates:,} dates" if dates else "the whole table"
        gold.progress.say(f"{model.name}: definition changed: {where} with {held:,} rows are made anew.")
    if is_dated:
        return DayTable(gold, model, days, note, reason, is_full=touched is None)
    rows = write_whole(gold, model)
    version = gold.lake.version(model.name)
    return ModelRun(model.name, reason, None, rows, version, time.perf_counter() - started)


def _refuse_engine_names(gold: Gold, model: Model) -> None:
    """Raise where a project's model names what no input has and the engine would answer by itself."""
    try:
        check_names(model.select(None), gold.lake.schema, columns_by_field(gold.sources))
    except QueryError as error:
        raise DefinitionError(f"The model of {model.name}: {error}", hint=error.hint) from error


def _held(gold: Gold, model: Model, touched: Collection[date] | None) -> tuple[int, int]:
    """How many of these dates (None = of all) the table has now, and its rows on them; without a date, all rows."""
    schema, column = gold.lake.schema(model.name), model.spec.date
    if schema is None:
        return 0, 0
    files = gold.lake.files(model.name)
    if column is None or column not in schema.names:
        return 0, sum(file.records for file in files)
    if column in gold.lake.layout(model.name).partition_by:
        wanted = None if touched is None else {day.isoformat() for day in touched}
        rows = Counter[str | None]()
        for file in files:
            if wanted is None or file.partition[column] in wanted:
                rows[file.partition[column]] += file.records
        return sum(count > 0 for count in rows.values()), rows.total()
    (counted,) = gold.query(
        f"SELECT count(DISTINCT {quoted(column)}) AS dates, count(*) AS held FROM {model.name} "
        f"WHERE {dates_condition(quoted(column), None if touched is None else sorted(touched))}"
    )
    return counted["dates"], counted["held"]


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
