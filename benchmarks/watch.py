"""Judges `tide watch` by simulation: daily looks at a metric and the values of one dimension, findings told once.

    python -m benchmarks.watch --segments 12 --days 180 --runs 10 --seed 1            nothing happened: false findings
    python -m benchmarks.watch --segments 12 --days 120 --runs 10 --seed 1 --fall .2  one segment falls: found once?

Segments differ in size by a factor of twenty, share a weekday pattern and part of their noise (autocorrelation .3), and
have outliers. The first look is at 28 days. Prints one JSON line: findings a year of daily looks, share of years
without any, and with a fall how often it was found, how often it was told, and after how many days.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tidelake.analyses.change.days import TableDays
from tidelake.analyses.watch.changes import changes
from tidelake.analyses.watch.findings import compared, unwritten

FIRST = date(2025, 1, 6)
FIRST_LOOK = 28
WEEK = np.array([0, -0.03, -0.04, -0.02, 0.05, 0.18, 0.15])


def noise(rng: np.random.Generator, days: int, size: float) -> NDArray[np.float64]:
    """Autocorrelated noise of a standard deviation."""
    shocks = rng.normal(0, size * np.sqrt(1 - 0.3**2), days)
    found = np.zeros(days)
    for at in range(1, days):
        found[at] = 0.3 * found[at - 1] + shocks[at]
    return found


def table(rng: np.random.Generator, segments: int, days: int, fall: float, at: int) -> pa.Table:
    """Daily counts of segments; from `at` on the second one has less."""
    common = noise(rng, days, 0.02) + np.arange(days) * rng.normal(0, 0.0008)
    week = np.log1p(WEEK * rng.uniform(0.5, 1.6))[np.arange(days) % 7]
    sizes = np.geomspace(20_000, 1_000, segments)
    parts = []
    for number, size in enumerate(sizes):
        mean = size * np.exp(common + week + noise(rng, days, 0.02))
        mean *= np.where(rng.random(days) < 0.012, rng.uniform(0.8, 1.25, days), 1.0)
        if number == 1:
            mean[at:] *= 1 - fall
        parts.append(rng.poisson(mean))
    dates = pa.array([FIRST + timedelta(days=day) for day in range(days)] * segments, pa.date32())
    names = pa.array(np.repeat([f"s{number:02d}" for number in range(segments)], days))
    return pa.table({"day": dates, "segment": names, "value": np.concatenate(parts).astype(float)})


def told(whole: pa.Table, days: int, error: float) -> list[dict[str, Any]]:
    """What a look a day tells, build by build."""
    kept: list[dict[str, Any]] = []
    for until in range(FIRST_LOOK, days + 1):
        held = TableDays(whole.filter(pc.less(whole["day"], FIRST + timedelta(days=until))), ["segment"])
        rows = [
            {
                **dict.fromkeys(("watch", "metric", "version", "condition", "status", "value", "level", "by_day")),
                "segment": one.segment.get("segment", "all"),
                "kind": one.kind,
                "day": held.calendar.day(one.onset.at),
                "low": held.calendar.day(one.onset.low),
                "high": held.calendar.day(one.onset.high),
                "effect": one.onset.effect,
                "score": one.onset.score,
                "day_status": "complete",
            }
            for one in changes(held, by=["segment"], error=error).found
        ]
        kept += unwritten(compared(rows, kept, until), kept)
    return kept


def main() -> None:
    """Run one setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, kind, value in (("segments", int, 12), ("days", int, 180), ("runs", int, 10), ("seed", int, 1)):
        parser.add_argument(f"--{name}", type=kind, default=value)
    parser.add_argument("--fall", type=float, default=0.0)
    parser.add_argument("--error", type=float, default=0.005)
    asked = parser.parse_args()
    counts, times, delays, others = [], Counter[int](), [], 0
    for run in range(asked.runs):
        rng = np.random.default_rng([asked.seed, run])
        at = int(rng.integers(asked.days // 2, asked.days - 14))
        found = told(table(rng, asked.segments, asked.days, asked.fall, at), asked.days, asked.error)
        counts.append(len(found))
        if asked.fall:
            onset = FIRST + timedelta(days=at)
            own = [one for one in found if one["segment"] == "s01" and abs(one["day"] - onset) <= timedelta(days=3)]
            times[len(own)] += 1
            delays += [own[0]["build"] - at - 1] if own else []
            others += sum(one["segment"] not in ("s01", "all") or one["day"] < onset for one in found)
    years = asked.runs * (asked.days - FIRST_LOOK + 1) / 365
    said: dict[str, Any] = {"series": asked.segments + 1, "years": round(years, 2), "error": asked.error}
    if asked.fall:
        delay = round(float(np.mean(delays)), 2) if delays else None
        said |= {"fall": asked.fall, "times_told": dict(sorted(times.items())), "delay": delay, "others": others}
    else:
        said |= {"findings_a_year": round(sum(counts) / years, 2), "runs_without": f"{counts.count(0)}/{asked.runs}"}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
