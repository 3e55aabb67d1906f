"""The product's answers beside the best hand-written DuckDB query, on one lake, in one process, one after the other.

    python -m benchmarks.questions PROJECT [--repeat 5] [--only funnel ...]

PROJECT is a folder with a tide.yml and a built lake over the events of `engagement.py`. Both sides must agree on the
numbers. Printed: seconds of both (best of the repetitions), the ratio of wall and of processor time.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

import tidelake as tl
from benchmarks.by_hand import QUESTIONS, STEPS, Variant, lake_files

Rows = list[tuple[Any, ...]]


def dau_by_region(session: Any) -> Rows:
    rows = session.measure("dau", by=["region"]).to_dicts()
    return [(row["period_start"], row["region"], int(row["value"])) for row in rows if row["value"]]


def mau_30(session: Any) -> Rows:
    return [(row["period_start"], int(row["value"])) for row in session.measure("mau").to_dicts()]


def retention_weekly(session: Any) -> Rows:
    result = session.retention(unit="week", periods=(0, 13), warmup_days=0)
    found = []
    for row in result.to_dicts():
        index = int(row["period"])
        returned = row["size"] if index == 0 else int(row["numerator"] or 0) + int(row["numerator_so_far"] or 0)
        if returned:
            found.append((row["cohort_start"], index, returned))
    return found


def funnel(session: Any) -> Rows:
    rows = session.funnel(list(STEPS), window="1d").to_dicts()
    return [(row["step"], str(row["step_name"]), int(row["numerator"])) for row in rows]


def drop_off(session: Any) -> Rows:
    rows = session.dropoff(by=["app_version"]).to_dicts()
    return sorted((row["segment"], int(row["denominator"]), int(row["numerator"])) for row in rows)


def events_and_plays(session: Any) -> Rows:
    found: dict[date, list[int]] = defaultdict(list)
    for metric in ("events", "plays"):
        for row in session.measure(metric).to_dicts():
            found[row["period_start"]].append(int(row["value"]))
    return [(day, *values) for day, values in sorted(found.items())]


PRODUCT: dict[str, Callable[[Any], Rows]] = {
    function.__name__: function
    for function in (dau_by_region, mau_30, retention_weekly, funnel, drop_off, events_and_plays)
}


@dataclass
class Timed:
    wall: float
    processor: float
    rows: Rows


def timed(run: Callable[[], Rows]) -> Timed:
    wall, processor = time.perf_counter(), time.process_time()
    rows = run()
    return Timed(time.perf_counter() - wall, time.process_time() - processor, rows)


def compare(session: Any, connection: Any, files: Any, question: str, repeat: int) -> str:
    """One line: the product, the fastest variant by hand, and their ratios."""
    own: list[Timed] = []
    hand: dict[Variant, list[Timed]] = {variant: [] for variant in QUESTIONS[question]}
    for _ in range(repeat):
        own.append(timed(lambda: PRODUCT[question](session)))
        for variant, runs in hand.items():
            runs.append(timed(lambda variant=variant: variant(connection, files)))
    best = min(hand, key=lambda variant: min(run.processor for run in hand[variant]))
    wall, processor = (
        min(getattr(run, part) for run in own) / min(getattr(run, part) for run in hand[best])
        for part in ("wall", "processor")
    )
    differs = "" if agrees(question, own[0].rows, hand[best][0].rows) else "   THE NUMBERS DIFFER"
    return (
        f"{question:18} {min(run.wall for run in own):7.3f} s  {best.__name__:18} "
        f"{min(run.wall for run in hand[best]):7.3f} s  ratio {wall:5.2f}  of processor time {processor:5.2f}{differs}"
    )


def agrees(question: str, own: Rows, hand: Rows) -> bool:
    """Whether both say the same; entries and sessions of the last, open days are the product's to leave out."""
    if question in ("funnel", "drop_off"):
        number = 2 if question == "funnel" else 1
        pairs = list(zip(sorted(own), sorted(hand), strict=True))
        return all(mine[0] == other[0] and mine[number] <= other[number] for mine, other in pairs)
    return sorted(own) == sorted(tuple(row) for row in hand)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=PRODUCT, default=list(PRODUCT))
    given = parser.parse_args()
    files = lake_files(given.project / "lake")
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("SET TimeZone = 'UTC'")
    with tl.open(given.project) as session:
        for question in given.only:
            print(compare(session, connection, files, question, given.repeat), flush=True)


if __name__ == "__main__":
    main()
