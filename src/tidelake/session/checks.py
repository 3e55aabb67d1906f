"""Is everything that came in still accounted for: everything counted again from the tables, and compared.

Nothing here reads a counter. What the lake says of itself (`ops.ledger`, notes, indexes) is held against
what its tables hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from tidelake.bronze.registry import FileRecord, load_records, superseded_ids
from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.contracts.table import quoted
from tidelake.engine.base import MODEL_LAYERS, Engine
from tidelake.engine.result import Result
from tidelake.errors import LedgerError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.events import IDENTITY_DAY, Events, event_sources
from tidelake.gold.identity import IDENTITY, identity_faults, identity_report
from tidelake.gold.invariants import verdicts
from tidelake.gold.sqltext import dates_condition
from tidelake.lake import Lake
from tidelake.lake.builds import is_same
from tidelake.lake.keys import KeyIndex
from tidelake.lake.ledger import LEDGER, balanced, count_files, one_of
from tidelake.silver.compile import LINEAGE, plan
from tidelake.silver.stage import DUPLICATES, QUARANTINE

Status = Literal["ok", "fail", "warn"]
SCHEMA = pa.schema([("check", pa.string()), ("table", pa.string()), ("status", pa.string()), ("detail", pa.string())])
_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One check of one table, and whether it holds."""

    check: str
    table: str
    status: Status
    detail: str


def check(
    engine: Engine,
    lake: Lake,
    project: Project,
    sources: Mapping[str, Source],
    *,
    deep: bool = False,
    digest: bool = False,
) -> Result:
    """Hold the tables against the ledger, against each other and (`deep`) against the input files.

    Returns:
        One row a check and table: `check`, `table`, `status` (`ok`, `warn`, `fail`), `detail`. With
        `digest` one more row for each table of facts and dimensions in silver, and of gold; see `digest_of`.
    """
    found: list[Finding] = []
    for source in sources.values():
        if engine.schema(f"bronze.{source.name}") is None:
            found.append(Finding("row ledger", f"bronze.{source.name}", "warn", "nothing was taken yet: tide build"))
            continue
        found += _source_checks(engine, lake, project, source)
        if deep:
            found += deep_check(engine, lake, project, source)
    found += gold_checks(engine, lake, project, sources)
    if digest:
        found += [Finding("digest", table, "ok", digest_of(engine, table)) for table in digested(lake, sources)]
    rows = [vars(item) for item in found]
    return Result(pa.Table.from_pylist(rows, schema=SCHEMA), title="Checks")


# --- one source


def _source_checks(engine: Engine, lake: Lake, project: Project, source: Source) -> list[Finding]:
    records = load_records(engine, source.name)
    gone = superseded_ids(list(records.values()))
    found = [_settled(lake, source), ledger_check(engine, source, records, gone)]
    if engine.schema(f"silver.{source.name}") is not None:
        found += _place_checks(engine, source, gone)
        found.append(index_check(engine, lake, project, source))
    return found


def _settled(lake: Lake, source: Source) -> Finding:
    """Whether silver holds what was made of every batch in bronze."""
    table = f"silver.{source.name}"
    taken = lake.transaction_version(f"bronze.{source.name}", source.name) or 0
    note = lake.note(table)
    if source.fact == "dimension":
        done = int(note.get("batch_id", 0))
    else:
        done = lake.transaction_version(table, str(note.get("app_id", ""))) or 0
    if done < taken:
        return Finding("batches", table, "warn", f"batches {done + 1} to {taken} are unfinished: tide build")
    return Finding("batches", table, "ok", f"{taken:,} batches, all of them in silver")


def ledger_check(engine: Engine, source: Source, records: Mapping[str, FileRecord], gone: Collection[int]) -> Finding:
    """Read = accepted + quarantined + duplicate + filtered + superseded, of every file, counted again."""
    table = f"bronze.{source.name}"
    rows = {row["file_id"]: row for row in count_files(engine, source.name, superseded=gone).to_pylist()}
    expected = {r.file_id: (r.source_path, r.lines) for r in records.values() if r.state != "copy"}
    faults = []
    for file_id, row in rows.items():
        path, row["lines"] = expected.get(file_id, ("(a file's earlier content)", row["read"]))
        if not balanced(row):
            faults.append(f"{path}: {row['lines']} lines, {_sum_text(row)}")
    faults += [
        f"{path}: {lines} lines were read, none are in bronze"
        for file_id, (path, lines) in expected.items()
        if lines and file_id not in rows
    ]
    if faults:
        return Finding("row ledger", table, "fail", _listed(faults, "files do not balance"))
    kept = _kept_ledger(engine, source.name)
    stale = [path for path, row in kept.items() if (now := rows.get(row["file_id"])) and _parts(now) != _parts(row)]
    total = {name: sum(row[name] for row in rows.values()) for name in ("read", *_PARTS)}
    if stale or len(kept) != len(rows):
        return Finding(
            "row ledger", table, "warn", f"balanced, but ops.ledger is behind: tide build ({_sum_text(total)})"
        )
    return Finding("row ledger", table, "ok", f"{len(rows):,} files: {_sum_text(total)}")


_PARTS = ("accepted", "quarantined", "duplicate", "filtered", "superseded")


def _parts(row: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(row[name]) for name in _PARTS)


def _sum_text(row: Mapping[str, int]) -> str:
    parts = " + ".join(f"{row[name]:,} {name}" for name in _PARTS)
    return f"{row['read']:,} read = {parts}"


def _kept_ledger(engine: Engine, source: str) -> dict[str, dict[str, Any]]:
    if engine.schema(LEDGER) is None:
        return {}
    rows = engine.query(f"SELECT * FROM {LEDGER} WHERE source = $source", {"source": source}).to_pylist()
    return {f"{row['source_path']}|{row['file_id']}": row for row in rows}


def _place_checks(engine: Engine, source: Source, gone: Collection[int]) -> list[Finding]:
    """Every line of bronze in one place only, and no row in silver that bronze does not have."""
    table = f"silver.{source.name}"
    is_gone = one_of("file_id", gone) if gone else "false"
    places = f"SELECT file_id, source_position, 1 AS place FROM {table}"
    params = None
    for other, condition in ((QUARANTINE, "state = 'open'"), (DUPLICATES, f"NOT ({is_gone})")):
        if engine.schema(other) is not None:
            places += (
                f" UNION ALL SELECT file_id, source_position, 2 FROM {other} WHERE source = $source AND {condition}"
            )
            params = {"source": source.name}
    row = engine.query(
        f"SELECT count(*) FILTER (WHERE accepted > 1) AS doubled, count(*) FILTER (WHERE places > 1) AS shared FROM ("
        "SELECT file_id, source_position, count(*) AS places, count(*) FILTER (WHERE place = 1) AS accepted "
        f"FROM ({places}) AS places GROUP BY file_id, source_position HAVING count(*) > 1) AS several",
        params,
    ).to_pylist()[0]
    lost = engine.query(
        f"SELECT count(*) AS lost FROM {table} AS s WHERE NOT EXISTS (SELECT 1 FROM bronze.{source.name} AS b "
        "WHERE b.file_id = s.file_id AND b.source_position = s.source_position AND b.kind = 'record')"
    ).to_pylist()[0]["lost"]
    replaced = engine.query(f"SELECT count(*) AS rows FROM {table} WHERE {is_gone}").to_pylist()[0]["rows"]
    return [
        _counted("lines once in silver", table, row["doubled"], "lines are in silver more than once"),
        _counted(
            "one place a line", table, row["shared"], "lines are in more than one of silver, quarantine, duplicates"
        ),
        _counted("rows come from bronze", table, lost, "rows have no line in bronze"),
        _counted("replaced files left", table, replaced, "rows are of files that were replaced"),
    ]


def index_check(engine: Engine, lake: Lake, project: Project, source: Source) -> Finding:
    """The index of keys, where it is up to date, knows every row of silver and its date."""
    table, name = f"silver.{source.name}", "index of keys"
    if source.dedup == "none" or source.fact == "dimension":
        return Finding(name, table, "ok", "none is needed")
    from tidelake.silver.ingest import index_algorithm
    from tidelake.silver.stage import index_rows_sql

    if not lake.is_local:
        return Finding(name, table, "ok", "made anew by each build (lake on S3)")
    folder = Path(lake.location.uri("_index", source.name))
    app_id = str(lake.note(table).get("app_id", ""))
    index = KeyIndex.open(folder, algorithm=index_algorithm(engine, app_id))
    if index.version != lake.version(table):
        return Finding(name, table, "ok", "behind silver: the next build makes it anew")
    schema = engine.schema(table)
    assert schema is not None
    made = plan(source, project, [column for column in index.content if column not in plan(source, project).content])
    rows = engine.query(index_rows_sql(made, table, schema.names))
    hashes = rows.column("key_hash").to_numpy()
    days = rows.column("day").to_numpy().astype(np.int64)
    known = np.zeros(0, dtype=[("hash", np.int64), ("day", np.int64)])
    for run in index.runs:
        part = np.zeros(len(run.hashes), dtype=known.dtype)
        part["hash"], part["day"] = run.hashes, run.days
        known = np.concatenate((known, part))
    wanted = np.zeros(len(hashes), dtype=known.dtype)
    wanted["hash"], wanted["day"] = hashes, days
    missing = int((~np.isin(wanted, known)).sum()) if len(known) else len(wanted)
    if missing:
        return Finding(name, table, "fail", f"{missing:,} rows of silver are not in it; delete {folder} and build")
    return Finding(name, table, "ok", f"{len(wanted):,} rows of silver are in it")


def deep_check(engine: Engine, lake: Lake, project: Project, source: Source) -> list[Finding]:
    """Every input file read again, its hash compared with that of what was taken."""
    from tidelake.sources import make_reader

    table, name = f"bronze.{source.name}", "input files"
    reader = make_reader(source, project.root, storage=lake.location.storage)
    looks = {look.source_path: look for look in reader.looks()}
    records = load_records(engine, source.name)
    silent: list[str] = []
    changed: list[str] = []
    for path, look in looks.items():
        record = records.get(path)
        if record is None or not record.content_hash:
            continue
        if look.size >= record.size and reader.prefix_hash(look, record.size) == record.content_hash:
            if look.size > record.size:
                changed.append(f"{path} grew")
            continue
        (silent if look.stamp == record.stamp else changed).append(f"{path} changed")
    held = {path for path, record in records.items() if record.state != "moved"}
    vanished = [path for path in records if path in held and path not in looks]
    new = [path for path in looks if path not in held]
    found = []
    if silent:
        said = _listed(
            silent, "files hold something else, with the size, time and edges that they had; touch them and build"
        )
        found.append(Finding(name, table, "fail", said))
    if changed:
        found.append(Finding(name, table, "warn", _listed(changed, "files changed since the last build: tide build")))
    if vanished:
        found.append(Finding(name, table, "warn", _listed(vanished, "files vanished; their rows stay")))
    if new:
        found.append(Finding(name, table, "warn", _listed(new, "files are new: tide build")))
    return found or [Finding(name, table, "ok", f"{len(looks):,} files read again: what was taken is what is there")]


# --- silver to gold


def gold_checks(engine: Engine, lake: Lake, project: Project, sources: Mapping[str, Source]) -> list[Finding]:
    """Silver against gold by date, and what must hold between the gold tables."""
    tables = [
        f"silver.{s.name}"
        for s in sources.values()
        if s.fact == "event" and lake.version(f"silver.{s.name}") is not None
    ]
    if not tables or lake.version("gold.user_day") is None or lake.version("gold.event_day") is None:
        return []
    gold = open_gold(engine, lake, project, sources)
    made_of = {"gold.user_day": gold.events.inputs, "gold.event_day": gold.events.tables}
    behind = [name for name, inputs in made_of.items() if not is_current(lake, name, inputs)]
    if behind:
        return [Finding("silver to gold", name, "warn", "behind silver: tide build") for name in behind]
    faults = unbalanced_dates(engine, lake, project, sources)
    total = engine.query("SELECT CAST(sum(event_count) AS BIGINT) AS n FROM gold.user_day").to_pylist()[0]["n"] or 0
    balance = Finding(
        "silver to gold", "gold.user_day", "ok", f"every row of silver is accounted for; {total:,} in user_day"
    )
    if faults:
        balance = Finding("silver to gold", "gold.user_day", "fail", _listed(faults, "dates do not add up"))
    identity = [_identity(gold)] if gold.events.is_stitched else []
    return [balance, *identity, *_invariants(gold)]


def _identity(gold: Gold) -> Finding:
    """Whether anonymous ids belong to whom silver says."""
    faults = identity_faults(gold)
    if faults:
        return Finding("identity", IDENTITY, "fail", f"{'; '.join(faults)}: tide build --full-refresh")
    said = {(row["stitching"], row["number"]): row["value"] for row in identity_report(gold).to_dicts()}
    detail = (
        f"{said['before', 'actors']:,} actors before stitching, {said['after', 'actors']:,} after; "
        f"{said['made', 'anonymous ids with an owner']:,} anonymous ids have an owner, "
        f"{said['made', 'of them seen with several known ids']:,} of them seen with several known ids"
    )
    return Finding("identity", IDENTITY, "ok", detail)


def is_current(lake: Lake, model: str, tables: Iterable[str]) -> bool:
    """Whether a gold table was made from the present versions of these silver tables."""
    inputs = lake.note(model).get("inputs") or {}
    return all(is_same(lake, table, inputs.get(table)) for table in tables)


def unbalanced_dates(
    engine: Engine,
    lake: Lake,
    project: Project,
    sources: Mapping[str, Source],
    dates: Collection[date] | None = None,
) -> list[str]:
    """Dates for which silver rows = user_day events + events without actor + filtered rows does not hold.

    Args:
        dates: Look at these only; None = all.

    Returns:
        One sentence a date, in order.
    """
    schemas = {name: lake.schema(f"silver.{name}") for name, source in sources.items() if source.fact == "event"}
    events = Events(project, event_sources(sources, schemas)).stitching(is_made=lake.version(IDENTITY_DAY) is not None)
    days = None if dates is None else sorted(dates)
    if not events.sources or days == []:
        return []
    parts = [
        f"SELECT event_date AS day, count(*) AS silver, 0 AS counted, "
        f"count(*) FILTER (WHERE actor_id IS NULL AND {_is_counted(events, source)}) AS nobody, "
        f"count(*) FILTER (WHERE NOT {_is_counted(events, source)}) AS filtered, 0 AS said "
        f"FROM {_rows_of(events, source, days)} WHERE {dates_condition('event_date', days)} GROUP BY event_date"
        for source in events.sources
    ]
    parts.append(
        "SELECT activity_date, 0, sum(event_count), 0, 0, 0 FROM gold.user_day "
        f"WHERE {dates_condition('activity_date', days)} GROUP BY activity_date"
    )
    parts.append(
        "SELECT activity_date, 0, 0, 0, 0, sum(row_count) FROM gold.event_day "
        f"WHERE dimension = '(all)' AND {dates_condition('activity_date', days)} GROUP BY activity_date"
    )
    rows = engine.query(
        "SELECT day, CAST(sum(silver) AS BIGINT) AS silver, CAST(sum(counted) AS BIGINT) AS counted, "
        "CAST(sum(nobody) AS BIGINT) AS nobody, CAST(sum(filtered) AS BIGINT) AS filtered, "
        f"CAST(sum(said) AS BIGINT) AS said FROM ({' UNION ALL '.join(parts)}) AS counts GROUP BY day "
        "HAVING sum(silver) <> sum(counted) + sum(nobody) + sum(filtered) OR sum(silver) <> sum(said) ORDER BY day"
    ).to_pylist()
    return [
        f"{row['day']}: {row['silver']:,} rows in silver = {row['counted']:,} in user_day + {row['nobody']:,} without "
        f"actor + {row['filtered']:,} filtered; event_day says {row['said']:,}"
        for row in rows
    ]


def refuse_imbalance(engine: Engine, lake: Lake, project: Project, sources: Mapping[str, Source]) -> None:
    """Raise where gold does not account for every row of silver.

    Raises:
        LedgerError: It does not.
    """
    if lake.version("gold.user_day") is None or lake.version("gold.event_day") is None:
        return
    faults = unbalanced_dates(engine, lake, project, sources)
    if faults:
        raise LedgerError(
            f"Gold does not account for every row of silver on {len(faults)} dates. First: {faults[0]}.",
            hint="`tide build --full-refresh` makes silver and gold again from bronze; `tide check` shows all dates.",
        )


def _is_counted(events: Events, source: Any) -> str:
    if events.project.activity.any:
        return "TRUE"
    return f"(coalesce(traffic_class, 'human') = 'human' OR {events.active_condition(source)})"


def _rows_of(events: Events, source: Any, days: Sequence[date] | None) -> str:
    return events.rows_of(source, text=f"event_date {_is_counted(events, source)}", days=days)


def _invariants(gold: Gold) -> list[Finding]:
    return [
        Finding(
            one.invariant.says,
            one.invariant.table,
            "fail" if one.broken else "ok",
            f"{one.broken:,} rows break it. First: {one.first}" if one.broken else "holds",
        )
        for one in verdicts(gold, {"actors": None, "entities": None})
    ]


# --- digests


def digested(lake: Lake, sources: Mapping[str, Source]) -> list[str]:
    """Tables with a digest: facts and dimensions in silver, and all of gold.

    Not `silver.quarantine` and `silver.duplicates`: which of two rows that give way to a third is called a
    duplicate and which a conflict depends on which came first; their number does not.
    """
    facts = [f"silver.{name}" for name in sorted(sources) if lake.version(f"silver.{name}") is not None]
    return [*facts, *(table for table in lake.tables() if table.partition(".")[0] in MODEL_LAYERS)]


def digest_of(engine: Engine, table: str) -> str:
    """A digest of a table's rows: equal rows, equal digest, however and in however many steps they were built.

    Each row becomes the md5 of its columns that are not null, as `name=length:text`, by name; without
    lineage (`file_id`, `source_position`, `batch_id`, `ingested_at`), which says how a row came and not what
    it says. Both halves of the md5 are added up over the rows, so their order does not matter, but how often
    a row is there does. The digest is the first half of the sha256 of the row count and both sums. Columns
    without values count as absent, so a table that has grown one equals one that has not.
    """
    schema = engine.schema(table)
    assert schema is not None
    texts = []
    for field in sorted(schema, key=lambda field: field.name):
        if field.name in LINEAGE:
            continue
        value = f"epoch_us({quoted(field.name)})" if pa.types.is_timestamp(field.type) else quoted(field.name)
        text = f"CAST({value} AS VARCHAR)"
        texts.append(f"'{field.name}=' || length({text}) || ':' || {text}")
    halves = ", ".join(
        f"CAST(coalesce(sum(CAST('0x' || substr(hash, {start}, 16) AS UBIGINT)), 0) AS VARCHAR) AS half_{start}"
        for start in (1, 17)
    )
    row = engine.query(
        f"SELECT count(*) AS rows, {halves} "
        f"FROM (SELECT md5(concat_ws(';', {', '.join(texts)})) AS hash FROM {table}) AS hashes"
    ).to_pylist()[0]
    return hashlib.sha256(f"{row['rows']}:{row['half_1']}:{row['half_17']}".encode()).hexdigest()[:32]


def _counted(name: str, table: str, count: int, fault: str) -> Finding:
    return Finding(name, table, "fail" if count else "ok", f"{count:,} {fault}" if count else "holds")


def _listed(items: list[str], what: str) -> str:
    more = f" and {len(items) - _SHOWN:,} more" if len(items) > _SHOWN else ""
    return f"{len(items):,} {what}: {'; '.join(items[:_SHOWN])}{more}"
