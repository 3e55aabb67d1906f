"""Judges the onset of a change: planted steps, published series with annotated changes, real ones.

    python -m benchmarks.onset steps --series 400 --seed 1      looked at day by day: false alarms, found, delay
    python -m benchmarks.onset short                            14 days, looked at once
    python -m benchmarks.onset interval                         does the 90 % interval hold the day
    python -m benchmarks.onset many                             40 series at once: how often any raises a false alarm
    python -m benchmarks.onset spikes                           series in the form of NAB's artificial ones
    python -m benchmarks.onset turing --tcpd DIR|ARCHIVE        annotated series of the Turing Change Point Dataset

Each prints one JSON line a setting. Seconds are of processor time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidelake.analyses.change.onset import onset, onsets

Floats = NDArray[np.float64]
FALLS = (0.0, 0.05, 0.10, 0.17, 0.30)
NOISES = (0.02, 0.03, 0.04)
LENGTHS = (28, 42, 56, 84)
FIRST_LOOK = 14  # days of history at the first look
MARGIN = 5  # of the Turing benchmark: a change is found within so many observations


def planted(
    rng: np.random.Generator,
    *,
    days: int,
    fall: float = 0.0,
    at: int | None = None,
    noise: float = 0.03,
    persistence: float = 0.3,
) -> tuple[Floats, int | None]:
    """A daily series of a consumer product with a step: its values, all positive, and the day of the step.

    A weekday pattern of random strength, a slow trend, noise that persists from day to day, outliers of -20 to +25 %
    on 1.2 % of the days before the step; from day `at` on (a random day of the last third) `fall` less.
    """
    if fall and at is None:
        at = int(rng.integers(2 * days // 3, days - 3))
    weekday = 1 + np.array([0, -0.03, -0.04, -0.02, 0.05, 0.18, 0.15]) * rng.uniform(0.5, 1.6)
    weekday = np.roll(weekday, rng.integers(7))
    day = np.arange(days)
    trend = np.exp(day * rng.normal(0, 0.0008))
    shocks = rng.normal(0, noise * np.sqrt(1 - persistence**2), days)
    strays = np.zeros(days)
    for i in range(1, days):
        strays[i] = persistence * strays[i - 1] + shocks[i]
    values = 1e5 * weekday[day % 7] * trend * np.exp(strays)
    for i in np.flatnonzero(rng.random(days) < 0.012):
        if at is None or i < at - 1:
            values[i] *= rng.uniform(0.8, 1.25)
    if at is not None:
        values[at:] *= 1 - fall
    return values, at


def watched(values: Floats, at: int | None, *, first: int = FIRST_LOOK) -> dict[str, Any]:
    """What looking at a series every day would have told: false alarms, days watched, delay, where it was laid.

    Alarms that mean the same day, give or take three, are one. One that comes before the step, or that means a day
    more than a week before it, is false.
    """
    weekdays = np.arange(len(values)) % 7
    told: dict[str, Any] = {"alarms": 0, "days": 0, "looks": 0, "seconds": 0.0}
    told |= {"delay": None, "first": None, "last": None}
    wrong: list[int] = []
    is_true = False
    for today in range(first, len(values)):
        began = time.process_time()
        found = onset(values[: today + 1], weekdays[: today + 1])
        told["seconds"] += time.process_time() - began
        told["looks"] += 1
        if at is None or today < at:
            told["days"] += 1
        is_true = found is not None and at is not None and today >= at and found.at > at - 7
        if found is not None and is_true and at is not None:
            if told["delay"] is None:
                told["delay"], told["first"] = today - at, found.at - at
            told["last"] = found.at - at
        elif found is not None:
            told["alarms"] += all(abs(found.at - day) > 3 for day in wrong)
            wrong.append(found.at)
        if is_true and today == len(values) - 1 and found is not None and at is not None:
            told["held"] = found.low <= at <= found.high
    told["missed"] = at is not None and not is_true
    return told


def _shown(what: dict[str, Any]) -> None:
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in what.items()}), flush=True)


def _judged(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of many watched series."""
    found = [row for row in rows if row["delay"] is not None]
    result: dict[str, Any] = {
        "series": len(rows),
        "milliseconds": 1000 * sum(row["seconds"] for row in rows) / sum(row["looks"] for row in rows),
    }
    if watched_days := sum(row["days"] for row in rows):
        result["false_alarms_a_year"] = 365 * sum(row["alarms"] for row in rows) / watched_days
    if found:
        ends = [row["last"] for row in found]
        result |= {
            "found": len(found) / len(rows),
            "delay": float(np.mean([row["delay"] for row in found])),
            "within_a_day_at_first": float(np.mean([abs(row["first"]) <= 1 for row in found])),
            "within_a_day_at_end": float(np.mean([abs(end) <= 1 for end in ends])),
            "interval_holds": float(np.mean([row["held"] for row in found if not row["missed"]] or [0.0])),
        }
    return result


def watch_steps(count: int, seed: int, *, sign: float = 1.0, is_each: bool = False, is_late: bool = False) -> None:
    """Planted steps, `count` a fall; with `is_each` also by noise and length. `sign` -1 = rises.

    With `is_late` a series is watched from the step on only: found and delay without the false alarms before.
    """
    rng = np.random.default_rng(seed)
    for fall in FALLS[2:] if is_late else FALLS:
        rows: list[dict[str, Any]] = []
        for i in range(count):
            noise, days = NOISES[i % 3], LENGTHS[i // 3 % 4]
            values, at = planted(rng, days=days, fall=sign * fall, noise=noise)
            first = at if is_late and at else FIRST_LOOK
            rows.append(watched(values, at, first=first) | {"noise": noise, "length": days})
        _shown({"fall": sign * fall} | _judged(rows))
        for key in ("noise", "length") if is_each else ():
            for value in sorted({row[key] for row in rows}):
                _shown({"fall": sign * fall, key: value} | _judged([row for row in rows if row[key] == value]))


def look_short(count: int, seed: int) -> None:
    """14 days, 7 before and 7 after, looked at once, at the usual threshold and at 3."""
    rng = np.random.default_rng(seed)
    for threshold in (3.7, 3.0):
        for noise in NOISES:
            for fall in (0.0, 0.1, 0.17, 0.3):
                found = [
                    onset(
                        planted(rng, days=14, fall=fall, at=7, noise=noise)[0], np.arange(14) % 7, threshold=threshold
                    )
                    for _ in range(count)
                ]
                told = [one for one in found if one is not None]
                row = {"threshold": threshold, "noise": noise, "fall": fall, "found": len(told) / count}
                if told and fall:
                    row["within_a_day"] = float(np.mean([abs(one.at - 7) <= 1 for one in told]))
                    row["interval_holds"] = float(np.mean([one.low <= 7 <= one.high for one in told]))
                _shown(row)


def look_interval(count: int, seed: int) -> None:
    """Steps of all sizes, looked at once at the end: how often the interval holds the day, and how wide it is."""
    rng = np.random.default_rng(seed)
    for fall in FALLS[1:]:
        for noise in NOISES:
            told = []
            for i in range(count):
                days = LENGTHS[i % 4]
                values, at = planted(rng, days=days, fall=fall, noise=noise)
                found = onset(values, np.arange(days) % 7)
                if found is not None and at is not None:
                    told.append((found.low <= at <= found.high, found.high - found.low + 1, abs(found.at - at) <= 1))
            if told:
                held, width, near = np.mean(told, axis=0).tolist()
                row = {"interval_holds": held, "days_wide": width, "within_a_day": near}
                _shown({"fall": fall, "noise": noise, "found": len(told) / count} | row)


def look_many(count: int, seed: int, *, size: int = 40) -> None:
    """Families of series on one look: any false alarm where nothing happened; found where some fell, and false ones."""
    rng = np.random.default_rng(seed)
    for days in (28, 56, 84):
        for fallen in (0, 4):
            any_wrong, share_wrong, found = 0, [], 0
            for _ in range(count):
                noises = rng.choice(NOISES, size)
                at = days - 7
                rows = [
                    planted(rng, days=days, fall=0.17 * (i < fallen), at=at if i < fallen else None, noise=noise)[0]
                    for i, noise in enumerate(noises)
                ]
                told = [one is not None for one in onsets(np.array(rows), np.arange(days) % 7)]
                any_wrong += any(told[fallen:])
                share_wrong.append(sum(told[fallen:]) / max(sum(told), 1))
                found += sum(told[:fallen])
            row = {"days": days, "series": size, "fallen": fallen, "families": count}
            row |= {"any_false": any_wrong / count, "share_false": float(np.mean(share_wrong))}
            _shown(row | ({"found": found / fallen / count} if fallen else {}))


def hourly(rng: np.random.Generator, form: str, hours: int = 336) -> Floats:
    """A series in the form of NAB's artificial ones, at one value an hour: two weeks of a cycle of a day.

    After the description of the Numenta Anomaly Benchmark (A. Lavin, S. Ahmad, 2015; its folders artificialNoAnomaly
    and artificialWithAnomaly), drawn anew: `noise` = a level of 45 with noise; `wave` = 80 by day, 20 by night, with
    small noise; `spikes` = a low level with spikes of 10 to 20 times on 3 % of the hours, as of a load balancer.
    """
    hour = np.arange(hours) % 24
    if form == "noise":
        return 45 + rng.normal(0, 2.5, hours)
    if form == "wave":
        return np.where((hour >= 9) & (hour < 18), 80.0, 20.0) * np.exp(rng.normal(0, 0.03, hours))
    values: Floats = 1.0 + np.abs(rng.normal(0, 0.15, hours))
    return values * np.where(rng.random(hours) < 0.03, rng.uniform(10, 20, hours), 1.0)


def look_spikes(count: int, seed: int) -> None:
    """NAB's forms looked at every six hours in their second week: false alarms, and a fall in the last two days."""
    rng = np.random.default_rng(seed)
    for form in ("noise", "wave", "spikes"):
        for fall in (0.0, 0.17, 0.5):
            false, found, near, began = 0, 0, 0, time.process_time()
            for _ in range(count):
                values = hourly(rng, form)
                at = 288 + int(rng.integers(24))
                values[at:] *= 1 - fall
                looks = [onset(values[:end], np.arange(end) % 24) for end in range(174, at if fall else 337, 6)]
                false += any(one is not None for one in looks)
                last = onset(values, np.arange(336) % 24)
                if fall and last is not None and abs(last.at - at) <= 24:
                    found, near = found + 1, near + (abs(last.at - at) <= 1)
            row = {"form": form, "fall": fall, "series_with_false_alarms": false / count}
            row |= {"found": found / count, "within_an_hour": near / max(found, 1)} if fall else {}
            _shown(row | {"seconds": time.process_time() - began})


def turing(where: Path) -> Iterator[tuple[str, Floats, NDArray[np.int64], list[list[int]]]]:
    """The series with one dimension of the Turing Change Point Dataset: name, values, season, changes by annotator."""
    if where.is_file():
        with tarfile.open(where) as archive:
            texts = {
                Path(member.name).name: archive.extractfile(member).read()  # type: ignore[union-attr]
                for member in archive.getmembers()
                if member.isfile() and member.name.endswith(".json")
            }
    else:
        texts = {path.name: path.read_bytes() for path in where.rglob("*.json")}
    annotations = json.loads(texts.pop("annotations.json"))
    for name in sorted(texts):
        series = json.loads(texts[name])
        if name.removesuffix(".json") not in annotations or series.get("n_dim") != 1:
            continue
        values = np.array([np.nan if v is None else v for v in series["series"][0]["raw"]], dtype=np.float64)
        is_monthly = series["time"].get("format") == "%Y-%m"
        season = np.arange(len(values)) % 12 if is_monthly else np.zeros(len(values), dtype=np.int64)
        yield series["name"], values, season, list(annotations[series["name"]].values())


def changes(values: Floats, season: NDArray[np.int64]) -> list[int]:
    """All changes of a series, from the newest back: its last onset, then that of what lies before."""
    found: list[int] = []
    end = len(values)
    while end > 10:
        one = onset(values[:end], season[:end])
        if one is None:
            end -= 60  # the 18 weeks that are read move on
            continue
        found.append(one.at)
        end = one.at
    return sorted(found)


def f1(truths: Sequence[Sequence[int]], found: Sequence[int]) -> float:
    """F1 with a margin of five (G. van den Burg, C. Williams, arXiv 2003.06222, section 4.2); 0 is always a change."""
    marked, told = [{0, *truth} for truth in truths], {0, *found}
    precision = len(_matched(set().union(*marked), told)) / len(told)
    recall = float(np.mean([len(_matched(truth, told)) / len(truth) for truth in marked]))
    return 2 * precision * recall / (precision + recall)


def _matched(truth: set[int], told: set[int]) -> set[int]:
    left, matched = set(told), set()
    for change in sorted(truth):
        near = sorted((abs(change - one), one) for one in left if abs(change - one) <= MARGIN)
        if near:
            left.remove(near[0][1])
            matched.add(change)
    return matched


def covering(truths: Sequence[Sequence[int]], found: Sequence[int], size: int) -> float:
    """Mean over annotators of how well their segments are covered: size-weighted best Jaccard index (same source)."""

    def segments(at: Sequence[int]) -> list[tuple[int, int]]:
        edges = [0, *sorted({one for one in at if 0 < one < size}), size]
        return list(itertools.pairwise(edges))

    def best(one: tuple[int, int]) -> float:
        shared = [(max(min(one[1], b) - max(one[0], a), 0), max(one[1], b) - min(one[0], a)) for a, b in told]
        return max(both / either for both, either in shared if either)

    told = segments(found)
    return float(np.mean([sum((b - a) * best((a, b)) for a, b in segments(truth)) / size for truth in truths]))


def judge_turing(where: Path) -> None:
    """F1 and covering of each series and their means, beside the method that never finds a change."""
    rows = []
    for name, values, season, truths in turing(where):
        found = changes(values, season)
        none: list[int] = []
        rows.append(
            (
                f1(truths, found),
                covering(truths, found, len(values)),
                f1(truths, none),
                covering(truths, none, len(values)),
            )
        )
        _shown(
            {
                "series": name,
                "found": found,
                "f1": rows[-1][0],
                "covering": rows[-1][1],
                "f1_zero": rows[-1][2],
                "covering_zero": rows[-1][3],
            }
        )
    means = np.mean(rows, axis=0).tolist()
    _shown({"series": len(rows), "f1": means[0], "covering": means[1], "f1_zero": means[2], "covering_zero": means[3]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["steps", "rises", "short", "interval", "many", "spikes", "turing"])
    parser.add_argument("--series", type=int, default=400, help="series a setting (many: families)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", action="store_true", help="steps, rises: also by noise and by length")
    parser.add_argument("--late", action="store_true", help="steps, rises: watched from the step on only")
    parser.add_argument("--tcpd", type=Path, help="folder or .tar.gz of the Turing Change Point Dataset")
    asked = parser.parse_args()
    if asked.part in {"steps", "rises"}:
        sign = 1.0 if asked.part == "steps" else -1.0
        watch_steps(asked.series, asked.seed, sign=sign, is_each=asked.each, is_late=asked.late)
    elif asked.part == "turing":
        if asked.tcpd is None or not asked.tcpd.exists():
            raise SystemExit("Skipped: --tcpd names no folder or archive (github.com/alan-turing-institute/TCPD).")
        judge_turing(asked.tcpd)
    else:
        looks = {"short": look_short, "interval": look_interval, "many": look_many, "spikes": look_spikes}
        looks[asked.part](asked.series, asked.seed)


if __name__ == "__main__":
    main()
