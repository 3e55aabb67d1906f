"""Make `data/` from the two published sets that SOURCE.md names; needed only to renew it.

    python make_data.py FOLDER_WITH_DAILY_CSV FOLDER_WITH_HOURLY_FIXTURES

The first holds `daily/*.csv` (one file a site, and `all.csv`) and `BAD_DATES.csv`, the second the folders
of `tests/test_projectcounts/fixtures`. No number is changed: 852 CSV files become one table, sorted by site
and date, in one Parquet file a year; every other file is copied byte for byte.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

DATA = Path(__file__).parent / "data"
HEADER = {"Date": "date", "Total": "total", "Desktop site": "desktop", "Mobile site": "mobile", "Zero site": "zero"}
COUNTS = ("total", "desktop", "mobile", "zero")
HOURLY = {
    "2014-11-different-wikis": "different-wikis",
    "2014-11-missing-hours": "missing-hours",
    "2014-11-wrong-lines": "wrong-lines",
    "2014-11-3projects-for-aggregation": "three-projects",
    "2014-11-3days-enwiki-day-times-100-plus-hour-projectviews": "projectviews",
}


def read_site(path: Path) -> pa.Table:
    """One site's days under the table's column names."""
    types = {"Date": pa.date32()} | {name: pa.int64() for name in list(HEADER)[1:]}
    table = pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types=types, strings_can_be_null=False))
    if table.column_names != list(HEADER) or table.num_rows == 0 or any(c.null_count for c in table.columns):
        raise SystemExit(f"{path}: another header, no rows or empty cells")
    table = table.rename_columns(list(HEADER.values()))
    return table.add_column(0, "site", pa.array([path.stem] * table.num_rows))


def write_daily(source: Path) -> None:
    """`daily/views_YEAR.parquet`, `all.csv` and `BAD_DATES.csv`."""
    sites = sorted(path for path in (source / "daily").glob("*.csv") if path.stem != "all")
    table = pa.concat_tables([read_site(path) for path in sites]).sort_by(
        [("site", "ascending"), ("date", "ascending")]
    )
    (DATA / "daily").mkdir(parents=True)
    years = pc.year(table["date"])
    for year in pc.unique(years).to_pylist():
        pq.write_table(
            table.filter(pc.equal(years, year)),
            DATA / "daily" / f"views_{year}.parquet",
            compression="zstd",
            compression_level=19,
            use_dictionary=["site"],
            column_encoding=dict.fromkeys(("date", *COUNTS), "DELTA_BINARY_PACKED"),
            row_group_size=131_072,
        )
    shutil.copy(source / "daily" / "all.csv", DATA)
    shutil.copy(source / "BAD_DATES.csv", DATA)


def copy_hourly(source: Path) -> None:
    """`hourly/SET/YEAR/YEAR-MONTH/project*-YYYYMMDD-HH0000`."""
    for folder, name in HOURLY.items():
        shutil.copytree(source / folder, DATA / "hourly" / name, copy_function=shutil.copyfile)


if __name__ == "__main__":
    shutil.rmtree(DATA, ignore_errors=True)
    write_daily(Path(sys.argv[1]))
    copy_hourly(Path(sys.argv[2]))
