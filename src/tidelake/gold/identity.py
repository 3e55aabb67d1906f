"""Whose anonymous events are: `gold.identity_day` by date, and `gold.identity`, one row an anonymous id.

`gold.identity_day` holds what silver's dates say of both ids, and what follows from all dates together: the actor to
whom the events without a known id belong. Where a later build learns another owner, exactly the dates on which that
anonymous id has events are written anew, in one commit; gold follows this table's changed dates as it follows silver's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa

from tidelake.contracts.table import TableSpec, load_table
from tidelake.engine.base import Layout
from tidelake.engine.result import Result
from tidelake.gold.checks import hold_rows
from tidelake.gold.context import Gold
from tidelake.gold.dates import changed_dates
from tidelake.gold.events import ANONYMOUS, IDENTITY_DAY, Events, known_actor
from tidelake.gold.model import Input, Model, ModelRun, definition_hash
from tidelake.gold.sqltext import FOLDER, dates_condition, render

IDENTITY = "gold.identity"
TABLES = (IDENTITY_DAY, IDENTITY)
CODE_VERSION = 1  # raise it when the SELECTs change the rows of the same inputs
_SEEN = "event_date, anonymous_id, known_id, first_event_time, event_count"
_REPORT = pa.schema([("stitching", pa.string()), ("number", pa.string()), ("value", pa.int64())])


def identity_model() -> Model:
    """`gold.identity`, made as a whole from `gold.identity_day`."""
    sql = _owners(f"SELECT * FROM {IDENTITY_DAY}")
    return Model(
        spec=_spec(IDENTITY),
        inputs=(Input(IDENTITY_DAY),),
        select=lambda days: sql,
        definition=definition_hash(CODE_VERSION, sql),
    )


def build_identity_day(gold: Gold, *, full_refresh: bool, dry_run: bool) -> ModelRun:
    """Bring `gold.identity_day` up to date with silver."""
    started = time.perf_counter()
    lake, tables = gold.lake, gold.events.anonymous_tables
    definition = definition_hash(CODE_VERSION, tables, _seen(gold.events, None))
    reason, touched = _what_changed(gold, lake.note(IDENTITY_DAY), definition, full_refresh=full_refresh)
    if reason == "nothing new":
        return ModelRun(IDENTITY_DAY, reason, (), 0, lake.version(IDENTITY_DAY), time.perf_counter() - started)
    known = {*gold.rows_by_date([(table, "event_date") for table in (*tables, IDENTITY_DAY)])}
    days = sorted(known if touched is None else touched)
    if dry_run:
        return ModelRun(IDENTITY_DAY, reason, tuple(days), None, lake.version(IDENTITY_DAY), 0.0)
    inputs = gold.versions(tables)
    gold.temp("identity_seen", _seen(gold.events, None if touched is None else days))
    seen = "SELECT * FROM temp.identity_seen"
    others = f"FROM {IDENTITY_DAY} WHERE NOT ({dates_condition('event_date', days)})"
    gold.temp("identity_owners", _owners(seen if touched is None else f"{seen} UNION ALL SELECT {_SEEN} {others}"))
    if touched is not None:
        moved = _moved(gold, others)
        if moved:
            seen += f" UNION ALL SELECT {_SEEN} FROM {IDENTITY_DAY} WHERE {dates_condition('event_date', moved)}"
        days = sorted({*days, *moved})
    gold.temp("identity_rows", render("identity_day", seen=seen))
    spec = _spec(IDENTITY_DAY)
    rows = hold_rows(gold, spec, "temp.identity_rows")
    version = gold.engine.write(
        "SELECT * FROM temp.identity_rows",
        IDENTITY_DAY,
        "overwrite" if touched is None else "replace",
        replace={"event_date": days or [date.min]},
        layout=Layout(partition_by=spec.partitions, sort_by=spec.sort_by),
        note={"definition": definition, "inputs": inputs},
    )
    gold.forget("identity_seen", "identity_owners", "identity_rows")
    return ModelRun(IDENTITY_DAY, reason, tuple(days), rows, version, time.perf_counter() - started)


def restitched(gold: Gold, before: Mapping[str, int]) -> set[date]:
    """Dates on which anonymous ids got another actor since these versions, and no event came or went.

    Args:
        before: The versions of its inputs from which a table was made.
    """
    if not gold.events.is_stitched:
        return set()
    found = changed_dates(gold.lake, IDENTITY_DAY, "event_date", before.get(IDENTITY_DAY)) or set()
    for table in gold.events.tables if found else []:
        found -= changed_dates(gold.lake, table, "event_date", before.get(table)) or set()
    return found


def _what_changed(
    gold: Gold, note: Mapping[str, Any], definition: str, *, full_refresh: bool
) -> tuple[str, set[date] | None]:
    """Why to build, and the touched dates; None = all."""
    if gold.lake.version(IDENTITY_DAY) is None:
        return "new", None
    if full_refresh:
        return "full refresh", None
    if note.get("definition") != definition or "inputs" not in note:
        return "definition changed", None
    touched: set[date] = set()
    for table in gold.events.anonymous_tables:
        found = changed_dates(gold.lake, table, "event_date", note["inputs"].get(table))
        if found is None:
            return "inputs changed", None
        touched |= found
    return ("inputs changed", touched) if touched else ("nothing new", set())


def _spec(table: str) -> TableSpec:
    return load_table(FOLDER / f"{table.partition('.')[2]}.yml", name=table)


def _seen(events: Events, days: Sequence[date] | None) -> str:
    """SELECT of which ids the events of some dates carry together."""
    rows = [
        f"SELECT event_date, event_time, anonymous_id, actor_id AS known_id FROM {table} "
        f"WHERE {dates_condition('event_date', days)} AND anonymous_id IS NOT NULL"
        for table in events.anonymous_tables
    ]
    return render("identity_seen", events=" UNION ALL ".join(rows))


def _owners(seen: str) -> str:
    """SELECT of whose each anonymous id is, of those that were seen with a known one."""
    return render("identity", actor=known_actor("known_id"), seen=seen)


def _moved(gold: Gold, others: str) -> list[date]:
    """Dates, besides those that are made anew anyhow, with events that belong to another actor than the table says."""
    rows = gold.query(
        f"SELECT DISTINCT held.event_date FROM (SELECT event_date, anonymous_id, actor_id {others} "
        "AND known_id IS NULL) AS held LEFT JOIN temp.identity_owners AS owners "
        "ON owners.anonymous_id = held.anonymous_id WHERE (held.actor_id IS NULL) <> (owners.actor_id IS NULL) "
        "OR coalesce(held.actor_id <> owners.actor_id, FALSE)"
    )
    return sorted(row["event_date"] for row in rows)


# --- what stitching does


def identity_report(gold: Gold) -> Result:
    """How many actors there are before and after stitching, of events that count.

    Before: each known id and, apart from them, each anonymous id with an event without a known one.
    """
    events, is_made = gold.events, gold.lake.version(IDENTITY) is not None and gold.events.is_stitched
    before = _actors(gold, events.stitching(is_made=False))
    after = _actors(gold, events) if is_made else before
    owners = {"mapped": 0, "ambiguous": 0}
    if is_made:
        counted = "count(*) AS mapped, count(*) FILTER (WHERE known_count > 1) AS ambiguous"
        (owners,) = gold.query(f"SELECT {counted} FROM {IDENTITY}")
    found = [
        ("before", "actors", before["actors"]),
        ("before", "known ids", before["actors"] - before["anonymous"]),
        ("before", "anonymous ids", before["anonymous"]),
        ("after", "actors", after["actors"]),
        ("after", "known ids", after["actors"] - after["anonymous"]),
        ("after", "anonymous ids", after["anonymous"]),
        ("made", "anonymous ids with an owner", owners["mapped"]),
        ("made", "of them seen with several known ids", owners["ambiguous"]),
        ("made", "events that moved to an owner", before["events"] - after["events"]),
    ]
    said = "on (first_known)" if events.is_stitched else "off"
    if not events.anonymous_tables:
        said = "nothing to do: no source maps `anonymous_id`, or none of its events has come"
    table = pa.table([list(column) for column in zip(*found, strict=True)], schema=_REPORT)
    return Result(table, title="Identity", notes=(f"stitching: {said}",))


def _actors(gold: Gold, events: Events) -> dict[str, int]:
    """Actors, anonymous ones among them, and the events of those."""
    if not events.sources:
        return {"actors": 0, "anonymous": 0, "events": 0}
    is_anonymous = f"starts_with(actor_id, '{ANONYMOUS}')" if events.anonymous_tables else "FALSE"
    (row,) = gold.query(
        f"SELECT count(*) AS actors, count(*) FILTER (WHERE {is_anonymous}) AS anonymous, "
        f"CAST(coalesce(sum(CASE WHEN {is_anonymous} THEN event_count ELSE 0 END), 0) AS BIGINT) AS events "
        f"FROM (SELECT actor_id, count(*) AS event_count FROM ({events.select(columns=())}) AS rows "
        "GROUP BY actor_id) AS actors"
    )
    return row


def identity_faults(gold: Gold) -> list[str]:
    """Where the identity tables are not what silver says, one sentence each; all is counted again from silver."""
    gold.temp("identity_owners", _owners(_seen(gold.events, None)))
    again = render("identity_day", seen=_seen(gold.events, None))
    pairs = ((IDENTITY, "SELECT * FROM temp.identity_owners"), (IDENTITY_DAY, again))
    found = []
    for table, made in pairs:
        columns = ", ".join(_spec(table).columns)
        (row,) = gold.query(
            f"SELECT count(*) AS wrong FROM (SELECT {columns} FROM (SELECT {columns}, 1 AS side FROM {table} "
            f"UNION ALL SELECT {columns}, -1 AS side FROM ({made}) AS made) AS both_sides GROUP BY {columns} "
            "HAVING sum(side) <> 0) AS differing"
        )
        if row["wrong"]:
            found.append(f"{table}: {row['wrong']:,} rows are not as silver says")
    gold.forget("identity_owners")
    return found
