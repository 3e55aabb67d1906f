"""Events in R1's shape for the benchmark: 13 fields, no event id, some bad rows and duplicates.

    python -m benchmarks.generate --rows 2000000 --days 60 --out DIR

writes `DIR/events/events_YYYY-MM-DD.jsonl` (one file a day, every file with the same number of
lines: the rows asked for, rounded up), `DIR/users.csv`, `DIR/videos.csv` and `DIR/truth.json`:
what was planted, counted from the generator's own arrays. Same arguments, same bytes. A day depends
only on the seed, on its own number and on the day before, so that the first 60 days of a longer run
are those of a shorter one with as many rows a day, and a day more can be made without the others.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tidelake.sources.simulate.text import content, instants, join, numbered, pick

FIRST_DAY = date(2024, 1, 1)
BAD_SHARE = 0.005
DUPLICATE_SHARE = 0.01
DUPLICATE_NEXT_DAY = 0.2  # of the duplicates; the others follow within 50 lines
ROWS_PER_USER = 100
VIDEOS = 2_000
EVENTS = ("first_login", "session_start", "watch_time", "like", "heart", "session_end")
BAD_KINDS = ("broken_json", "not_an_object", "wrong_type", "missing_required", "null_required", "time_out_of_range")
DEVICES = ("mobile", "tablet", "desktop", "tv")
SYSTEMS = ("iOS", "Android", "Windows", "macOS")
VERSIONS = tuple(f"1.{minor}.{patch}" for minor in range(8, 13) for patch in range(4))
NETWORKS = ("5G", "4G", "WiFi", "Ethernet")
COUNTRIES = ("US", "IN", "JP", "DE", "BR", "GB", "FR", "CA", "MX", "ID")
GENRES = ("action", "horror", "comedy", "drama", "documentary", "sci-fi", "fantasy", "romance")
_DAY_US = 86_400_000_000


@dataclass
class Rows:
    """Events of a day as columns of one length; `event` indexes EVENTS, `video` is -1 for none."""

    columns: dict[str, Any]

    def __len__(self) -> int:
        return len(self.columns["time"])

    def take(self, index: Any) -> Rows:
        return Rows({name: values[index] for name, values in self.columns.items()})

    @staticmethod
    def concat(*parts: Rows) -> Rows:
        return Rows({name: np.concatenate([p.columns[name] for p in parts]) for name in parts[0].columns})


@dataclass
class Truth:
    """What was written, counted before it became text."""

    lines: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    duplicates_same_file: int = 0
    duplicates_next_file: int = 0
    good: int = 0
    events: Counter[str] = field(default_factory=Counter)
    watch_milliseconds: int = 0
    daily_active_users: dict[str, int] = field(default_factory=dict)
    events_by_date: dict[str, int] = field(default_factory=dict)


def day_rows(day: int, wanted: int, users: int, seed: int) -> Rows:
    """Events of the sessions that start on a day, at least `wanted`; some pass midnight."""
    rng = np.random.default_rng([seed, day])
    sessions = int(wanted / 19) + 40
    middle = rng.poisson(18, sessions)
    length = middle + 2
    session = np.repeat(np.arange(sessions), length)
    first = np.cumsum(length) - length
    position = np.arange(len(session)) - first[session]
    user = (users * rng.random(sessions) ** 1.3).astype(np.int64)
    start = (np.clip(rng.normal(0.72, 0.22, sessions) % 1.0, 0, 0.99999) * _DAY_US).astype(np.int64)
    gap = (rng.exponential(35, len(session)) * 1e6).astype(np.int64) + 1
    elapsed = np.cumsum(gap)
    at = start[session] + elapsed - elapsed[first[session]] + rng.integers(0, 1_000, len(session))
    event = rng.choice(np.array([2, 3, 4]), len(session), p=[0.74, 0.17, 0.09])
    event[position == 0] = np.where(rng.random(sessions) < 0.02, 0, 1)
    event[position == length[session] - 1] = 5
    watched = event == 2
    milliseconds = np.where(watched, rng.gamma(1.6, 30_000, len(session)).astype(np.int64) + 1_000, -1)
    whole = rng.random(len(session)) < 0.85
    milliseconds = np.where(watched & whole, milliseconds // 1_000 * 1_000, milliseconds)
    content_event = (event >= 2) & (event <= 4)
    video = np.where(content_event, (VIDEOS * rng.random(len(session)) ** 2).astype(np.int64), -1)
    columns = {
        "time": at + day * _DAY_US,
        "account": user // 3,
        "user": user,
        "video": video,
        "session": np.arange(sessions) + day * 1_000_000,
        "event": event,
        "milliseconds": milliseconds,
        "device": rng.integers(0, len(DEVICES), sessions),
        "system": rng.integers(0, len(SYSTEMS), sessions),
        "version": rng.integers(0, len(VERSIONS), sessions),
        "network": rng.integers(0, len(NETWORKS), sessions),
        "ip": rng.integers(0, 256**3, sessions),
        "country": user % len(COUNTRIES),
    }
    return Rows({name: v if len(v) == len(session) else v[session] for name, v in columns.items()})


def write(rows: Rows, bad: Any) -> pa.Array[Any]:
    """Lines of JSON, each with its line feed; `bad` is 0 or 1 + an index of BAD_KINDS."""
    c = rows.columns
    n = len(rows)
    epoch = (FIRST_DAY - date(1970, 1, 1)).days * _DAY_US
    stamps = c["time"] + epoch
    out_of_range = np.where(np.arange(n) % 2 == 0, 3_600_000_000, 135 * 365 * _DAY_US)
    stamps = np.where(bad == 1 + BAD_KINDS.index("time_out_of_range"), out_of_range, stamps)
    has_value = c["milliseconds"] >= 0
    fraction = np.where(has_value, c["milliseconds"] % 1_000, 0)
    value = join(
        pa.array(np.maximum(c["milliseconds"], 0) // 1_000).cast(pa.string()),
        pick(["", *(f".{k:03d}".rstrip("0") for k in range(1, 1_000))], fraction),
    )
    null = pa.scalar("null")
    value = pa.compute.if_else(pa.array(has_value), value, null)
    value = pa.compute.if_else(pa.array(bad == 1 + BAD_KINDS.index("wrong_type")), pa.scalar('"many"'), value)
    video = pa.compute.if_else(
        pa.array(c["video"] >= 0), join('"', numbered("v_", np.maximum(c["video"], 0), 5), '"'), null
    )
    user = join('"user_id":"', numbered("u_", c["user"], 5), '",')
    user = pa.compute.if_else(pa.array(bad == 1 + BAD_KINDS.index("missing_required")), pa.scalar(""), user)
    user = pa.compute.if_else(pa.array(bad == 1 + BAD_KINDS.index("null_required")), pa.scalar('"user_id":null,'), user)
    bytes_ = [pa.array(part).cast(pa.string()) for part in (c["ip"] >> 16, (c["ip"] >> 8) & 255, c["ip"] & 255)]
    lines = join(
        '{"timestamp":"', instants(stamps), '","account_id":"acct_', pa.array(c["account"]).cast(pa.string()), '",',
        user, '"video_id":', video, ',"session_id":"s_', numbered("u_", c["user"], 5), "_",
        numbered("", c["session"], 9), '","event_name":"', pick(EVENTS, c["event"]), '","value":', value,
        ',"device":"', pick(DEVICES, c["device"]), '","device_os":"', pick(SYSTEMS, c["system"]),
        '","app_version":"', pick(VERSIONS, c["version"]), '","network_type":"', pick(NETWORKS, c["network"]),
        '","ip":"10.', bytes_[0], ".", bytes_[1], ".", bytes_[2], '","country":"', pick(COUNTRIES, c["country"]),
        '"}\n',
    )  # fmt: skip
    broken = pa.array(bad == 1 + BAD_KINDS.index("broken_json"))
    lines = pa.compute.if_else(broken, join(pa.compute.utf8_slice_codeunits(lines, 0, 120), "\n"), lines)
    listed = pa.array(bad == 1 + BAD_KINDS.index("not_an_object"))
    return pa.compute.if_else(listed, pa.scalar('["not","an","object"]\n'), lines)


def generate(
    rows: int,
    days: int,
    out: Path,
    *,
    seed: int = 7,
    compression: str = "none",
    first: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Truth:
    """Write `days` files with `rows` lines in all; see the module for what they hold.

    Args:
        rows: Lines over all `days`; every file has as many, rounded up.
        first: Write the days from this number on (0 = all); the truth covers what was written.
    """
    folder = out / "events"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = -(-rows // days)
    if wanted < 100:
        raise ValueError(f"{rows} rows over {days} days are less than 100 a day: fewer days or more rows")
    users = max(100, wanted * 60 // ROWS_PER_USER)
    truth = Truth()
    late, carried = None, None
    for day in range(max(0, first - 2), first):  # what reaches into the first day: late copies, events past midnight
        _, late, carried = _day(day, wanted, users, seed, None, carried)
    for day in range(first, days):
        lines, late, carried = _day(day, wanted, users, seed, late, carried, truth=truth)
        name = f"events_{FIRST_DAY + timedelta(days=day)}.jsonl"
        _store(folder / name, content(lines), compression)
        if progress is not None:
            progress(day + 1, days)
    _dimensions(out, users, seed)
    (out / "truth.json").write_text(json.dumps(_summary(truth, rows, days, seed), indent=1) + "\n")
    return truth


def _day(
    day: int, wanted: int, users: int, seed: int, late: Any, carried: Rows | None, *, truth: Truth | None = None
) -> tuple[Any, Any, Rows]:
    """Lines of one file (none without `truth`), copies for the next one, and events past midnight."""
    rng = np.random.default_rng([seed, day + 1_000_000])
    copies = round(wanted * DUPLICATE_SHARE)
    next_day = round(copies * DUPLICATE_NEXT_DAY)
    from_before = next_day if day else 0
    unique = wanted - (copies - next_day) - from_before
    made = day_rows(day, unique, users, seed)
    past = made.columns["time"] >= (day + 1) * _DAY_US
    carry = made.take(past)
    today = made.take(~past)
    if carried is not None:
        today = Rows.concat(today, carried)
    if len(today) < unique:
        raise RuntimeError(f"day {day} has {len(today)} events, {unique} were wanted")
    keep = np.sort(rng.permutation(len(today))[:unique])
    today = today.take(keep)
    today = today.take(np.argsort(today.columns["time"], kind="stable"))
    bad = np.zeros(unique, dtype=np.int8)
    chosen = rng.permutation(unique)[: round(wanted * BAD_SHARE)]
    bad[chosen] = 1 + rng.integers(0, len(BAD_KINDS), len(chosen))
    text = write(today, bad)
    good = np.flatnonzero(bad == 0)
    doubled = rng.choice(good, copies, replace=False)
    near, far = doubled[next_day:], np.sort(doubled[:next_day])
    late_text = text.take(pa.array(far))
    if truth is None:
        return None, late_text, carry
    place = np.concatenate([np.arange(unique, dtype=np.float64), near + rng.integers(1, 51, len(near)) + 0.5])
    index = np.concatenate([np.arange(unique), near])
    place = np.concatenate([place, rng.random(from_before) * unique])
    index = np.concatenate([index, unique + np.arange(from_before)])
    pool = text if late is None else pa.concat_arrays([text, late])
    lines = pool.take(pa.array(index[np.argsort(place, kind="stable")]))
    _count(truth, today, bad, day, same_file=len(near), from_before=from_before)
    return lines, late_text, carry


def _count(truth: Truth, rows: Rows, bad: Any, day: int, *, same_file: int, from_before: int) -> None:
    good = rows.take(bad == 0)
    name = str(FIRST_DAY + timedelta(days=day))
    truth.lines += len(rows) + same_file + from_before
    truth.good += len(good)
    truth.duplicates_same_file += same_file
    truth.duplicates_next_file += from_before
    truth.bad.update({kind: int((bad == 1 + k).sum()) for k, kind in enumerate(BAD_KINDS)})
    counted = np.bincount(good.columns["event"], minlength=len(EVENTS))
    truth.events.update({event: int(counted[k]) for k, event in enumerate(EVENTS)})
    truth.watch_milliseconds += int(np.maximum(good.columns["milliseconds"], 0).sum())
    truth.daily_active_users[name] = len(np.unique(good.columns["user"]))
    truth.events_by_date[name] = len(good)


def _summary(truth: Truth, rows: int, days: int, seed: int) -> dict[str, Any]:
    return {
        "asked": {"rows": rows, "days": days, "seed": seed},
        "lines": truth.lines,
        "good_distinct": truth.good,
        "bad": dict(truth.bad),
        "bad_total": sum(truth.bad.values()),
        "duplicates": {"same_file": truth.duplicates_same_file, "next_file": truth.duplicates_next_file},
        "events": dict(truth.events),
        "watch_seconds": truth.watch_milliseconds / 1_000,
        "daily_active_users": truth.daily_active_users,
        "events_by_date": truth.events_by_date,
    }


def _store(path: Path, data: memoryview, compression: str) -> None:
    if compression == "gz":
        with open(f"{path}.gz", "wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as stream:
            stream.write(data)
    elif compression == "zst":
        import zstandard

        Path(f"{path}.zst").write_bytes(zstandard.ZstdCompressor(level=3).compress(data))
    else:
        path.write_bytes(data)


def _dimensions(out: Path, users: int, seed: int) -> None:
    rng = np.random.default_rng([seed, 2_000_000])
    signup = [str(FIRST_DAY - timedelta(days=int(k))) for k in range(60)]
    n = np.arange(users)
    table = join(
        numbered("u_", n, 5), ",", pick(signup, rng.integers(0, 60, users)), ",",
        pick(("free", "basic", "premium"), rng.integers(0, 3, users)), ",",
        pick(("18-24", "25-34", "35-44", "45-54", "55+"), rng.integers(0, 5, users)), ",",
        pick(("female", "male", "other", "prefer_not_to_say"), rng.integers(0, 4, users)), "\n",
    )  # fmt: skip
    (out / "users.csv").write_bytes(b"user_id,signup_date,subscription_tier,age_group,gender\n" + content(table))
    v = np.arange(VIDEOS)
    seconds = pa.array(rng.integers(60, 3_600, VIDEOS)).cast(pa.string())
    table = join(
        numbered("v_", v, 5), ",Video ", pa.array(v).cast(pa.string()), ",",
        pick(GENRES, rng.integers(0, len(GENRES), VIDEOS)), ",", seconds, ",pat_",
        numbered("", rng.integers(1_000, 10_000, VIDEOS), 4), "\n",
    )  # fmt: skip
    (out / "videos.csv").write_bytes(b"video_id,title,genre,duration_seconds,patent_id\n" + content(table))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--compression", choices=("none", "gz", "zst"), default="none")
    parser.add_argument("--first", type=int, default=0, help="write the days from this number on")
    asked = parser.parse_args()
    started = time.perf_counter()
    truth = generate(
        asked.rows, asked.days, asked.out, seed=asked.seed, compression=asked.compression, first=asked.first
    )
    size = sum(path.stat().st_size for path in (asked.out / "events").iterdir())
    print(f"{truth.lines:,} lines, {size / 1e6:,.0f} MB, {time.perf_counter() - started:.1f} s: {asked.out}")


if __name__ == "__main__":
    main()
