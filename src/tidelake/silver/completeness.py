"""Which of the expected days or hours of a source were received, and up to when it is complete."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pyarrow as pa

from tidelake.bronze.registry import FileRecord
from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.lake import Lake
from tidelake.lake.ledger import JUDGED, LEDGER, one_of

COVERAGE = "ops.coverage"
WATERMARKS = "ops.watermarks"
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
_HOUR = re.compile(r"(?P<date>\d{8})-(?P<hour>\d{2})\d{4}")
_INSTANT = timedelta(microseconds=1)
_LATENESS_DAYS = 28
Received = Literal["whole", "part", "nothing"]
_UNFINISHED = "'invalid_json', 'wrong_shape', 'bad_quoting'"  # reasons of a record that stops in its middle


def coverage_of(source: Source, periods: Mapping[datetime, Received], zone: ZoneInfo) -> list[dict[str, Any]]:
    """(date, expected, received, status) of a source whose files come by day or hour; else nothing.

    A daily file belongs to the date in its name. An hour belongs to the local date on which it starts, so a date
    expects as many files as it has hours; one within which a local midnight lies (zones whose offset is no whole
    hour) has rows of two dates, and both expect its file. Rows of `projectviews` are stamped with the start of their
    hour, so that one date has them all. Of the last date, files are expected up to the last that is there. Where the
    source says that days can be empty, a date without a file expects none and is received.

    Args:
        periods: The days or hours that have a file, and how much of it was received (`periods_of`).
        zone: The project's time zone.
    """
    if not periods:
        return []
    is_hourly = source.complete.by == "hourly_file"
    step = timedelta(hours=1) if is_hourly else timedelta(days=1)

    def days_of(stamp: datetime) -> list[date]:
        if not is_hourly:
            return [stamp.date()]
        starts, ends = ((stamp + late).astimezone(zone).date() for late in (timedelta(), step - _INSTANT))
        return [starts] if source.kind == "projectviews" or ends == starts else [starts, ends]

    begin, last = min(periods), max(periods)
    first_day = source.complete.first or days_of(begin)[0]
    moment = datetime.combine(first_day, datetime.min.time(), UTC)
    if is_hourly:
        moment -= timedelta(days=1)  # its first hour is within a day of midnight in UTC, in any zone
        while days_of(moment)[-1] < first_day:
            moment += step
    expected: Counter[date] = Counter()
    before: Counter[date] = Counter()  # of those, files from before the data begin
    while moment <= last:
        for day in days_of(moment):
            if day >= first_day:
                expected[day] += 1
                before[day] += moment < begin and source.complete.first is None
        moment += step
    received = Counter(day for stamp, told in periods.items() if told == "whole" for day in days_of(stamp))
    begun = {day for stamp, told in periods.items() if told != "nothing" for day in days_of(stamp)}

    if source.complete.empty_days == "zero":
        empty = set(expected) - {day for stamp in periods for day in days_of(stamp)}
        expected.update({day: -expected[day] for day in empty})
        begun |= empty

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


def periods_of(engine: Engine, source: Source, records: Mapping[str, FileRecord]) -> dict[datetime, Received]:
    """The days or hours that files are named by, and how much of each was received; empty where names say nothing.

    A part only: a file was cut off, its last line was not finished, or a larger share of the period's rows waits in
    quarantine than the contract allows. Nothing: all of its rows wait there.
    """
    if source.complete.by not in ("daily_file", "hourly_file"):
        return {}
    cut = _cut_off(engine, source, records)
    files: defaultdict[datetime, set[int]] = defaultdict(set)
    for path, record in records.items():
        stamp = period_of(source, path)
        if record.state != "moved" and stamp is not None:
            files[stamp].add(record.file_id if record.copy_of is None else record.copy_of)
    waiting, judged = _waiting(engine, source)

    def told(ids: set[int]) -> Received:
        bad, rows = (sum(counted[one] for one in ids) for counted in (waiting, judged))
        if bad and bad == rows:
            return "nothing"
        return "part" if ids & cut or bad > source.contract.max_quarantined_share * rows else "whole"

    return {stamp: told(ids) for stamp, ids in files.items()}


def _waiting(engine: Engine, source: Source) -> tuple[Counter[int], Counter[int]]:
    """Rows that wait in quarantine and rows that the contract has judged, by file_id."""
    if engine.schema(LEDGER) is None:
        return Counter(), Counter()
    rows = engine.query(
        f"SELECT file_id, quarantined, {JUDGED} AS judged FROM {LEDGER} WHERE source = $source", {"source": source.name}
    ).to_pylist()
    waiting, judged = (Counter({row["file_id"]: row[name] for row in rows}) for name in ("quarantined", "judged"))
    return waiting, judged


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
    periods: Mapping[datetime, Received],
) -> dict[str, Any] | None:
    """Up to when the source is complete, how late its rows come, and the dates it holds (METRICS section 0)."""
    table = f"silver.{source.name}"
    files = lake.files(table)
    dates = sorted({value for file in files if (value := file.partition.get("event_date")) is not None})
    if not dates:
        return None
    zone = project.zone
    by, whole = source.complete.by, [stamp for stamp, told in periods.items() if told == "whole"]
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
