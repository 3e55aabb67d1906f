"""Events of an app for the benchmark of metrics: Parquet, one file a day; same arguments, same rows.

    python -m benchmarks.engagement --rows 20000000 --users 900000 --days 90 --out DIR

A day depends only on the seed and its own number. People come in sessions of about eight events, a few often and
most seldom; more of a session's events are further steps, so that a funnel has something to lose.
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST_DAY = date(2024, 1, 1)
EVENTS = ("app_open", "browse", "video_play", "video_complete", "purchase")
REGIONS = ("NA", "EU", "APAC", "LATAM", "MEA")
VERSIONS = tuple(f"{major}.{minor}" for major in (3, 4) for minor in range(12))
_AFTER = np.array([[0.35, 0.60, 0.05], [0.10, 0.82, 0.08]])  # browse, play, complete: after an open, after a play
_DAY_US = 86_400_000_000
SETTINGS = """\
name: engagement
timezone: UTC
watch: {column: seconds, event: video_play, content: app_version}
measures: {plays: {event: video_play}}
dimensions: [region, app_version]
"""
SOURCE = """\
path: data/*.parquet
format: parquet
mapping: {event_time: event_time, actor_id: user_id, event_name: event_name}
contract:
  fields:
    event_time: {type: timestamp, required: true}
    user_id: {type: string, required: true}
    event_name: {type: string, required: true}
    region: {type: string}
    app_version: {type: string}
    seconds: {type: number}
"""


def day_table(day: int, rows: int, users: int, seed: int = 11) -> pa.Table:
    """The events of the sessions that start on a day.

    Columns: event_time, user_id, event_name, region, app_version, seconds (of `video_play`, else null).
    """
    rng = np.random.default_rng([seed, day])
    sessions = max(1, rows // 8)
    length = rng.poisson(7, sessions) + 1
    session = np.repeat(np.arange(sessions), length)
    first = np.cumsum(length) - length
    position = np.arange(len(session)) - first[session]
    user = (users * rng.random(sessions) ** 1.6).astype(np.int64)
    start = (np.clip(rng.normal(0.7, 0.2, sessions) % 1.0, 0, 0.99) * _DAY_US).astype(np.int64)
    elapsed = np.cumsum((rng.exponential(50, len(session)) * 1e6).astype(np.int64) + 1)
    at = start[session] + elapsed - elapsed[first[session]]
    event = np.where(rng.random(len(session)) < 0.45, 1, 2)
    event = np.where((event == 2) & (rng.random(len(session)) < 0.35), 3, event)
    event = np.where((position > 3) & (rng.random(len(session)) < 0.02), 4, event)
    event[position == 0] = 0
    seconds = np.round(rng.gamma(1.4, 40, len(session)), 1)
    version = np.minimum(len(VERSIONS) - 1, (user % 7 + day // 8) % len(VERSIONS))
    stamps = at + ((FIRST_DAY - date(1970, 1, 1)).days + day) * _DAY_US
    names = np.char.add("u", np.char.zfill(user.astype(str), 7))
    return pa.table(
        {
            "event_time": pa.array(stamps).cast(pa.timestamp("us", "UTC")),
            "user_id": _coded(names, session),
            "event_name": pa.DictionaryArray.from_arrays(pa.array(event, pa.int32()), list(EVENTS)),
            "region": _listed(REGIONS, (user % len(REGIONS))[session]),
            "app_version": _listed(VERSIONS, version[session]),
            "seconds": pa.array(seconds, mask=event != 2),
        }
    )


def _listed(values: tuple[str, ...], index: Any) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), list(values))


def _coded(values: Any, index: Any) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array(values))


def generate(rows: int, users: int, days: int, out: Path) -> Path:
    """Write the files that are not there yet; the folder."""
    out.mkdir(parents=True, exist_ok=True)
    for day in range(days):
        path = out / f"events_{FIRST_DAY + timedelta(days=day)}.parquet"
        if not path.is_file():
            beside = path.with_suffix(".part")
            pq.write_table(day_table(day, rows // days, users), beside, compression="zstd")
            beside.rename(path)
    return out


def make_project(folder: Path, rows: int, users: int, days: int) -> Path:
    """A project over such events, not built yet."""
    generate(rows, users, days, folder / "data")
    (folder / "sources").mkdir(exist_ok=True)
    (folder / "tide.yml").write_text(SETTINGS)
    (folder / "sources" / "app.yml").write_text(SOURCE)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--users", type=int, default=900_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    print(generate(given.rows, given.users, given.days, given.out))


if __name__ == "__main__":
    main()
