"""Sessions and events of the collapse clickstream as numpy columns; no loop over rows.

Times are whole milliseconds since 1970 (UTC). A session opens the app, sees the home page, and in
most cases plays videos one after the other; a play is a row of playing stretches with pauses,
buffers or seeks between them, and ends with complete or stop unless the end was lost. Sessions
start independently of each other, so that one user's sessions can overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from tidelake.sources.simulate.planted import (
    DEVICE_WEIGHTS,
    DEVICES,
    MODELS,
    REGION_OFFSET_HOURS,
    REGION_PLAY,
    REGION_WEIGHTS,
    REGIONS,
    VERSION_WEIGHTS,
    VERSIONS,
    Effect,
    Plant,
)

Column = npt.NDArray[Any]

EVENT_TYPES = (
    "app_open", "home_impression", "app_close", "video_play", "video_pause", "video_resume",
    "video_seek", "buffer_start", "buffer_end", "video_complete", "video_stop",
)  # fmt: skip
(
    OPEN, IMPRESSION, CLOSE, PLAY, PAUSE, RESUME, SEEK, BUFFER_START, BUFFER_END, COMPLETE, STOP,
) = range(11)  # fmt: skip
CONTENTS = 600
DAY_MS = 86_400_000
UNENDED_CAP_MS = 300_000  # METRICS section 12: a play without an end counts this long after its last event
_PLAY_PROBABILITY = 0.80
_FURTHER_PLAYS = 0.85
_ACTIVE = 0.62
_FURTHER_SESSIONS = 1.35
_LOST_ENDS = 0.03
_WEEKDAY = (0.97, 0.95, 0.96, 0.98, 1.03, 1.12, 1.10)
_VALUES = {"region": REGIONS, "device": DEVICES, "app_version": VERSIONS, "model_version": MODELS}


@dataclass(frozen=True)
class Period:
    """The days simulated; `hours` of the last one (24 = whole)."""

    first: date
    days: int
    onset: date
    hours: float = 24.0

    @property
    def start_ms(self) -> int:
        """Midnight of the first day."""
        return (self.first - date(1970, 1, 1)).days * DAY_MS

    @property
    def end_ms(self) -> int:
        """Where the logs end; no event is later than this."""
        return self.start_ms + (self.days - 1) * DAY_MS + int(self.hours * 3_600_000)

    @property
    def onset_day(self) -> int:
        """Number of the first day on which the plant acts, from 0."""
        return (self.onset - self.first).days


@dataclass
class Clickstream:
    """Sessions, plays and events as columns of equal length each.

    Attributes:
        session: user, region, device, app_version, model_version, start_ms, end_ms, plays.
        play: session, content, start_ms, last_ms (its last event), playing_ms (until `last_ms`), ended.
        event: session, time_ms, type, content (-1 = none), seek_seconds (0 = none).
    """

    session: dict[str, Column] = field(default_factory=dict)
    play: dict[str, Column] = field(default_factory=dict)
    event: dict[str, Column] = field(default_factory=dict)


def clickstream(plant: Plant, period: Period, users: int, seed: int, *, missing_closes: float = 0.0) -> Clickstream:
    """Simulate everything that happened, before any damage to the logs.

    Args:
        missing_closes: Share of sessions whose app died: no `app_close`, and no end of their last play.
    """
    # One stream of chance a stage: a plant that changes one stage leaves the others as they were.
    visits, playing, stretches, small = np.random.default_rng([seed, 0xC0]).spawn(4)
    session = _sessions(plant, period, users, visits)
    play = _plays(plant, period, session, playing, missing_closes)
    stretch = _stretches(play, stretches)
    _timetable(session, play, period, small)
    _separate_contents(session, play, small)
    event = _events(session, play, stretch, small)
    return Clickstream(session, play, event)


def affected(effect: Effect, session: dict[str, Column], period: Period) -> Column:
    """Which sessions an effect touches: those of its segment, from the onset on."""
    touched = session["day"] >= period.onset_day
    for dimension, values in effect.where.items():
        wanted = [_VALUES[dimension].index(value) for value in values]
        touched = touched & np.isin(session[dimension], wanted)
    return touched


def _sessions(plant: Plant, period: Period, users: int, rng: np.random.Generator) -> dict[str, Column]:
    people, coming = rng.spawn(2)
    person = _newcomers(plant, _population(plant, users, people), coming)
    weekday = np.array(_WEEKDAY)[(period.first.weekday() + np.arange(period.days)) % 7]
    weekday = weekday * rng.normal(1, 0.012, period.days)
    active = rng.random((len(person["habit"]), period.days)) < np.minimum(person["habit"][:, None] * weekday, 0.97)
    active &= ~((person["joins"] == 1)[:, None] & (np.arange(period.days) < period.onset_day))
    counts = active * (1 + rng.poisson(_FURTHER_SESSIONS, active.shape))
    user, day = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), period.days)
    session = {name: person[name][user] for name in ("region", "device", "app_version", "model_version")}
    other = rng.random(len(user)) < 0.12
    session["device"] = np.where(other, rng.choice(len(DEVICES), len(user), p=DEVICE_WEIGHTS), session["device"])
    released = (day >= period.onset_day) & (person["upgrade_day"][user] <= day - period.onset_day)
    session["app_version"] = np.where(released, VERSIONS.index("1.11"), session["app_version"])
    session["model_version"] = np.where(day >= period.onset_day, session["model_version"], 0)
    session |= {"user": user, "day": day, "start_ms": _clock(session["region"], day, period, rng)}
    if period.hours < 24:
        kept = session["start_ms"] < period.end_ms
        session = {name: values[kept] for name, values in session.items()}
    return session


def _population(plant: Plant, users: int, rng: np.random.Generator) -> dict[str, Column]:
    region = rng.choice(len(REGIONS), users, p=REGION_WEIGHTS)
    upgrades = rng.random(users) < plant.new_version_share
    return {
        "region": region,
        "device": rng.choice(len(DEVICES), users, p=DEVICE_WEIGHTS),
        "app_version": rng.choice(len(VERSIONS), users, p=VERSION_WEIGHTS),
        "model_version": (rng.random(users) < plant.model_rollout).astype(np.int64),
        "upgrade_day": np.where(upgrades, rng.integers(0, 4, users), 1_000_000),
        "habit": _ACTIVE * np.minimum(rng.gamma(6, 1 / 6, users), 1.5),
    }


def _newcomers(plant: Plant, person: dict[str, Column], rng: np.random.Generator) -> dict[str, Column]:
    """Everybody, and behind them the people who join at the onset (`joins` = 1)."""
    person = person | {"joins": np.zeros(len(person["region"]), dtype=np.int64)}
    for effect in plant.effects:
        if effect.people <= 1:
            continue
        regions = [REGIONS.index(value) for value in effect.where["region"]]
        members = np.flatnonzero(np.isin(person["region"], regions))
        copied = rng.choice(members, round(len(members) * (effect.people - 1)))
        person = {name: np.concatenate([values, values[copied]]) for name, values in person.items()}
        person["joins"][-len(copied) :] = 1
    return person


def _clock(region: Column, day: Column, period: Period, rng: np.random.Generator) -> Column:
    """When sessions start: evenings and noons of the region's own time, within the UTC day."""
    n = len(region)
    shape = rng.choice(3, n, p=[0.58, 0.27, 0.15])
    hour = np.select([shape == 0, shape == 1], [rng.normal(20.3, 2.0, n), rng.normal(12.8, 1.8, n)], 24 * rng.random(n))
    utc = (hour - np.array(REGION_OFFSET_HOURS)[region]) % 24
    start: Column = period.start_ms + day * DAY_MS + (utc * 3_600_000).astype(np.int64)
    return start


def _plays(
    plant: Plant, period: Period, session: dict[str, Column], rng: np.random.Generator, missing_closes: float
) -> dict[str, Column]:
    n = len(session["user"])
    probability = _PLAY_PROBABILITY * np.array(REGION_PLAY)[session["region"]]
    further = np.full(n, _FURTHER_PLAYS)
    minutes = np.ones(n)
    for effect in plant.effects:
        touched = affected(effect, session, period)
        probability = np.where(touched, probability * effect.play_probability, probability)
        further = np.where(touched, further * effect.plays, further)
        minutes = np.where(touched, minutes * effect.minutes, minutes)
    session["plays"] = (rng.random(n) < probability) * (1 + rng.poisson(further))
    fate = rng.random(n)
    session["crashed"] = fate < missing_closes
    lost = session["crashed"] | (fate > 1 - _LOST_ENDS)
    owner = np.repeat(np.arange(n), session["plays"])
    first = np.cumsum(session["plays"]) - session["plays"]
    ordinal = np.arange(len(owner)) - first[owner]
    last = ordinal == session["plays"][owner] - 1
    return {
        "session": owner,
        "ordinal": ordinal,
        "wanted_ms": ((20_000 + rng.gamma(1.4, 330_000, len(owner))) * minutes[owner]).astype(np.int64),
        "content": _content(len(owner), rng),
        "gap_ms": 2_000 + rng.exponential(15_000, len(owner)).astype(np.int64),
        "interruptions": np.minimum(rng.poisson(1.25, len(owner)), 12),
        "ended": ~(last & lost[owner]),
        "completed": rng.random(len(owner)) < 0.42,
    }


def _content(n: int, rng: np.random.Generator) -> Column:
    return (CONTENTS * rng.random(n) ** 2.2).astype(np.int64)


def _stretches(play: dict[str, Column], rng: np.random.Generator) -> dict[str, Column]:
    """One row a playing stretch; `kind` and `pause_ms` say what follows it (kind -1 = the end)."""
    count = play["interruptions"] + 1
    owner = np.repeat(np.arange(len(count)), count)
    first = np.cumsum(count) - count
    weight = rng.exponential(1, len(owner)) + 0.02
    total = np.add.reduceat(weight, first) if len(first) else weight
    playing = np.maximum(50, (play["wanted_ms"][owner] * weight / total[owner]).astype(np.int64))
    kind = rng.choice(np.array([PAUSE, BUFFER_START, SEEK]), len(owner), p=[0.36, 0.42, 0.22])
    kind[first + play["interruptions"]] = -1
    idle = np.select(
        [kind == PAUSE, kind == BUFFER_START],
        [1_000 + rng.exponential(45_000, len(owner)), 300 + rng.exponential(3_500, len(owner))],
        0,
    ).astype(np.int64)
    done = _running(playing, first, count)
    waited = _running(idle, first, count)
    play["playing_ms"] = np.add.reduceat(playing, first) if len(first) else playing
    play["idle_ms"] = np.add.reduceat(idle, first) if len(first) else idle
    # What was played until the last thing the log shows, where the end is missing.
    play["shown_ms"] = play["playing_ms"] - np.where(play["ended"], 0, playing[first + count - 1])
    return {"play": owner, "kind": kind, "idle_ms": idle, "stops_at": done + waited - idle}


def _running(values: Column, first: Column, count: Column) -> Column:
    """Running sums that start anew with each owner."""
    total = np.cumsum(values)
    return total - np.repeat(total[first] - values[first], count) if len(first) else total


def _timetable(session: dict[str, Column], play: dict[str, Column], period: Period, rng: np.random.Generator) -> None:
    """Lay plays one after the other, and move back sessions that would end after the logs do."""
    n = len(session["user"])
    session["home_ms"] = 400 + rng.exponential(900, n).astype(np.int64)
    session["stay_ms"] = 1_500 + rng.exponential(9_000, n).astype(np.int64)
    whole = play["gap_ms"] + play["playing_ms"] + play["idle_ms"]
    counts = session["plays"][session["plays"] > 0]
    first = np.cumsum(counts) - counts
    elapsed = _running(whole, first, counts) - whole + play["gap_ms"]
    busy = np.zeros(n, dtype=np.int64)
    np.add.at(busy, play["session"], whole)
    length = session["home_ms"] + busy + session["stay_ms"]
    moved = period.end_ms - 1 - length - rng.integers(0, 1_800_000, n)
    session["start_ms"] = np.where(session["start_ms"] + length >= period.end_ms, moved, session["start_ms"])
    session["end_ms"] = session["start_ms"] + length
    play["start_ms"] = (session["start_ms"] + session["home_ms"])[play["session"]] + elapsed
    play["end_ms"] = play["start_ms"] + play["playing_ms"] + play["idle_ms"]


def _separate_contents(session: dict[str, Column], play: dict[str, Column], rng: np.random.Generator) -> None:
    """Nobody plays one title twice at the same time, so that true watch time is what a log can show."""
    user = session["user"][play["session"]]
    for _ in range(100):
        order = np.lexsort((play["start_ms"], play["content"], user))
        a, b = order[:-1], order[1:]
        same = (user[a] == user[b]) & (play["content"][a] == play["content"][b])
        close = play["start_ms"][b] <= play["end_ms"][a] + 2 * UNENDED_CAP_MS
        again = b[same & close]
        if len(again) == 0:
            return
        play["content"][again] = rng.integers(0, CONTENTS, len(again))
    raise RuntimeError("titles could not be kept apart; this is a bug in the simulator")


def _events(
    session: dict[str, Column], play: dict[str, Column], stretch: dict[str, Column], rng: np.random.Generator
) -> dict[str, Column]:
    everyone = np.arange(len(session["user"]))
    closed = everyone[~session["crashed"]]
    ended = play["ended"]
    last = np.where(play["completed"], COMPLETE, STOP)
    shown = stretch["kind"] >= 0
    stopped = play["start_ms"][stretch["play"]] + stretch["stops_at"]
    paired = shown & (stretch["kind"] != SEEK)
    owner = play["session"]
    pieces = [
        (everyone, session["start_ms"], OPEN, None),
        (everyone, session["start_ms"] + session["home_ms"], IMPRESSION, None),
        # Back on the home page before each further play.
        (owner[play["ordinal"] > 0], (play["start_ms"] - play["gap_ms"] // 2)[play["ordinal"] > 0], IMPRESSION, None),
        (closed, session["end_ms"][closed], CLOSE, None),
        (owner, play["start_ms"], PLAY, np.arange(len(owner))),
        (owner[ended], play["end_ms"][ended], last[ended], np.flatnonzero(ended)),
        (owner[stretch["play"][shown]], stopped[shown], stretch["kind"][shown], stretch["play"][shown]),
        (
            owner[stretch["play"][paired]],
            (stopped + stretch["idle_ms"])[paired],
            np.where(stretch["kind"] == PAUSE, RESUME, BUFFER_END)[paired],
            stretch["play"][paired],
        ),
    ]  # fmt: skip
    times = np.concatenate([piece[1] for piece in pieces])
    kinds = np.concatenate([np.broadcast_to(piece[2], piece[0].shape) for piece in pieces])
    content = np.concatenate([np.full(len(p[0]), -1) if p[3] is None else play["content"][p[3]] for p in pieces])
    sought = rng.choice(np.array([-30, -10, 10, 30, 60]), len(times))
    order = np.lexsort((kinds, times))
    columns = {
        "session": np.concatenate([piece[0] for piece in pieces]),
        "time_ms": times,
        "type": kinds,
        "content": content,
        "seek_seconds": np.where(kinds == SEEK, sought, 0),
    }
    return {name: values[order] for name, values in columns.items()}
