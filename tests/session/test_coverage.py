"""Days whose file is not whole are not complete, whatever its name says."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path

import pytest

from tests.session.lakes import build, event, events_with, lines, make_project
from tidelake import session as tl

WHOLE = [lines(event(5 * number + day, received=...) for number in range(40)) for day in range(3)]


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
