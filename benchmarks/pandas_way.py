"""The questions of `by_hand.py` in pandas, over the raw files of `engagement.py`.

    python benchmarks/pandas_way.py DATA_DIR      prints one JSON line {question: seconds}, `read` among them

Seconds are of processor time. As a careful person writes it: no loop over people, days or rows; times as whole
microseconds, names as categories. Ordering by person and time serves both the funnel and the sessions and is the line
`sort`. An event at the very time of an earlier step counts as after it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

Rows = list[tuple[Any, ...]]
STEPS = ("app_open", "browse", "video_play", "video_complete")
DAY_US = 86_400_000_000
TIMEOUT_US = 1_800_000_000
_ROLLING = 30
_NEVER = -(2**62)


def read(folder: Path) -> pd.DataFrame:
    """The events, with `us` and `day` since 1970 as whole numbers and `actor` as a number."""
    events = pq.read_table(sorted(folder.glob("*.parquet"))).to_pandas()
    events["us"] = events["event_time"].to_numpy("datetime64[us]").astype("int64")
    events["day"] = events["us"] // DAY_US
    events["actor"] = events["user_id"].cat.codes
    return events


def ordered(events: pd.DataFrame) -> pd.DataFrame:
    step = events["event_name"].cat.rename_categories(lambda name: STEPS.index(name) if name in STEPS else len(STEPS))
    return events.assign(step=step.astype("int64")).sort_values(["actor", "us", "step"])


def _date(day: Any) -> Any:
    return np.datetime64(int(day), "D").item()


def dau_by_region(events: pd.DataFrame) -> Rows:
    once = events[["day", "region", "actor"]].drop_duplicates()
    sizes = once.groupby(["day", "region"], observed=True).size().reset_index(name="actors")
    return sorted((_date(day), str(region), int(actors)) for day, region, actors in sizes.to_numpy())


def mau_30(events: pd.DataFrame) -> Rows:
    """An active day counts until its person's next one, 30 days at most; changes, then their prefix sum."""
    days = events[["actor", "day"]].drop_duplicates().sort_values(["actor", "day"])
    first, size = int(days["day"].min()), int(days["day"].max() - days["day"].min() + 1)
    begin = days["day"].to_numpy() - first
    following = days.groupby("actor")["day"].shift(-1, fill_value=2**40).to_numpy() - first
    end = np.minimum(following, begin + _ROLLING)
    changes = np.bincount(begin, minlength=size) - np.bincount(np.minimum(end, size), minlength=size + 1)[:size]
    return [(_date(first + at), int(actors)) for at, actors in enumerate(np.cumsum(changes))]


def retention_weekly(events: pd.DataFrame) -> Rows:
    weeks = events[["actor"]].assign(week=(events["day"] + 3) // 7).drop_duplicates()  # 1970-01-01 was a Thursday
    weeks["cohort"] = weeks.groupby("actor")["week"].transform("min")
    sizes = weeks.assign(index=weeks["week"] - weeks["cohort"]).groupby(["cohort", "index"]).size()
    return [(_date(cohort * 7 - 3), int(index), int(actors)) for (cohort, index), actors in sizes.items()]


def funnel(events: pd.DataFrame) -> Rows:
    """Of ordered events: the latest entry from which each step can be reached by now, step after step."""
    step, us, actor = events["step"].to_numpy(), events["us"].to_numpy(), events["actor"]
    latest = np.where(step == 0, us, _NEVER)
    rows = [(1, STEPS[0], int(actor[step == 0].nunique()))]
    for at, name in enumerate(STEPS[1:], 1):
        reachable = pd.Series(latest, index=events.index).groupby(actor.to_numpy()).cummax().to_numpy()
        is_reached = (step == at) & (reachable >= us - DAY_US)
        rows.append((at + 1, name, int(actor[is_reached].nunique())))
        latest = np.where(is_reached, reachable, _NEVER)
    return rows


def drop_off(events: pd.DataFrame) -> Rows:
    """Of ordered events: sessions end after 30 idle minutes."""
    is_start = (events["actor"].diff() != 0) | (events["us"].diff() > TIMEOUT_US)
    seconds = events["seconds"].where(events["event_name"] == "video_play")
    session = is_start.cumsum().to_numpy()
    sessions = pd.DataFrame({"version": events.loc[is_start, "app_version"].to_numpy()})
    sessions["is_below"] = seconds.groupby(session).sum().round(6).to_numpy() < 10
    found = sessions.groupby("version", observed=True)["is_below"].agg(["size", "sum", "mean"])
    rows = zip(found.index, found["size"], found["sum"], found["mean"], strict=True)
    return sorted((str(version), int(size), int(below), float(share)) for version, size, below, share in rows)


def events_and_plays(events: pd.DataFrame) -> Rows:
    is_play = events["event_name"] == "video_play"
    found = is_play.groupby(events["day"]).agg(["size", "sum"])
    return [(_date(day), int(size), int(plays)) for day, size, plays in found.itertuples()]


QUESTIONS: dict[str, tuple[Callable[[pd.DataFrame], Rows], bool]] = {  # and whether it is asked of ordered events
    "dau_by_region": (dau_by_region, False),
    "mau_30": (mau_30, False),
    "retention_weekly": (retention_weekly, False),
    "funnel": (funnel, True),
    "drop_off": (drop_off, True),
    "events_and_plays": (events_and_plays, False),
}


def main() -> None:
    seconds: dict[str, float] = {}

    def timed(name: str, function: Callable[[Any], Any], argument: Any) -> Any:
        started = time.process_time()
        result = function(argument)
        seconds[name] = round(time.process_time() - started, 4)
        return result

    events = timed("read", read, Path(sys.argv[1]))
    in_order = timed("sort", ordered, events)
    for name, (question, is_ordered) in QUESTIONS.items():
        timed(name, question, in_order if is_ordered else events)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
