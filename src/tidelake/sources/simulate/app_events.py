"""R2's pings: `pings_YYYY-MM-DD.jsonl`, JSON Lines, one file a UTC day of arrival.

A line is `profile_id, account_id, region, event_name, event_time, received_at, platform`, and
`title_id` and `duration_sec` where a title is meant (else null). `duration_sec` stands on `play`, as
in R2's formula: the seconds that were played. The event types are the document's thirteen and
`foreground`. Planted, because each of it makes a naive number wrong: profiles that are there on a day
by heartbeats alone (an idle television), profiles seen in two regions on one day, profiles that never
come back, late pings, exact duplicates.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tidelake.engine.progress import Progress, silent
from tidelake.errors import ProjectError
from tidelake.sources.simulate.output import SimulationResult, prepare, store, store_truth, truth_path
from tidelake.sources.simulate.text import content, instants, join, numbered, pick

Column = npt.NDArray[Any]

EVENT_NAMES = (
    "app_start", "login", "browse", "search", "play", "pause", "resume", "stop", "heartbeat",
    "subscription_change", "profile_switch", "device_change", "content_rating", "foreground",
)  # fmt: skip
(
    APP_START, LOGIN, BROWSE, SEARCH, PLAY, PAUSE, RESUME, STOP, HEARTBEAT,
    SUBSCRIPTION_CHANGE, PROFILE_SWITCH, DEVICE_CHANGE, CONTENT_RATING, FOREGROUND,
) = range(14)  # fmt: skip
REGIONS = ("US", "BR", "IN", "GB", "DE", "JP", "MX", "FR")
REGION_WEIGHTS = (0.30, 0.15, 0.15, 0.10, 0.09, 0.08, 0.07, 0.06)
PLATFORMS = ("tv", "mobile", "web", "console")
PLATFORM_WEIGHTS = (0.46, 0.30, 0.17, 0.07)
TITLES = 900
LATE_SHARE = 0.004
DUPLICATE_SHARE = 0.002
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_HEARTBEAT_ONLY = 0.12
_TRAVEL = 0.02
_LEAVE_PER_DAY = 0.006
_HEARTBEAT_SECONDS = 120


def simulate_app_events(
    out: Path,
    *,
    seed: int = 1,
    profiles: int = 2_000,
    days: int = 35,
    first_date: date = date(2025, 10, 1),
    truth: Path | None = None,
    progress: Progress = silent,
) -> SimulationResult:
    """Write the pings of a streaming service.

    Args:
        profiles: People; an account has one to four of them.
        truth: Where the answers go; null = `OUT.truth.json` beside the folder.

    Raises:
        ProjectError: A size is out of range, or the folder holds other files.
    """
    if profiles < 1 or days < 2:
        raise ProjectError(
            f"{profiles} profiles in {days} days cannot be simulated.", hint="Give at least 1 profile and 2 days."
        )
    answer = truth_path(out, truth)
    names = [f"pings_{first_date + timedelta(days=day)}.jsonl" for day in range(days)]
    prepare(out, names)
    coming, inside, arriving = np.random.default_rng([seed, 0xA9]).spawn(3)
    start_us = (first_date - date(1970, 1, 1)).days * _DAY
    person = _people(profiles, coming)
    visit = _visits(person, days, start_us, coming)
    ping = _pings(visit, start_us + days * _DAY, inside)
    file, lines = _arrivals(ping, days, start_us, arriving)
    files = []
    for day, name in enumerate(names):
        rows = lines[file == day]
        files.append(store(out / name, content(_text(person, visit, ping, rows))))
        progress("writing logs", day + 1, days, "files")
    facts = {
        "scenario": "app_events",
        "seed": seed,
        "profiles": profiles,
        "planted": {
            "heartbeat_only_share": _HEARTBEAT_ONLY,
            "travel_share": _TRAVEL,
            "leave_per_day": _LEAVE_PER_DAY,
        },
        "period": {"first": str(first_date), "days": days},
        "lines": {
            "total": len(lines),
            "events": len(ping["time"]),
            "duplicates": len(lines) - len(ping["time"]),
            "by_file": dict(zip(names, np.bincount(file, minlength=days).tolist(), strict=True)),
        },
        **_truth(person, visit, ping, days, first_date),
    }
    store_truth(answer, facts)
    return SimulationResult("app_events", seed, out, tuple(files), len(lines), answer)


def _people(profiles: int, rng: np.random.Generator) -> dict[str, Column]:
    sizes = rng.choice(np.array([1, 2, 3, 4]), profiles, p=[0.45, 0.3, 0.15, 0.1])
    account = np.repeat(np.arange(profiles), sizes)[:profiles]
    region = rng.choice(len(REGIONS), profiles, p=REGION_WEIGHTS)[account]
    return {
        "account": account,
        "region": region,
        "platform": rng.choice(len(PLATFORMS), profiles, p=PLATFORM_WEIGHTS),
        "habit": np.minimum(rng.gamma(3, 0.15, profiles), 0.95),
        "leaves": rng.geometric(_LEAVE_PER_DAY, profiles),
    }


def _visits(person: dict[str, Column], days: int, start_us: int, rng: np.random.Generator) -> dict[str, Column]:
    """Sessions; `idle` ones are heartbeats of a device that nobody uses."""
    n = len(person["habit"])
    active = (rng.random((n, days)) < person["habit"][:, None]) & (np.arange(days) < person["leaves"][:, None])
    profile, day = np.nonzero(active)
    idle_day = rng.random(len(profile)) < _HEARTBEAT_ONLY
    count = np.where(idle_day, 1, 1 + rng.poisson(0.5, len(profile)))
    owner = np.repeat(np.arange(len(profile)), count)
    travels = rng.random(len(owner)) < _TRAVEL
    home = person["region"][profile[owner]]
    hour = np.clip(rng.normal(19.0, 3.4, len(owner)), 0.1, 23.0)
    return {
        "profile": profile[owner],
        "idle": idle_day[owner],
        "region": np.where(travels, (home + 1 + rng.integers(0, len(REGIONS) - 1, len(owner))) % len(REGIONS), home),
        "start": start_us + day[owner] * _DAY + (hour * 3_600 * _SECOND).astype(np.int64),
    }


def _pings(visit: dict[str, Column], end_us: int, rng: np.random.Generator) -> dict[str, Column]:
    n = len(visit["profile"])
    used = np.flatnonzero(~visit["idle"])
    idle = np.flatnonzero(visit["idle"])
    plays = rng.poisson(1.7, len(used))
    at = visit["start"]

    def after(low: float, high: float, rows: Column) -> Column:
        """Instants some seconds after the visits' starts."""
        moments: Column = at[rows] + (rng.uniform(low, high, len(rows)) * _SECOND).astype(np.int64)
        return moments

    def some(share: float) -> Column:
        return used[rng.random(len(used)) < share]

    pieces: list[tuple[Column, Column, int, Column | None, Column | None]] = [(used, at[used], APP_START, None, None)]
    for kind, share, low, high in (
        (LOGIN, 0.12, 1, 4), (PROFILE_SWITCH, 0.08, 4, 8), (DEVICE_CHANGE, 0.01, 1, 4), (FOREGROUND, 0.35, 20, 60),
        (SUBSCRIPTION_CHANGE, 0.003, 8, 15),
    ):  # fmt: skip
        rows = some(share)
        pieces.append((rows, after(low, high, rows), kind, None, None))
    for kind, mean in ((BROWSE, 2.2), (SEARCH, 0.6)):
        rows = np.repeat(used, rng.poisson(mean, len(used)))
        pieces.append((rows, after(9, 90, rows), kind, None, None))
    beats = np.repeat(idle, 1 + rng.poisson(3, len(idle)))
    pieces.append((beats, after(0, 1_800, beats), HEARTBEAT, None, None))

    owner = np.repeat(used, plays)
    first = np.cumsum(plays) - plays
    seconds = 30 + rng.gamma(1.3, 700, len(owner)).astype(np.int64)
    slot = seconds + 40
    elapsed = np.cumsum(slot) - slot
    elapsed -= np.repeat(elapsed[np.minimum(first, max(0, len(owner) - 1))], plays) if len(owner) else 0
    begin = at[owner] + (100 + elapsed) * _SECOND + rng.integers(0, _SECOND, len(owner))
    title = (TITLES * rng.random(len(owner)) ** 2).astype(np.int64)
    pieces.append((owner, begin, PLAY, title, seconds))
    pieces.append((owner, begin + (seconds + 20) * _SECOND, STOP, title, None))
    paused = np.flatnonzero(rng.random(len(owner)) < 0.3)
    moment = begin[paused] + (rng.random(len(paused)) * (seconds[paused] - 5) * _SECOND).astype(np.int64) + 1
    pieces.append((owner[paused], moment, PAUSE, title[paused], None))
    pieces.append((owner[paused], moment + 15 * _SECOND, RESUME, title[paused], None))
    rated = np.flatnonzero(rng.random(len(owner)) < 0.05)
    pieces.append((owner[rated], begin[rated] + (seconds[rated] + 25) * _SECOND, CONTENT_RATING, title[rated], None))
    beating = np.repeat(np.arange(len(owner)), seconds // _HEARTBEAT_SECONDS)
    number = (
        np.arange(len(beating)) - (np.cumsum(seconds // _HEARTBEAT_SECONDS) - seconds // _HEARTBEAT_SECONDS)[beating]
    )
    pieces.append(
        (owner[beating], begin[beating] + (number + 1) * _HEARTBEAT_SECONDS * _SECOND, HEARTBEAT, title[beating], None)
    )

    def column(part: int, default: int) -> Column:
        return np.concatenate([np.full(len(p[0]), default) if p[part] is None else p[part] for p in pieces])

    visits = np.concatenate([piece[0] for piece in pieces])
    ping = {
        "visit": visits,
        "time": np.concatenate([piece[1] for piece in pieces]),
        "name": np.concatenate([np.full(len(piece[0]), piece[2]) for piece in pieces]),
        "title": column(3, -1),
        "seconds": column(4, -1),
    }
    # Heartbeats of one profile in the same microsecond would be one line twice.
    ping["time"] = ping["time"] + np.arange(len(visits)) % 997
    order = np.lexsort((ping["name"], ping["time"]))
    order = order[ping["time"][order] < end_us]
    return {name: values[order] for name, values in ping.items()} if n else ping


def _arrivals(ping: dict[str, Column], days: int, start_us: int, rng: np.random.Generator) -> tuple[Column, Column]:
    """File and event of each line, in the order of arrival; adds `received` to the pings."""
    n = len(ping["time"])
    late = rng.random(n) < LATE_SHARE
    delay = np.where(late, rng.exponential(9 * 3_600, n), 0.3 + rng.exponential(1.5, n))
    end = start_us + days * _DAY - 1
    ping["received"] = np.maximum(np.minimum(ping["time"] + (delay * _SECOND).astype(np.int64), end), ping["time"])
    doubled = rng.choice(n, round(n * DUPLICATE_SHARE), replace=False)
    line = np.concatenate([np.arange(n), doubled])
    read_at = ping["received"][line]
    read_at[n:] = np.minimum(read_at[n:] + rng.integers(0, 60 * _SECOND, len(doubled)), end)
    order = np.lexsort((line, read_at))
    return (read_at[order] - start_us) // _DAY, line[order]


def _text(person: dict[str, Column], visit: dict[str, Column], ping: dict[str, Column], rows: Column) -> pa.Array[Any]:
    owner = ping["visit"][rows]
    profile = visit["profile"][owner]
    null = pa.scalar("null")
    title = join('"', numbered("t_", np.maximum(ping["title"][rows], 0), 4), '"')
    seconds = pa.array(ping["seconds"][rows]).cast(pa.string())
    return join(
        '{"profile_id": ', pa.array(profile + 1_000_001).cast(pa.string()),
        ', "account_id": ', pa.array(person["account"][profile] + 5_000_001).cast(pa.string()),
        ', "region": "', pick(REGIONS, visit["region"][owner]),
        '", "event_name": "', pick(EVENT_NAMES, ping["name"][rows]),
        '", "event_time": "', instants(ping["time"][rows], zone="Z"),
        '", "received_at": "', instants(ping["received"][rows], zone="Z"),
        '", "platform": "', pick(PLATFORMS, person["platform"][profile]),
        '", "title_id": ', pc.if_else(pa.array(ping["title"][rows] >= 0), title, null),
        ', "duration_sec": ', pc.if_else(pa.array(ping["seconds"][rows] >= 0), seconds, null), "}\n",
    )  # fmt: skip


def _truth(
    person: dict[str, Column], visit: dict[str, Column], ping: dict[str, Column], days: int, first_date: date
) -> dict[str, Any]:
    day = (ping["time"] - (first_date - date(1970, 1, 1)).days * _DAY) // _DAY
    profile = visit["profile"][ping["visit"]]
    region = visit["region"][ping["visit"]]
    dates = [str(first_date + timedelta(days=k)) for k in range(days)]
    declared = ping["name"] != HEARTBEAT

    def distinct(key: Column, chosen: Column) -> dict[str, int]:
        """Distinct keys a day."""
        pairs = np.unique(np.stack([day[chosen], key[chosen]]), axis=1)
        return dict(zip(dates, np.bincount(pairs[0], minlength=days).tolist(), strict=True))

    everything = np.ones(len(day), dtype=bool)
    return {
        "events_by_name": {name: int((ping["name"] == k).sum()) for k, name in enumerate(EVENT_NAMES)},
        "events_by_date": dict(zip(dates, np.bincount(day, minlength=days).tolist(), strict=True)),
        "profiles_by_date_any_event": distinct(profile, everything),
        "profiles_by_date_without_heartbeats": distinct(profile, declared),
        "accounts_by_date_any_event": distinct(person["account"][profile], everything),
        "profiles_by_region_and_date_any_event": {
            name: distinct(profile, region == k) for k, name in enumerate(REGIONS)
        },
        "profiles_of_last_30_days_any_event": len(np.unique(profile[day >= days - 30])),
        "watch_seconds": int(ping["seconds"][ping["name"] == PLAY].sum()),
    }
