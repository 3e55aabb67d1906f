"""The product's answers beside the best hand-written DuckDB query, on one lake, in one process, one after the other.

    python -m benchmarks.questions PROJECT [--repeat 5] [--only funnel ...]

PROJECT is a folder with a tide.yml and a built lake over the events of `engagement.py`. The rivals give the whole of
the product's default answer (`whole_answers.py`, where it says more than `by_hand.py`'s numbers), and both sides must
agree. Printed as a table: median seconds of processor time of both over all repetitions, after one that is not counted,
their ratio, the best wall time of the product, and besides the fastest that gives the bare numbers only.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

import tidelake as tl
from benchmarks.by_hand import QUESTIONS, STEPS, lake_files
from benchmarks.whole_answers import TOTAL, WHOLE

Rows = list[tuple[Any, ...]]


def dau_by_region(session: Any) -> Rows:
    result = session.measure("dau", by=["region"])
    rows = [(row["period_start"], row["region"], int(row["value"])) for row in result.to_dicts() if row["value"]]
    totals = [(row["period_start"], TOTAL, int(row["total"])) for row in result.totals.to_pylist() if row["total"]]
    return [*rows, *totals]


def mau_30(session: Any) -> Rows:
    return [(row["period_start"], int(row["value"])) for row in session.measure("mau").to_dicts()]


def retention_weekly(session: Any) -> Rows:
    found = []
    for row in session.retention(unit="week", periods=(0, 13), warmup_days=0).to_dicts():
        returned = int(row["numerator"] or 0) + int(row["numerator_so_far"] or 0)
        if returned:
            found.append((row["cohort_start"], int(row["period"]), row["size"], returned))
    return found


def funnel(session: Any) -> Rows:
    rows = session.funnel(list(STEPS), window="1d").to_dicts()
    names = ("seconds_median", "seconds_p90", "open_entries")
    return [(row["step"], str(row["step_name"]), int(row["numerator"]), *(row[name] for name in names)) for row in rows]


def drop_off(session: Any) -> Rows:
    names = ("ci_low", "ci_high", "difference", "p_value")
    return [
        (
            row["segment"],
            row["n"],
            int(row["denominator"]),
            int(row["numerator"]),
            row["no_watch_share"],
            *(row[name] for name in names),
        )
        for row in session.dropoff(by=["app_version"]).to_dicts()
    ]


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
    """One line of the table: the product, the fastest variant by hand, and their ratio."""
    rivals = WHOLE.get(question, QUESTIONS[question])
    variants = dict.fromkeys([*rivals, *QUESTIONS[question]])
    own = [timed(lambda: PRODUCT[question](session))]
    hand = {variant: [timed(lambda variant=variant: variant(connection, files))] for variant in variants}
    for variant in rivals:
        if not agrees(own[0].rows, hand[variant][0].rows):
            raise SystemExit(f"{question}: {variant.__name__} gives other rows than the product")
    for _ in range(repeat):
        own.append(timed(lambda: PRODUCT[question](session)))
        for variant, runs in hand.items():
            if len(runs) == 1 or runs[-1].processor < 2 * min(other[-1].processor for other in hand.values()):
                runs.append(timed(lambda variant=variant: variant(connection, files)))
    spent = {variant: median(run.processor for run in runs[1:] or runs) for variant, runs in hand.items()}
    mine, best, bare = (
        median(run.processor for run in own[1:]),
        min(rivals, key=spent.__getitem__),
        min(QUESTIONS[question], key=spent.__getitem__),
    )
    wall = min(run.wall for run in own[1:])
    return (
        f"| {question} | {mine:.3f} | {spent[best]:.3f} ({best.__name__}) | {mine / spent[best]:.2f} | {wall:.3f} | "
        f"{spent[bare]:.3f} ({bare.__name__}) |"
    )


def agrees(own: Rows, hand: Rows) -> bool:
    """Whether both say the same, fractions to nine digits."""
    if len(own) != len(hand):
        return False
    pairs = zip(sorted(own, key=str), sorted(hand, key=str), strict=True)
    return all(_is_same(one, other) for mine, theirs in pairs for one, other in zip(mine, theirs, strict=True))


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=PRODUCT, default=list(PRODUCT))
    given = parser.parse_args()
    files = lake_files(given.project / "lake")
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("SET TimeZone = 'UTC'")
    print("| question | Tidelake, processor s | best by hand, processor s | ratio | Tidelake, wall s | bare numbers |")
    print("|---|---:|---:|---:|---:|---:|")
    with tl.open(given.project) as session:
        for question in given.only:
            print(compare(session, connection, files, question, max(1, given.repeat)), flush=True)
    print(f"\npeak memory of both together: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
