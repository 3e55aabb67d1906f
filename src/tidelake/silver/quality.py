"""What a build says of its data: the ledger, coverage, watermarks and one quality report a source and run."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from tidelake.bronze.registry import FileRecord, superseded_ids
from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.errors import LedgerError
from tidelake.lake import Lake
from tidelake.lake.ledger import LEDGER, balanced, count_files, merge_ledger, one_of
from tidelake.silver.ingest import SourceRun

COVERAGE = "ops.coverage"
WATERMARKS = "ops.watermarks"
REPORTS = "ops.dq_reports"
COVERAGE_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("date", pa.date32()),
        ("expected", pa.int64()),
        ("received", pa.int64()),
        ("status", pa.string()),
    ]
)
WATERMARK_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("watermark", pa.timestamp("us", "UTC")),
        ("lateness_seconds", pa.float64()),
        ("first_date", pa.date32()),
        ("last_date", pa.date32()),
    ]
)
REPORT_SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("source", pa.string()),
        ("finished_at", pa.timestamp("us", "UTC")),
        ("report", pa.string()),
    ]
)
_HOUR = re.compile(r"(?P<date>\d{8})-(?P<hour>\d{2})\d{4}")
_LATENESS_DAYS = 28
_UNFINISHED = "'invalid_json', 'wrong_shape', 'bad_quoting'"  # reasons of a record that stops in its middle


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


# --- coverage and watermarks


def coverage_of(source: Source, periods: Mapping[datetime, bool], zone: ZoneInfo) -> list[dict[str, Any]]:
    """(date, expected, received, status) of a source whose files come by day or hour; else nothing.

    An hour belongs to the local date of its start, so a date expects as many files as it has hours; a daily file
    belongs to the date in its name. Of the last date, files are expected up to the last that is there.

    Args:
        periods: The days or hours that have a file, and whether all of it was received (`periods_of`).
        zone: The project's time zone.
    """
    if not periods:
        return []
    is_hourly = source.complete.by == "hourly_file"
    step = timedelta(hours=1) if is_hourly else timedelta(days=1)

    def day_of(stamp: datetime) -> date:
        return (stamp.astimezone(zone) if is_hourly else stamp).date()

    begin, last = min(periods), max(periods)
    first_day = source.complete.first or day_of(begin)
    moment = datetime.combine(first_day, datetime.min.time(), UTC)
    if is_hourly:
        moment -= timedelta(days=1)  # its first hour is within a day of midnight in UTC, in any zone
        while day_of(moment) < first_day:
            moment += step
    expected: Counter[date] = Counter()
    before: Counter[date] = Counter()  # of those, files from before the data begin
    while moment <= last:
        expected[day_of(moment)] += 1
        before[day_of(moment)] += moment < begin and source.complete.first is None
        moment += step
    received = Counter(day_of(stamp) for stamp, is_whole in periods.items() if is_whole)
    begun = {day_of(stamp) for stamp in periods}

    def status(day: date) -> str:
        if day not in begun:
            return "missing"
        if received[day] < expected[day] - before[day]:
            return "degraded"
        return "partial_left" if before[day] else "received"

    return [
        {
            "source": source.name,
            "date": day,
            "expected": expected[day],
            "received": received[day],
            "status": status(day),
        }
        for day in sorted(expected)
    ]


def periods_of(engine: Engine, source: Source, records: Mapping[str, FileRecord]) -> dict[datetime, bool]:
    """The days or hours that files are named by, and whether all of each was received; else nothing.

    A file that was cut off, or whose last line was not finished, holds a part of its period only.
    """
    if source.complete.by not in ("daily_file", "hourly_file"):
        return {}
    cut = _cut_off(engine, source, records)
    found: dict[datetime, bool] = {}
    for path, record in records.items():
        if record.state == "moved":
            continue
        stamp = period_of(source, path)
        if stamp is not None:
            is_whole = record.file_id not in cut and record.copy_of not in cut
            found[stamp] = found.get(stamp, True) and is_whole
    return found


def _cut_off(engine: Engine, source: Source, records: Mapping[str, FileRecord]) -> set[int]:
    """file_ids of files of which the end is missing: packed ones, and texts that stop within a record."""
    cut = {record.file_id for record in records.values() if record.state in ("truncated", "partial")}
    open_ended = {r.file_id: r.lines for r in records.values() if r.state == "whole" and not r.ends_with_newline}
    if open_ended and engine.schema("silver.quarantine") is not None:
        waiting = engine.query(
            "SELECT file_id, max(source_position) AS last FROM silver.quarantine WHERE source = $source "
            f"AND state = 'open' AND {one_of('file_id', set(open_ended))} "
            f"AND len(list_filter(reasons, lambda reason: reason IN ({_UNFINISHED}))) > 0 GROUP BY file_id",
            {"source": source.name},
        ).to_pylist()
        cut |= {row["file_id"] for row in waiting if row["last"] == open_ended[row["file_id"]]}
    return cut


def period_of(source: Source, path: str) -> datetime | None:
    """Start of the day or hour that a file's name carries, in UTC; None where it carries none.

    The name of an hourly Wikimedia file says the end of its hour.
    """
    name = path.rsplit("/", 1)[-1]
    if source.complete.by == "hourly_file" and (found := _HOUR.search(name)):
        end = datetime.strptime(found["date"] + found["hour"], "%Y%m%d%H").replace(tzinfo=UTC)
        return end - timedelta(hours=1) if source.kind == "projectviews" else end
    found = re.search(source.complete.file_date, name)
    if found is None:
        return None
    digits = found["date"].replace("-", "")
    try:
        return datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def watermark_of(
    engine: Engine,
    lake: Lake,
    project: Project,
    source: Source,
    periods: Mapping[datetime, bool],
) -> dict[str, Any] | None:
    """Up to when the source is complete, how late its rows come, and the dates it holds (METRICS section 0)."""
    table = f"silver.{source.name}"
    files = lake.files(table)
    dates = sorted({value for file in files if (value := file.partition.get("event_date")) is not None})
    if not dates:
        return None
    zone = project.zone
    by, whole = source.complete.by, [stamp for stamp, is_whole in periods.items() if is_whole]
    if by == "through" and source.complete.through is not None:
        mark = _day_start(source.complete.through + timedelta(days=1), zone)
    elif by == "daily_file" and whole:
        mark = _day_start(max(whole).date() + timedelta(days=1), zone)
    elif by == "hourly_file" and whole:
        mark = max(whole) + timedelta(hours=1)
    else:
        latest = engine.query(f"SELECT max(event_time) AS latest FROM {table} WHERE event_date = DATE '{dates[-1]}'")
        mark = latest.column("latest")[0].as_py()
    return {
        "source": source.name,
        "watermark": mark,
        "lateness_seconds": _lateness(engine, project, source, dates),
        "first_date": date.fromisoformat(dates[0]),
        "last_date": date.fromisoformat(dates[-1]),
    }


def _day_start(day: date, zone: Any) -> datetime:
    return datetime.combine(day, datetime.min.time(), zone).astimezone(UTC)


def _lateness(engine: Engine, project: Project, source: Source, dates: Sequence[str]) -> float:
    """p99.5 of received_at - event_time over the last 28 days, or what the project declares; 0 without receipts."""
    if project.lateness is not None:
        return project.lateness.total_seconds()
    if source.fact != "event" or source.mapping.received_at is None:
        return 0.0
    days = [date.fromisoformat(day) for day in dates]
    recent = {day for day in days if day > days[-1] - timedelta(days=_LATENESS_DAYS)}
    found = engine.query(
        "SELECT quantile_cont(greatest(epoch_us(received_at) - epoch_us(event_time), 0), 0.995) AS late "
        f"FROM silver.{source.name} WHERE received_at IS NOT NULL AND " + one_of("event_date", recent)
    )
    late = found.column("late")[0].as_py()
    return 0.0 if late is None else float(late) / 1e6


def keep_coverage(
    engine: Engine,
    lake: Lake,
    project: Project,
    sources: Mapping[str, Source],
    records: Mapping[str, Mapping[str, FileRecord]],
) -> None:
    """Write `ops.coverage` and `ops.watermarks` for all sources of facts, where they changed."""
    coverage: list[dict[str, Any]] = []
    marks: list[dict[str, Any]] = []
    for name, source in sources.items():
        if source.fact == "dimension" or engine.schema(f"silver.{name}") is None:
            continue
        periods = periods_of(engine, source, records[name])
        coverage += coverage_of(source, periods, project.zone)
        mark = watermark_of(engine, lake, project, source, periods)
        if mark is not None:
            marks.append(mark)
    _keep(engine, pa.Table.from_pylist(coverage, schema=COVERAGE_SCHEMA), COVERAGE)
    _keep(engine, pa.Table.from_pylist(marks, schema=WATERMARK_SCHEMA), WATERMARKS)


def _keep(engine: Engine, rows: pa.Table, table: str) -> None:
    if engine.schema(table) is not None:
        known = engine.query(f"SELECT {', '.join(rows.column_names)} FROM {table}")
        if _in_order(known) == _in_order(rows):
            return
    engine.write(rows, table, "overwrite")


def _in_order(rows: pa.Table) -> list[dict[str, Any]]:
    """The rows by their first two columns, which tell them apart."""
    first, second = rows.column_names[:2]
    return sorted(rows.to_pylist(), key=lambda row: (row[first], str(row[second])))


# --- quality reports


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
