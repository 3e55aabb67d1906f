"""The shipped Wikimedia data are the published ones: held against the Foundation's own sum, without our readers."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

DATA = Path(__file__).parent.parent.parent / "examples" / "wikimedia" / "data"
COUNTS = ("total", "desktop", "mobile", "zero")


@pytest.fixture(scope="module")
def daily() -> pa.Table:
    """All shipped days, file by file."""
    return pa.concat_tables([pq.read_table(path) for path in sorted((DATA / "daily").glob("*.parquet"))])


def published(path: Path) -> dict[str, tuple[int, ...]]:
    """Counts by date of one CSV as the Foundation publishes it."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["Date", "Total", "Desktop site", "Mobile site", "Zero site"]
    return {row[0]: tuple(map(int, row[1:])) for row in rows}


def test_every_site_has_every_day_once(daily: pa.Table) -> None:
    assert daily.num_rows == 852 * 611
    assert len(set(daily["site"].to_pylist())) == 852
    assert daily.group_by(["site", "date"]).aggregate([]).num_rows == daily.num_rows
    assert sum(column.null_count for column in daily.columns) == 0


def test_sum_over_sites_of_every_day_equals_the_published_sum(daily: pa.Table) -> None:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for date, *counts in zip(*(daily[name].to_pylist() for name in ("date", *COUNTS)), strict=True):
        for index, count in enumerate(counts):
            sums[date.isoformat()][index] += count
    assert {date: tuple(counts) for date, counts in sums.items()} == published(DATA / "all.csv")


def test_every_row_is_the_published_one(daily: pa.Table, shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("wikimedia_projectview_daily") / "wikimedia_projectview_daily" / "daily"
    expected = {
        (path.stem, date, *counts)
        for path in folder.glob("*.csv")
        if path.stem != "all"
        for date, counts in published(path).items()
    }
    columns = [daily[name].to_pylist() for name in ("site", "date", *COUNTS)]
    assert {(site, date.isoformat(), *counts) for site, date, *counts in zip(*columns, strict=True)} == expected


@pytest.mark.parametrize(
    ("name", "files"),
    [("projectviews", 73), ("three-projects", 72), ("missing-hours", 68), ("different-wikis", 24), ("wrong-lines", 24)],
)
def test_hourly_sets_are_whole(name: str, files: int) -> None:
    assert len(list((DATA / "hourly" / name).glob("*/*/project*-*-*0000"))) == files
