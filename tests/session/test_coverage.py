"""Days whose file is not whole are not complete, whatever its name says."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.session.lakes import build, event, events_with, lines, make_project, rows_of
from tidelake import session as tl
from tidelake.contracts.source import source_from
from tidelake.silver.completeness import Received, coverage_of

WHOLE = [lines(event(5 * number + day, received=...) for number in range(40)) for day in range(3)]


COUNTS = {
    "fact": "count",
    "path": "data",
    "format": "jsonl",
    "mapping": {"entity": "site", "event_time": "at"},
    "measures": ["views"],
    "complete": "hourly_file",
    "contract": {"fields": {"site": {}, "at": {"type": "timestamp"}, "views": {"type": "integer"}}},
}


def statuses(root: Path) -> dict[int, str]:
    """Status of DAU by day of March."""
    with tl.open(root) as session:
        rows = session.measure("dau").to_dicts()
    assert all(row["period_start"].month == 3 for row in rows)
    return {row["period_start"].day: row["status"] for row in rows}


def project(root: Path, **source: object) -> Path:
    made = make_project(root, {"app": events_with(complete="daily_file", **source)}, timezone="UTC")
    for day, text in enumerate(WHOLE, start=1):
        (made / f"data/2024-03-0{day}.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    return made


def test_a_day_whose_packed_file_is_cut_off_is_not_complete(tmp_path: Path) -> None:
    root = project(tmp_path)
    last = root / "data/2024-03-03.jsonl.gz"
    packed = last.read_bytes()
    last.write_bytes(packed[: len(packed) // 2])
    assert build(root).exit_code == 3
    assert statuses(root) == {1: "complete", 2: "complete", 3: "degraded"}
    with tl.open(root) as session:
        marks = session.sql("SELECT CAST(watermark AS DATE) AS day FROM ops.watermarks").to_dicts()
    assert marks == [{"day": date(2024, 3, 3)}]  # the start of the day that is not whole
    last.write_bytes(packed)
    assert build(root).exit_code == 0
    assert statuses(root) == {1: "complete", 2: "complete", 3: "complete"}


def test_a_cut_day_before_whole_ones_is_degraded_and_the_others_complete(tmp_path: Path) -> None:
    root = project(tmp_path)
    middle = root / "data/2024-03-02.jsonl.gz"
    middle.write_bytes(middle.read_bytes()[:-20])
    build(root)
    assert statuses(root) == {1: "complete", 2: "degraded", 3: "complete"}


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        pytest.param('{"id": "half', "degraded", id="stops within a line"),
        pytest.param(lines([event(202, received=...)]).rstrip("\n"), "complete", id="whole, without a line end"),
        pytest.param(lines([event(202, amount=-1, received=...)]).rstrip("\n"), "complete", id="its last row is bad"),
    ],
)
def test_a_day_whose_last_line_is_unfinished_is_not_complete(tmp_path: Path, ending: str, status: str) -> None:
    root = project(tmp_path)
    (root / "data/2024-03-03.jsonl.gz").unlink()
    (root / "data/2024-03-03.jsonl").write_text(WHOLE[2] + ending)
    build(root)
    assert statuses(root) == {1: "complete", 2: "complete", 3: status}


def test_an_hour_whose_file_is_cut_off_degrades_its_day(tmp_path: Path) -> None:
    root = make_project(tmp_path, {"app": events_with(complete="hourly_file")}, timezone="UTC")
    for hour in range(24):
        rows = lines(event(hour * 100 + n, ts=f"2024-03-01T{hour:02d}:00:0{n}Z", received=...) for n in range(9))
        packed = gzip.compress(rows.encode(), mtime=0)
        (root / f"data/app-20240301-{hour:02d}0000.gz").write_bytes(packed if hour != 23 else packed[:-30])
    build(root)
    assert statuses(root) == {1: "degraded"}
    with tl.open(root) as session:
        found = session.sql("SELECT expected, received, status FROM ops.coverage").to_dicts()
    assert found == [{"expected": 24, "received": 23, "status": "degraded"}]


def test_a_day_with_more_rows_in_quarantine_than_allowed_is_degraded_until_they_are_taken(tmp_path: Path) -> None:
    """40 good rows a day; 4 bad ones beside them are 9.1 %, 2 are 4.8 %; the contract allows 5 %."""
    root = project(tmp_path, contract={"max_quarantined_share": 0.05})
    for day, bad in ((2, 2), (3, 4)):
        rows = lines(event(200 + 5 * number + day - 1, amount=-1, received=...) for number in range(bad))
        path = root / f"data/2024-03-0{day}.jsonl.gz"
        path.write_bytes(gzip.compress((WHOLE[day - 1] + rows).encode(), mtime=0))
    build(root)
    assert statuses(root) == {1: "complete", 2: "complete", 3: "degraded"}
    assert build(root).verdict == "unchanged"
    assert statuses(root)[3] == "degraded"
    mended = events_with(
        complete="daily_file", contract={"max_quarantined_share": 0.05}, fields={"amount": {"type": "number"}}
    )
    make_project(root, {"app": mended}, timezone="UTC")
    assert build(root).exit_code == 0
    assert statuses(root) == {1: "complete", 2: "complete", 3: "complete"}


def test_days_of_which_every_row_is_in_quarantine_are_missing_and_not_0(tmp_path: Path) -> None:
    root = make_project(tmp_path, {"app": events_with(complete="daily_file", time_format="%d.%m.%Y")}, timezone="UTC")
    (root / "data/2024-03-02.jsonl").write_text(lines(event(5 * number + 1, received=...) for number in range(3)))
    build(root)
    with tl.open(root) as session:
        assert session.sql("SELECT count(*) AS rows FROM silver.app").to_dicts() == [{"rows": 0}]
        for metric in ("dau", "wau", "events"):
            [row] = session.measure(metric).to_dicts()
            assert (row["value"], row["status"]) == (None, "missing"), metric
    (root / "sources/app.yml").write_text((root / "sources/app.yml").read_text().replace("'%d.%m.%Y'", "auto"))
    build(root)
    with tl.open(root) as session:
        [row] = session.measure("dau").to_dicts()
    assert (row["period_start"], row["value"], row["status"]) == (date(2024, 3, 2), 3.0, "complete")


def test_a_day_of_which_every_row_is_in_quarantine_is_missing_among_good_ones(tmp_path: Path) -> None:
    """Each whole day has 40 events of 7 users."""
    root = project(tmp_path)
    middle = root / "data/2024-03-02.jsonl.gz"
    bad = lines(event(5 * number + 1, amount=-1, received=...) for number in range(40))
    middle.write_bytes(gzip.compress(bad.encode(), mtime=0))
    build(root)
    with tl.open(root) as session:
        found = [(row["value"], row["status"]) for row in session.measure("dau").to_dicts()]
    assert found == [(7.0, "complete"), (None, "missing"), (7.0, "complete")]
    middle.write_bytes(gzip.compress(WHOLE[1].encode(), mtime=0))
    build(root)
    assert statuses(root) == {1: "complete", 2: "complete", 3: "complete"}


def test_an_hour_of_which_every_row_is_in_quarantine_degrades_its_day(tmp_path: Path) -> None:
    """23 views of a day's 24 are known; of the last day's four hours the last says nothing: known up to 03:00."""
    root = make_project(tmp_path, {"sites": COUNTS}, timezone="UTC", dimensions=[], measures={})
    write_hours(root, hours("11-01T00", "11-02T03"))
    for name in ("20251101-12", "20251102-03"):
        (root / f"data/v-{name}0000.jsonl").write_text(lines([{"site": "en", "at": "noon", "views": 1}]))
    build(root)
    assert covered(root) == {"11-01": (23, 24, "degraded"), "11-02": (3, 4, "degraded")}
    assert views(root) == {"11-01": (23.0, "degraded"), "11-02": (3.0, "degraded")}
    [mark] = rows_of(root, "SELECT watermark FROM ops.watermarks")
    assert mark["watermark"] == datetime(2025, 11, 2, 3, tzinfo=UTC)


# --- hourly files and local dates


def hours(first: str, last: str) -> list[datetime]:
    """Every hour from one to another, both told as 11-01T13, UTC."""
    begin, end = (datetime.fromisoformat(f"2025-{told}:00:00+00:00") for told in (first, last))
    return [begin + timedelta(hours=number) for number in range((end - begin) // timedelta(hours=1) + 1)]


def write_hours(root: Path, stamps: Iterable[datetime]) -> None:
    for stamp in stamps:
        row = {"site": "en", "at": stamp.isoformat(), "views": 1}
        (root / f"data/v-{stamp:%Y%m%d-%H}0000.jsonl").write_text(lines([row]))


def covered(root: Path) -> dict[str, tuple[int, int, str]]:
    rows = rows_of(root, "SELECT date, expected, received, status FROM ops.coverage ORDER BY date")
    return {f"{row['date']:%m-%d}": (row["received"], row["expected"], row["status"]) for row in rows}


def views(root: Path, **options: str) -> dict[str, tuple[float | None, str]]:
    with tl.open(root) as session:
        rows = session.measure("views", **options).to_dicts()
    return {f"{row['period_start']:%m-%d}": (row["value"], row["status"]) for row in rows}


def test_an_hour_counts_for_the_local_date_on_which_it_starts(tmp_path: Path) -> None:
    """New York is at UTC-4 until 06:00 UTC on 2 November 2025, then at UTC-5: that date has 25 hours, from 04:00 UTC.

    Files from 1 November 00:00 to 4 November 23:00 UTC with one view each: the last 4 hours of 31 October, 24 of the
    1st, 25 of the 2nd, 24 of the 3rd from 05:00 UTC on, the first 19 of the 4th, whose end has not come.
    """
    root = make_project(tmp_path, {"sites": COUNTS}, timezone="America/New_York", dimensions=[], measures={})
    first, middle, last = hours("11-01T00", "11-01T23"), hours("11-02T00", "11-03T04"), hours("11-03T05", "11-04T23")
    middle.remove(datetime(2025, 11, 3, 2, tzinfo=UTC))  # 21:00 of the 2nd never comes

    write_hours(root, [*first, *last])
    build(root)
    expected = {
        "10-31": (4, 24, "partial_left"),
        "11-01": (20, 24, "degraded"),
        "11-02": (0, 25, "missing"),
        "11-03": (24, 24, "received"),
        "11-04": (19, 19, "received"),
    }
    assert covered(root) == expected
    told = {"10-31": (4.0, "partial_left"), "11-03": (24.0, "complete"), "11-04": (19.0, "open")}
    assert views(root) == {**told, "11-01": (20.0, "degraded"), "11-02": (None, "missing")}

    write_hours(root, middle[24:])  # 19:00, 20:00, 22:00 and 23:00 of the 2nd
    build(root)
    assert covered(root) == {**expected, "11-02": (4, 25, "degraded")}
    assert views(root) == {**told, "11-01": (20.0, "degraded"), "11-02": (4.0, "degraded")}

    write_hours(root, middle)
    build(root)
    assert covered(root) == {**expected, "11-01": (24, 24, "received"), "11-02": (24, 25, "degraded")}
    assert views(root) == {**told, "11-01": (24.0, "complete"), "11-02": (24.0, "degraded")}
    days = rows_of(root, "SELECT activity_date, coverage, is_missing FROM gold.entity_day ORDER BY activity_date")
    assert {f"{day['activity_date']:%m-%d}": day["coverage"] for day in days} == {
        day: status for day, (_, _, status) in covered(root).items()
    }
    assert not any(day["is_missing"] for day in days)


def test_a_date_within_which_the_files_begin_is_partial_left(tmp_path: Path) -> None:
    """From 1 November, 13:00: 11 of 24 hours of a Saturday; then a whole Sunday, and 15 hours of Monday."""
    root = make_project(tmp_path, {"sites": COUNTS}, timezone="UTC", dimensions=[], measures={})
    write_hours(root, hours("11-01T13", "11-03T14"))
    build(root)
    assert covered(root) == {
        "11-01": (11, 24, "partial_left"),
        "11-02": (24, 24, "received"),
        "11-03": (15, 15, "received"),
    }
    assert views(root) == {"11-01": (11.0, "partial_left"), "11-02": (24.0, "complete"), "11-03": (15.0, "open")}
    assert views(root, grain="week") == {"10-27": (35.0, "partial_left"), "11-03": (15.0, "open")}


@pytest.mark.parametrize(
    ("zone", "complete", "stamps", "expected"),
    [
        pytest.param(
            "UTC",
            {"by": "hourly_file", "first": "2025-11-01"},
            hours("11-01T13", "11-02T00"),
            [("11-01", 11, 24, "degraded"), ("11-02", 1, 1, "received")],
            id="the whole first day is said to be expected",
        ),
        pytest.param(
            "UTC",
            {"by": "hourly_file"},
            [*hours("11-01T13", "11-01T14"), *hours("11-01T16", "11-01T23")],
            [("11-01", 10, 24, "degraded")],
            id="an hour is missing after the first",
        ),
        pytest.param(
            "Asia/Kolkata",  # UTC+5:30: 2 November starts within the hour 18:00 UTC of the 1st
            {"by": "hourly_file"},
            hours("11-01T19", "11-02T19"),
            [("11-02", 24, 25, "partial_left"), ("11-03", 2, 2, "received")],
            id="the first half hour of the first date is in no file",
        ),
        pytest.param(
            "Asia/Kolkata",
            {"by": "hourly_file"},
            hours("11-01T18", "11-02T19"),
            [("11-01", 1, 25, "partial_left"), ("11-02", 25, 25, "received"), ("11-03", 2, 2, "received")],
            id="a date has the hours in which it starts and ends",
        ),
        pytest.param(
            "Asia/Kolkata",
            {"by": "hourly_file"},
            [*hours("11-01T18", "11-02T17"), *hours("11-02T19", "11-03T02")],
            [("11-01", 1, 25, "partial_left"), ("11-02", 24, 25, "degraded"), ("11-03", 8, 9, "degraded")],
            id="without the file that holds midnight both dates are degraded",
        ),
        pytest.param(
            "Asia/Kolkata",
            {"by": "hourly_file", "first": "2025-11-02"},
            hours("11-01T19", "11-02T18"),
            [("11-02", 24, 25, "degraded"), ("11-03", 1, 1, "received")],
            id="the hour in which the first date starts is expected where that date is said",
        ),
        pytest.param(
            "America/New_York",
            {"by": "daily_file"},
            [datetime(2025, 11, day, tzinfo=UTC) for day in (1, 3)],
            [("11-01", 1, 1, "received"), ("11-02", 0, 1, "missing"), ("11-03", 1, 1, "received")],
            id="daily files are of the date in their name",
        ),
    ],
)
def test_expected_files_of_a_date(
    zone: str, complete: dict[str, str], stamps: list[datetime], expected: list[tuple[str, int, int, str]]
) -> None:
    source = source_from({**COUNTS, "name": "sites", "complete": complete})
    found = coverage_of(source, dict.fromkeys(stamps, "whole"), ZoneInfo(zone))
    assert [(f"{row['date']:%m-%d}", row["received"], row["expected"], row["status"]) for row in found] == expected


@pytest.mark.parametrize("told", ["part", "nothing"])
def test_an_hour_that_is_not_whole_degrades_the_dates_on_both_sides_of_its_midnight(told: Received) -> None:
    source = source_from({**COUNTS, "name": "sites", "complete": {"by": "hourly_file", "first": "2025-11-01"}})
    periods: dict[datetime, Received] = dict.fromkeys(hours("10-31T18", "11-03T18"), "whole")
    periods[datetime(2025, 11, 1, 18, tzinfo=UTC)] = told
    found = coverage_of(source, periods, ZoneInfo("Asia/Kolkata"))
    assert [(row["date"].day, row["received"], row["expected"], row["status"]) for row in found] == [
        (1, 24, 25, "degraded"),
        (2, 24, 25, "degraded"),
        (3, 25, 25, "received"),
        (4, 1, 1, "received"),
    ]


def test_an_hourly_count_is_of_the_date_on_which_its_hour_starts() -> None:
    """Rows of projectviews are stamped with the start of the hour: the file of 23:30 to 00:30 has one date only."""
    source = source_from({"name": "views", "kind": "projectviews", "path": "x", "complete": "hourly_file"})
    periods: dict[datetime, Received] = dict.fromkeys(hours("11-01T19", "11-02T19"), "whole")
    found = coverage_of(source, periods, ZoneInfo("Asia/Kolkata"))
    assert [(row["date"].day, row["received"], row["expected"], row["status"]) for row in found] == [
        (2, 24, 24, "received"),
        (3, 1, 1, "received"),
    ]
