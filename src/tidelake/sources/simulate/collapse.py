"""R0's clickstream: `day_YYYY-MM-DD.json`, JSON Lines, one file a UTC day, with a planted cause.

A line is `event_id, user_id, event_type, content_id (or null), device, app_version (text: "1.10"),
region, timestamp (…Z)`, and `seek_seconds` on video_seek. There is no session id and, unless asked
for, no model version. As in real logs a few lines are doubled, late (in the next day's file) or
damaged; the truth file says how many of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidelake.engine.progress import Progress, silent
from tidelake.errors import ProjectError
from tidelake.sources.simulate.clickstream import (
    CLOSE,
    DAY_MS,
    EVENT_TYPES,
    OPEN,
    PLAY,
    SEEK,
    Clickstream,
    Column,
    Period,
    clickstream,
)
from tidelake.sources.simulate.output import SimulationResult, prepare, store, store_truth, truth_path
from tidelake.sources.simulate.planted import DEVICES, MODELS, PLANTS, REGIONS, VERSIONS, Plant
from tidelake.sources.simulate.recommended import SERVED, names_of, recommended
from tidelake.sources.simulate.text import content, digits, fixed_text, instants, join, numbered, pick

FIRST_DATE = date(2025, 11, 10)
DAYS = 14
USERS = 3_100
LATE_SHARE = 0.001
DUPLICATE_SHARE = 0.003
DUPLICATE_NEXT_DAY = 0.15  # of the duplicates
DAMAGED_SHARE = 0.0015
DAMAGES = (
    "cut_off",
    "user_id_missing",
    "event_type_unknown",
    "timestamp_unreadable",
    "timestamp_1970",
    "app_version_a_number",
    "seek_seconds_a_word",
)


@dataclass(frozen=True)
class Lines:
    """What the log files hold: per line its event, its file (a day), its place, its damage.

    Attributes:
        event: Index of the event it tells of.
        identity: Index of its event id; a duplicate has that of its original.
        file: Day of its file, from 0.
        arrival_ms: Orders the lines of a file.
        damage: 0 = sound, else 1 + an index of DAMAGES.
        copy: Whether it doubles an earlier or later line.
    """

    event: Column
    identity: Column
    file: Column
    arrival_ms: Column
    damage: Column
    copy: Column


def simulate_collapse(
    plant: str,
    out: Path,
    *,
    seed: int = 1,
    users: int = USERS,
    days: int = DAYS,
    first_date: date = FIRST_DATE,
    onset: date | None = None,
    last_day_hours: float = 24.0,
    model_version: bool = False,
    missing_closes: float = 0.0,
    features_log: bool = False,
    truth: Path | None = None,
    progress: Progress = silent,
) -> SimulationResult:
    """Write the logs of one story.

    Args:
        plant: A name in PLANTS.
        users: People; 3,100 give more than 500,000 events in 14 days.
        onset: First day on which the plant acts; null = the middle of the period.
        last_day_hours: Hours of the last day that the logs hold (24 = the whole day).
        missing_closes: Share of sessions whose app died, so that neither `app_close` nor the end of their last play
            was logged. (Without them, 3 of 100 sessions still lack the end of their last play.)
        model_version: Also write the model that served each session (R0's raw form lacks it).
        features_log: Also write what each model served and was fed: `features_YYYY-MM-DD.json`.
        truth: Where the answer goes; null = `OUT.truth.json` beside the folder.

    Raises:
        ProjectError: A size is out of range, or the folder holds other files.
    """
    period = _period(days, first_date, onset, last_day_hours)
    if users < 1 or not 0 <= missing_closes <= 1:
        raise ProjectError(
            f"{users} users with {missing_closes:g} missing closes cannot be simulated.",
            hint="Give at least 1 user, and a share from 0 to 1.",
        )
    answer = truth_path(out, truth)
    names = [f"day_{first_date + timedelta(days=day)}.json" for day in range(days)]
    prepare(out, [*names, *(names_of(period) if features_log else [])])
    progress("simulating sessions", 0, 1, "steps")
    stream = clickstream(PLANTS[plant], period, users, seed, missing_closes=missing_closes)
    rng = np.random.default_rng([seed, 0x10C])
    logged = _logged(stream, PLANTS[plant], period, rng)
    lines = _lines(stream, logged, period, rng)
    progress("simulating sessions", 1, 1, "steps")
    ids = _identifiers(int(lines.identity.max(initial=-1)) + 1, rng)
    files = []
    for day, (name, rows) in enumerate(zip(names, _by_file(lines, days), strict=True)):
        files.append(store(out / name, content(_text(stream, lines, rows, ids, model_version=model_version))))
        progress("writing logs", day + 1, days, "files")
    if features_log:
        for name, text in recommended(plant, stream, period, seed, _title):
            files.append(store(out / name, text))
    store_truth(
        answer,
        {
            "scenario": plant,
            "seed": seed,
            "users": users,
            "planted": PLANTS[plant].described() | {"onset": str(period.onset)},
            "period": {"first": str(first_date), "days": days, "last_day_hours": last_day_hours},
            "model_version_written": model_version,
            **({"served": SERVED[plant].described() if plant in SERVED else None} if features_log else {}),
            "lines": _lines_truth(lines, names),
            **_truth(stream, logged, period),
        },
    )
    return SimulationResult(plant, seed, out, tuple(files), len(lines.event), answer)


def _period(days: int, first_date: date, onset: date | None, hours: float) -> Period:
    if days < 2 or not 0 < hours <= 24:
        raise ProjectError(
            f"{days} days with {hours} hours of the last one cannot be simulated.",
            hint="Give at least 2 days, and more than 0 and at most 24 hours.",
        )
    chosen = onset if onset is not None else first_date + timedelta(days=days // 2)
    if not first_date < chosen < first_date + timedelta(days=days):
        raise ProjectError(
            f"The onset {chosen} lies outside of the days simulated ({first_date} and {days - 1} days more).",
            hint="Give a day after the first and not after the last one.",
        )
    return Period(first_date, days, chosen, hours)


def _logged(stream: Clickstream, plant: Plant, period: Period, rng: np.random.Generator) -> Column:
    """Which events reach the logs: all, but for lost (user, minute) batches."""
    time = stream.event["time_ms"]
    if plant.lost_batches == 0:
        return np.ones(len(time), dtype=bool)
    user = stream.session["user"][stream.event["session"]]
    _, batch = np.unique(user * 100_000_000 + time // 60_000, return_inverse=True)
    lost = rng.random(int(batch.max(initial=0)) + 1) < plant.lost_batches
    return ~(lost[batch] & (time >= period.start_ms + period.onset_day * DAY_MS))


def _lines(stream: Clickstream, logged: Column, period: Period, rng: np.random.Generator) -> Lines:
    event = np.flatnonzero(logged)
    time = stream.event["time_ms"][event]
    n = len(event)
    file = (time - period.start_ms) // DAY_MS
    late = (rng.random(n) < LATE_SHARE) & (file < period.days - 1)
    arrival = np.where(late, rng.integers(0, DAY_MS, n), time % DAY_MS + rng.exponential(800, n).astype(np.int64))
    sound = Lines(event, np.arange(n), file + late, arrival, np.zeros(n, np.int64), np.zeros(n, bool))

    doubled = rng.choice(n, round(n * DUPLICATE_SHARE), replace=False)
    later = (rng.random(len(doubled)) < DUPLICATE_NEXT_DAY) & (sound.file[doubled] < period.days - 1)
    again = sound.arrival_ms[doubled] + rng.integers(0, 30_000, len(doubled))
    copies = Lines(
        event[doubled],
        sound.identity[doubled],
        sound.file[doubled] + later,
        np.where(later, rng.integers(0, DAY_MS, len(doubled)), again),
        np.zeros(len(doubled), np.int64),
        np.ones(len(doubled), bool),
    )
    # A damaged line is one more line with an id of its own, so that nothing true is lost by it.
    spoilt = rng.choice(n, round(n * DAMAGED_SHARE), replace=False)
    damaged = Lines(
        event[spoilt],
        n + np.arange(len(spoilt)),
        sound.file[spoilt],
        sound.arrival_ms[spoilt],
        1 + np.arange(len(spoilt)) % len(DAMAGES),
        np.zeros(len(spoilt), bool),
    )
    parts = (sound, copies, damaged)
    return Lines(*(np.concatenate([getattr(p, name) for p in parts]) for name in Lines.__dataclass_fields__))


def _by_file(lines: Lines, days: int) -> Iterator[Column]:
    """The lines of each file, in their order."""
    order = np.lexsort((lines.identity, lines.arrival_ms, lines.file))
    ends = np.searchsorted(lines.file[order], np.arange(days + 1))
    for day in range(days):
        yield order[ends[day] : ends[day + 1]]


def _identifiers(n: int, rng: np.random.Generator) -> Column:
    """Random UUIDs (version 4) as rows of 36 ASCII bytes."""
    nibbles = rng.integers(0, 16, (n, 32), dtype=np.uint8)
    nibbles[:, 12] = 4
    nibbles[:, 16] = 8 + nibbles[:, 16] % 4
    text = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)[nibbles]
    block = np.full((n, 36), ord("-"), dtype=np.uint8)
    for start, stop, place in ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24)):
        block[:, place : place + stop - start] = text[:, start:stop]
    return block


def _text(stream: Clickstream, lines: Lines, rows: Column, ids: Column, *, model_version: bool) -> pa.Array[Any]:
    event = lines.event[rows]
    damage = lines.damage[rows]
    session = stream.event["session"][event]
    kind = stream.event["type"][event]
    about = stream.event["content"][event]

    def damaged(name: str) -> pa.Array[Any]:
        return pa.array(damage == 1 + DAMAGES.index(name))

    def either(name: str, spoilt: str, sound: pa.Array[Any]) -> pa.Array[Any]:
        return pc.if_else(damaged(name), pa.scalar(spoilt), sound)

    user = join('"user_id": "', numbered("u_", stream.session["user"][session], 6), '", ')
    types = pick([f'"event_type": "{name}", "content_id": ' for name in EVENT_TYPES], kind)
    title = join('"', fixed_text(_title(np.maximum(about, 0))), '"')
    versions = pick([f'"app_version": "{version}"' for version in VERSIONS], stream.session["app_version"][session])
    stamp = instants(stream.event["time_ms"][event] * 1_000, fraction=3, zone="Z")
    stamp = either("timestamp_1970", "1970-01-01T00:00:00.000Z", stamp)
    seek = stream.event["seek_seconds"][event]
    sought = join(', "seek_seconds": ', pa.array(seek).cast(pa.string()))
    text = join(
        '{"event_id": "', fixed_text(ids[lines.identity[rows]]), '", ',
        either("user_id_missing", "", user),
        either("event_type_unknown", '"event_type": "video_ply", "content_id": ', types),
        pc.if_else(pa.array(about >= 0), title, pa.scalar("null")),
        pick([f', "device": "{name}", ' for name in DEVICES], stream.session["device"][session]),
        either("app_version_a_number", '"app_version": 1.1', versions),
        pick([f', "region": "{name}", ' for name in REGIONS], stream.session["region"][session]),
        *([_served(stream, session)] if model_version else []),
        '"timestamp": "', either("timestamp_unreadable", "soon", stamp), '"',
        either("seek_seconds_a_word", ', "seek_seconds": "ten"', pc.if_else(pa.array(kind == SEEK), sought, "")),
        "}\n",
    )  # fmt: skip
    return pc.if_else(damaged("cut_off"), join(pc.utf8_slice_codeunits(text, 0, 117), "\n"), text)


def _title(number: Column) -> Column:
    block = np.empty((len(number), 6), dtype=np.uint8)
    block[:, :2] = np.frombuffer(b"c_", dtype=np.uint8)
    block[:, 2:] = digits(number, 4)
    return block


def _served(stream: Clickstream, session: Column) -> pa.Array[Any]:
    return pick([f'"model_version": "{name}", ' for name in MODELS], stream.session["model_version"][session])


def _lines_truth(lines: Lines, names: list[str]) -> dict[str, Any]:
    """What the files hold, by kind of line."""
    sound = (lines.damage == 0) & ~lines.copy
    per_file = np.bincount(lines.file, minlength=len(names))
    counted = np.bincount(lines.damage, minlength=1 + len(DAMAGES))
    return {
        "total": len(lines.event),
        "events": int(sound.sum()),
        "duplicates": int(lines.copy.sum()),
        "damaged": {kind: int(counted[1 + k]) for k, kind in enumerate(DAMAGES)},
        "by_file": dict(zip(names, per_file.tolist(), strict=True)),
    }


def _truth(stream: Clickstream, logged: Column, period: Period) -> dict[str, Any]:
    """Totals of the logged events, and of the sessions and plays that happened.

    They agree unless batches were lost. Watch time is net playing time by the date on which the
    session started; a play without an end is counted until its last event, and listed apart.
    """
    event = {name: values[logged] for name, values in stream.event.items()}
    day = (event["time_ms"] - period.start_ms) // DAY_MS
    user = stream.session["user"][event["session"]]
    started = (stream.session["start_ms"] - period.start_ms) // DAY_MS
    play_day = started[stream.play["session"]]
    ended = stream.play["ended"]
    dates = [str(period.first + timedelta(days=k)) for k in range(period.days)]

    def by_date(days: Column, weights: Column | None = None) -> dict[str, int]:
        return dict(zip(dates, np.bincount(days, weights, minlength=period.days).astype(int).tolist(), strict=True))

    def actors(chosen: Column) -> Column:
        """One (day, user) pair an active user and day, as day numbers."""
        return np.unique(day[chosen] * 1_000_000_000 + user[chosen]) // 1_000_000_000

    opened = np.unique(day[event["type"] == OPEN] * 1_000_000_000 + user[event["type"] == OPEN])
    played = np.unique(day[event["type"] == PLAY] * 1_000_000_000 + user[event["type"] == PLAY])
    opened_not_played = np.setdiff1d(opened, played) // 1_000_000_000
    return {
        "logged": {
            "events_by_type": {name: int((event["type"] == k).sum()) for k, name in enumerate(EVENT_TYPES)},
            "events_by_type_and_date": {name: by_date(day[event["type"] == k]) for k, name in enumerate(EVENT_TYPES)},
            "events_by_date": by_date(day),
            "users_by_date": by_date(actors(np.ones(len(day), dtype=bool))),
            "users_opened_by_date": by_date(opened // 1_000_000_000),
            "users_opened_not_played_by_date": by_date(opened_not_played),
            "plays_by_region_and_date": {
                name: by_date(day[(event["type"] == PLAY) & (stream.session["region"][event["session"]] == k)])
                for k, name in enumerate(REGIONS)
            },
        },
        "happened": {
            "sessions_by_date": by_date(started),
            "sessions_without_play_by_date": by_date(started[stream.session["plays"] == 0]),
            "sessions_without_close": int(stream.session["crashed"].sum()),
            "plays": len(ended),
            "watch_milliseconds_by_session_date": by_date(play_day[ended], stream.play["playing_ms"][ended]),
            "wall_milliseconds_by_session_date": by_date(
                play_day[ended], (stream.play["end_ms"] - stream.play["start_ms"])[ended]
            ),
            "unended_plays_by_session_date": by_date(play_day[~ended]),
            "unended_watch_milliseconds_until_last_event": int(stream.play["shown_ms"][~ended].sum()),
            "session_milliseconds": _session_milliseconds(stream),
        },
    }


def _session_milliseconds(stream: Clickstream) -> int:
    """From open to close, over the sessions that were closed."""
    closed = stream.event["type"] == CLOSE
    owner = stream.event["session"][closed]
    return int((stream.event["time_ms"][closed] - stream.session["start_ms"][owner]).sum())
