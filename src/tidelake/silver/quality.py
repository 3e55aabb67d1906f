"""What a build says of its data: the ledger, and one quality report a source and run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any

import pyarrow as pa

from tidelake.bronze.registry import FileRecord, superseded_ids
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.errors import LedgerError
from tidelake.lake import Lake
from tidelake.lake.ledger import LEDGER, balanced, count_files, merge_ledger, one_of
from tidelake.silver.completeness import COVERAGE, WATERMARKS
from tidelake.silver.ingest import SourceRun

REPORTS = "ops.dq_reports"
REPORT_SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("source", pa.string()),
        ("finished_at", pa.timestamp("us", "UTC")),
        ("report", pa.string()),
    ]
)


def reconcile(
    engine: Engine,
    lake: Lake,
    source: Source,
    run: SourceRun | None,
    records: Mapping[str, FileRecord],
    *,
    since: int | None = None,
) -> list[dict[str, Any]]:
    """Count the ledger of the files that a run touched (of all where `run` is None) and keep it.

    Args:
        records: The newest record of each of the source's files.
        since: Silver's version before the run: only dates changed after it can hold rows of new files.

    Returns:
        The rows counted, one a file.

    Raises:
        LedgerError: Rows are missing or counted twice.
    """
    name = source.name
    if engine.schema(f"bronze.{name}") is None:
        return []
    gone = superseded_ids(list(records.values()))
    ids, batches, dates = _scope(lake, source, run, records, since)
    if ids is not None and not ids:
        return []
    counts = count_files(engine, name, file_ids=ids, batches=batches, dates=dates, superseded=gone).to_pylist()
    known = {record.file_id: record for record in records.values()}
    earlier = _earlier_lines(engine, name, gone) if gone else {}
    rows = []
    for row in counts:
        record = known.get(row["file_id"])
        path, lines = (record.source_path, record.lines) if record else earlier.get(row["file_id"], ("?", -1))
        full = {
            "source": name,
            "source_path": path,
            "state": record.state if record else "superseded",
            "lines": lines,
            **row,
        }
        full["is_balanced"] = balanced(full)
        rows.append(full)
    versions = {**ledger_versions(lake), name: lake.version(f"silver.{name}")}
    merge_ledger(engine, name, rows, whole=ids is None, versions=versions)
    wrong = [row for row in rows if not row["is_balanced"]]
    if wrong:
        row = wrong[0]
        raise LedgerError(
            f"The ledger of source {name} does not balance for {len(wrong)} files. First: {row['source_path']}: "
            f"{row['lines']} lines, {row['read']} in bronze = {row['accepted']} accepted "
            f"+ {row['quarantined']} quarantined + {row['duplicate']} duplicate + {row['filtered']} filtered "
            f"+ {row['superseded']} superseded.",
            hint="`tide build --full-refresh` makes silver again from bronze; `tide ledger` shows every file.",
        )
    return rows


def ledger_versions(lake: Lake) -> dict[str, int | None]:
    """Silver's version by source when its ledger was last counted; behind the table's own after a crash."""
    return dict(lake.note(LEDGER).get("silver") or {})


def _scope(
    lake: Lake, source: Source, run: SourceRun | None, records: Mapping[str, FileRecord], since: int | None
) -> tuple[set[int] | None, set[int] | None, set[date] | None]:
    """Files to count, and the batches and dates that hold all of their rows; None = look everywhere.

    Files that are all new lie in this run's batches, and their silver rows in dates that it changed.
    """
    if run is None or run.restated or run.healed or source.fact == "dimension":
        return None, None, None
    ids = set(run.touched_files)
    batches = set(run.batches)
    touched = [record for record in records.values() if record.file_id in ids]
    are_new = run.files_new and not (run.files_grown or run.files_changed or run.files_renamed)
    if not are_new or len(touched) < len(ids) or any(record.batch_id not in batches for record in touched):
        return ids, None, None
    return ids, batches, _changed(lake, f"silver.{source.name}", since)


def _changed(lake: Lake, table: str, since: int | None) -> set[date] | None:
    if since is None:
        return None
    values = lake.changed_partitions(table, "event_date", since)
    return None if values is None else {date.fromisoformat(value) for value in values}


def _earlier_lines(engine: Engine, source: str, gone: set[int]) -> dict[int, tuple[str, int]]:
    """Path and lines of generations of files that were replaced."""
    rows = engine.query(
        "SELECT file_id, source_path, max(lines) AS lines FROM ops.files "
        f"WHERE source = $source AND {one_of('file_id', gone)} GROUP BY file_id, source_path ORDER BY lines",
        {"source": source},
    ).to_pylist()
    return {row["file_id"]: (row["source_path"], row["lines"]) for row in rows}


def quality_report(
    engine: Engine, lake: Lake, source: Source, run: SourceRun, ledger: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Every count of one source and run, for `ops.dq_reports` and `target/run_results.json`."""
    totals = {
        name: sum(int(row[name]) for row in ledger)
        for name in ("read", "accepted", "quarantined", "duplicate", "filtered", "superseded")
    }
    reasons = _reasons(engine, source.name, {int(row["file_id"]) for row in ledger if row["quarantined"]})
    share = totals["quarantined"] / max(1, totals["read"] - totals["filtered"] - totals["superseded"])
    return {
        "source": source.name,
        "files": {
            "new": run.files_new,
            "grown": run.files_grown,
            "changed": run.files_changed,
            "unchanged": run.files_unchanged,
            "copies": run.files_copied,
            "renamed": run.files_renamed,
            "vanished": run.files_vanished,
            "truncated": run.files_truncated,
        },
        "bytes": run.bytes_read,
        "rows": totals,
        "quarantined_share": share,
        "reasons": reasons,
        "warnings": dict(run.warnings),
        "identical_rows": run.identical,
        "ledger": "balanced" if all(row["is_balanced"] for row in ledger) else "unbalanced",
        "batches": list(run.batches),
        "restated": run.restated,
        "healed": list(run.healed),
        "new_fields": list(run.evolved),
        "messages": list(run.messages),
        "faults": list(run.faults),
        "volume": volume(lake, source),
        **freshness(engine, source),
        "seconds": round(run.seconds, 3),
    }


def freshness(engine: Engine, source: Source) -> dict[str, Any]:
    """How far the source is complete and which of the days or hours expected have come (see `keep_coverage`)."""
    said: dict[str, Any] = {"freshness": None, "coverage": None}
    if source.fact == "dimension" or engine.schema(WATERMARKS) is None:
        return said
    marks = engine.query(f"SELECT * FROM {WATERMARKS} WHERE source = $source", {"source": source.name}).to_pylist()
    if marks:
        said["freshness"] = {name: value for name, value in marks[0].items() if name != "source"}
    days = engine.query(
        f"SELECT date, expected, received, status FROM {COVERAGE} WHERE source = $source ORDER BY date",
        {"source": source.name},
    ).to_pylist()
    if days:
        said["coverage"] = {
            "expected": sum(day["expected"] for day in days),
            "received": sum(day["received"] for day in days),
            "missing": [day["date"] for day in days if day["status"] == "missing"],
            "degraded": [day["date"] for day in days if day["status"] == "degraded"],
        }
    return said


def _reasons(engine: Engine, source: str, files: Collection[int]) -> dict[str, int]:
    """Why rows of these files wait in quarantine, the most frequent reason first."""
    if not files or engine.schema("silver.quarantine") is None:
        return {}
    rows = engine.query(
        "SELECT reason, count(*) AS records FROM (SELECT unnest(reasons) AS reason FROM silver.quarantine "
        f"WHERE source = $source AND state = 'open' AND {one_of('file_id', files)}) "
        "GROUP BY reason ORDER BY records DESC, reason",
        {"source": source},
    ).to_pylist()
    return {row["reason"]: row["records"] for row in rows}


def volume(lake: Lake, source: Source) -> dict[str, Any] | None:
    """Rows of the last whole date against the median of the same weekday in the four weeks before.

    None for dimensions and where fewer than two such days are there.
    """
    if source.fact == "dimension":
        return None
    rows: Counter[date] = Counter()
    for file in lake.files(f"silver.{source.name}"):
        value = file.partition.get("event_date")
        if value:
            rows[date.fromisoformat(value)] += file.records
    if len(rows) < 2:
        return None
    day = sorted(rows)[-2]  # the last one may still be filling
    past = [rows[day - timedelta(days=7 * weeks)] for weeks in range(1, 5) if day - timedelta(days=7 * weeks) in rows]
    if len(past) < 2:
        return None
    usual = median(past)
    return {"date": day.isoformat(), "rows": rows[day], "usual": usual, "ratio": rows[day] / usual if usual else None}


def keep_reports(engine: Engine, run_id: str, now: datetime, reports: Sequence[Mapping[str, Any]]) -> None:
    """Append the reports of one run to `ops.dq_reports`."""
    rows = [
        {"run_id": run_id, "source": report["source"], "finished_at": now, "report": json.dumps(report, default=str)}
        for report in reports
    ]
    if rows:
        engine.write(pa.Table.from_pylist(rows, schema=REPORT_SCHEMA), REPORTS)
