"""Measures what share of the intervals of a loss hold the truth, on series with a planted fall.

    python -m benchmarks.loss                        all of it: 1,000 questions a line, some minutes
    python -m benchmarks.loss --questions 100 --seed 7

The truth is what the simulated segment would have been on its days without the fall, less what it was. The tables of
`analyses/change/loss_coverage.py` are lines of this; its seed is 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidelake.analyses.change.loss import Loss, loss

Floats = NDArray[np.float64]
_WEEK = np.array([0, -0.03, -0.04, -0.02, 0.05, 0.18, 0.15])
OWN_DAYS, OWN_AHEAD = (7, 14, 21, 28, 42, 56), (1, 7, 14, 28)
CONTROL_COUNTS = (1, 2, 5, 19)


@dataclass(frozen=True)
class Setting:
    """One line: which worlds, which fall, how the segment was chosen.

    Attributes:
        segments: Segments of a world.
        days: Days before the fall.
        ahead: Days from the fall on.
        fall: Share that the first segment loses.
        shock: Share that all segments lose on the same day, not part of the truth.
        uneven: By which share of the shock a segment may take more or less of it.
        choice: None = the first segment; else the worst by this comparison of the days from the fall on: with as many
            days before ("week before"), with four weeks before ("month before"), or in units ("units").
    """

    segments: int
    days: int
    ahead: int
    fall: float = 0.2
    shock: float = 0.0
    uneven: float = 0.0
    choice: str | None = None


def noise(rng: np.random.Generator, days: int, spread: float, correlation: float = 0.3) -> Floats:
    """Noise whose days are correlated, shape (days,)."""
    shocks = rng.normal(0, spread * np.sqrt(1 - correlation**2), days)
    shocks[0] = rng.normal(0, spread)
    for day in range(1, days):
        shocks[day] += correlation * shocks[day - 1]
    return shocks


def world(rng: np.random.Generator, setting: Setting) -> Floats:
    """Segments as they would be without a fall of one of them, shape (segments, days).

    A weekday pattern that segments follow by 70 to 130 %, a slow trend of all (.08 % a day) and of each (.04 %), noise
    of all (1 to 3 %, followed by 80 to 120 %) and of each (2 to 4 %), correlated .3 from day to day, on 1.2 % of the
    days an outlier of -20 to +25 %, also after the fall.
    """
    days = setting.days + setting.ahead
    day = np.arange(days)
    week = np.roll(1 + _WEEK * rng.uniform(0.5, 1.6), rng.integers(7))
    shared, slope = noise(rng, days, rng.uniform(0.01, 0.03)), rng.normal(0, 0.0008)
    found = np.empty((setting.segments, days))
    for row in range(setting.segments):
        logs = day * (slope + rng.normal(0, 0.0004)) + rng.uniform(0.8, 1.2) * shared
        logs += noise(rng, days, rng.uniform(0.02, 0.04)) + rng.uniform(0.7, 1.3) * np.log(week)[day % 7]
        values = 1e5 * rng.lognormal() * np.exp(logs)
        values[setting.days :] *= 1 - setting.shock * rng.uniform(1 - setting.uneven, 1 + setting.uneven)
        is_outlier = rng.random(days) < 0.012
        values[is_outlier] *= rng.uniform(0.8, 1.25, int(is_outlier.sum()))
        found[row] = values
    return found


def questions(setting: Setting, count: int, seed: int, *, alone: bool = False) -> Iterator[tuple[float, float, Loss]]:
    """Truth, size of what would have been, and answer of each question; `alone` withholds the controls."""
    at = setting.days
    for number in range(count):
        rng = np.random.default_rng([seed, number, setting.segments, at, setting.ahead])
        without = world(rng, setting)
        values = without.copy()
        values[0, at:] *= 1 - setting.fall
        row = chosen(values, setting)
        others = np.empty((0, values.shape[1])) if alone else np.delete(values, row, axis=0)
        answer = loss(values[row], others, np.arange(values.shape[1]) % 7, at, values.shape[1])
        yield float((without[row, at:] - values[row, at:]).sum()), float(without[row, at:].sum()), answer


def chosen(values: Floats, setting: Setting) -> int:
    """Which segment the question is about."""
    at = setting.days
    after = values[:, at:].mean(axis=1)
    if setting.choice is None:
        return 0
    before = values[:, at - (28 if setting.choice == "month before" else setting.ahead) : at].mean(axis=1)
    return int(np.argmin(after - before if setting.choice == "units" else after / before))


def measured(setting: Setting, count: int, seed: int, *, alone: bool = False) -> dict[str, float]:
    """Coverage, mean width as a share of what would have been, share answered by controls, controls left out."""
    rows = [
        (one.low <= truth <= one.high, (one.high - one.low) / size, one.is_calibrated, len(one.controls_left_out))
        for truth, size, one in questions(setting, count, seed, alone=alone)
    ]
    names = ("coverage", "width", "by_controls", "left_out")
    return dict(zip(names, (float(part) for part in np.mean(np.array(rows, float), axis=0)), strict=True))


def own_history(days: int, ahead: int, count: int, seed: int, *, shock: float = 0.0) -> float:
    """Coverage of the interval from the own history."""
    return measured(Setting(1, days, ahead, shock=shock), count, seed, alone=True)["coverage"]


def with_controls(controls: int, count: int, seed: int) -> float:
    """Coverage of the interval from so many controls, over 36 and 70 days of history and one and two weeks ahead."""
    lengths = ((36, 7), (70, 7), (70, 14))
    return float(np.mean([measured(Setting(controls + 1, *one), count, seed)["coverage"] for one in lengths]))


def settings() -> Iterator[Setting]:
    """The lines of the long table."""
    for segments in (2, 3, 6, 20):
        for days, ahead in ((35, 7), (70, 7), (70, 14)):
            for shock, uneven in ((0.0, 0.0), (0.15, 0.0), (0.15, 0.2)):
                yield Setting(segments, days, ahead, shock=shock, uneven=uneven)
    for segments in (6, 20, 50):
        for fall in (0.0, 0.03, 0.06, 0.1, 0.2):
            for choice in ("week before", "month before", "units"):
                yield Setting(segments, 56, 7, fall, choice=choice)


def main() -> None:
    """Print the tables."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--questions", type=int, default=1000)
    given.add_argument("--seed", type=int, default=1)
    asked = given.parse_args()
    print("own history: days before, days ahead, coverage, coverage where all fell by 15 %")
    for days in OWN_DAYS:
        for ahead in OWN_AHEAD:
            calm, shocked = (own_history(days, ahead, asked.questions, asked.seed, shock=one) for one in (0, 0.15))
            print(f"({days}, {ahead}): {calm:.2f},  # {shocked:.2f}", flush=True)
    print("controls, coverage")
    for controls in CONTROL_COUNTS:
        print(f"{controls}: {with_controls(controls, asked.questions, asked.seed):.2f},", flush=True)
    for setting in settings():
        line = measured(setting, asked.questions, asked.seed)
        print(setting, " ".join(f"{name} {value:.3f}" for name, value in line.items()), flush=True)


if __name__ == "__main__":
    main()
