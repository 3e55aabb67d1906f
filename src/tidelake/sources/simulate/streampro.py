"""R1's video platform: `events.jsonl` with 13 fields and no event id, `users.csv`, `videos.csv`, `devices.csv`.

Planted: people whose first video is a documentary come back more often, and version 2.1.0 on Android
loses people within ten seconds. As in R1's own data instants carry no zone, session ids are not
chronological, and a few events come after `session_end`; here a few sessions also lack their start.
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
from tidelake.sources.simulate.text import content, digits, fixed_text, instants, join, numbered, pick

Column = npt.NDArray[Any]

FILES = ("events.jsonl", "users.csv", "videos.csv", "devices.csv")
EVENT_NAMES = ("first_login", "session_start", "watch_time", "like", "heart", "session_end")
FIRST_LOGIN, SESSION_START, WATCH, LIKE, HEART, SESSION_END = range(6)
GENRES = ("action", "comedy", "documentary", "drama", "fantasy", "horror", "romance", "sci-fi")
DEVICES = ("mobile", "tablet", "desktop")
SYSTEMS = ("iOS", "Android", "Windows", "macOS")
VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0")
NETWORKS = ("wifi", "4G", "5G")
COUNTRIES = ("US", "AU", "BR", "CA", "GB", "IN", "DE", "JP", "FR")
TIERS = ("free", "basic", "premium")
AGES = ("18-24", "25-34", "35-44", "45-54", "55+")
GENDERS = ("female", "male", "other", "prefer_not_to_say")
MODELS = ("A1", "A2", "B1", "B2", "C1")
OS_VERSIONS = ("iOS 16", "Android 13", "Windows 11", "macOS 14")
DUPLICATE_SHARE = 0.003
VIDEOS = 80
_MOST_SESSIONS = 14
_SECOND = 1_000_000
_HOUR = 3_600 * _SECOND
_DAY = 24 * _HOUR
_RETURN = 0.62
_RETURN_DOCUMENTARY = 0.80
_DROP_OFF = 0.08
_DROP_OFF_PLANTED = 0.35


def simulate_streampro(
    out: Path,
    *,
    seed: int = 1,
    users: int = 3_000,
    days: int = 14,
    first_date: date = date(2025, 9, 8),
    personal: bool = False,
    truth: Path | None = None,
    progress: Progress = silent,
) -> SimulationResult:
    """Write events and dimensions of a platform whose people all sign up within the period.

    Args:
        users: People; each has about three sessions of nine events.
        personal: The variant of `users.csv` with email addresses and dd/mm/yyyy dates, and of `devices.csv`
            with `os` and `model` apart.
        truth: Where the answers go; null = `OUT.truth.json` beside the folder.

    Raises:
        ProjectError: A size is out of range, or the folder holds other files.
    """
    if users < 1 or days < 4:
        raise ProjectError(
            f"{users} users in {days} days cannot be simulated.", hint="Give at least 1 user and 4 days."
        )
    answer = truth_path(out, truth)
    prepare(out, FILES)
    people, coming, inside, small = np.random.default_rng([seed, 0x51]).spawn(4)
    start_us = (first_date - date(1970, 1, 1)).days * _DAY
    video = {"genre": people.integers(0, len(GENRES), VIDEOS), "seconds": people.integers(90, 3_600, VIDEOS)}
    signup = start_us + 300 * _SECOND + (people.random(users) * (days - 1) * _DAY).astype(np.int64)
    session = _sessions(signup, start_us + days * _DAY, video, coming)
    event = _events(session, inside)
    progress("writing logs", 0, 2, "files")
    text = _text(session, event)
    n = len(text)
    doubled = small.choice(n, round(n * DUPLICATE_SHARE), replace=False)
    index = np.concatenate([np.arange(n), doubled])
    place = np.concatenate([np.arange(n, dtype=np.float64), doubled + small.integers(1, 60, len(doubled)) + 0.5])
    lines = text.take(pa.array(index[np.argsort(place, kind="stable")]))
    files = [
        store(out / "events.jsonl", content(lines)),
        store(out / "users.csv", *_users(signup, people, personal=personal)),
        store(out / "videos.csv", *_videos(video, people)),
        store(out / "devices.csv", _devices(personal=personal)),
    ]
    progress("writing logs", 2, 2, "files")
    facts = {
        "scenario": "streampro",
        "seed": seed,
        "users": users,
        "planted": {
            "returning": {"first_genre": "documentary", "probability": _RETURN_DOCUMENTARY, "otherwise": _RETURN},
            "drop_off": {
                "device_os": "Android",
                "app_version": "2.1.0",
                "probability": _DROP_OFF_PLANTED,
                "otherwise": _DROP_OFF,
            },
        },
        "period": {"first": str(first_date), "days": days},
        "lines": {"total": len(lines), "events": n, "duplicates": len(doubled)},
        **_truth(session, event, video, days, first_date),
    }
    store_truth(answer, facts)
    return SimulationResult("streampro", seed, out, tuple(files), len(lines), answer)


def _sessions(signup: Column, end_us: int, video: dict[str, Column], rng: np.random.Generator) -> dict[str, Column]:
    """Each person's sessions, one round a session; those that would begin after the end are not seen."""
    users = len(signup)
    rounds: list[dict[str, Column]] = []
    start = signup
    there = np.ones(users, dtype=bool)
    person = {
        "device": rng.integers(0, len(DEVICES), users),
        "system": rng.integers(0, len(SYSTEMS), users),
        "country": rng.integers(0, len(COUNTRIES), users),
        "account": rng.integers(0, max(1, users // 100), users),
    }
    for ordinal in range(_MOST_SESSIONS):
        title = rng.integers(0, VIDEOS, users)
        version = rng.choice(len(VERSIONS), users, p=[0.19, 0.19, 0.18, 0.23, 0.21])
        returns = np.where(video["genre"][title] == GENRES.index("documentary"), _RETURN_DOCUMENTARY, _RETURN)
        comes = rng.random(users) < (returns if ordinal == 0 else 0.66)
        pause = ((2 + rng.gamma(1.1, 34, users)) * _HOUR).astype(np.int64)
        own = {
            "user": np.arange(users),
            "ordinal": np.full(users, ordinal),
            "start": start,
            "title": title,
            "version": version,
            "network": rng.integers(0, len(NETWORKS), users),
            "ip": rng.integers(0, 256**3, users),
        }
        # An hour is kept free, so that what began before the end also ends before it.
        there = there & (start < end_us - _HOUR)
        rounds.append({name: values[there] for name, values in (person | own).items()})
        there, start = there & comes, start + pause
    return {name: np.concatenate([part[name] for part in rounds]) for name in rounds[0]}


def _events(session: dict[str, Column], rng: np.random.Generator) -> dict[str, Column]:
    n = len(session["user"])
    planted = (session["system"] == SYSTEMS.index("Android")) & (session["version"] == VERSIONS.index("2.1.0"))
    leaves = rng.random(n) < np.where(planted, _DROP_OFF_PLANTED, _DROP_OFF)
    watches = np.where(leaves, 1, 1 + rng.poisson(4.2, n))
    owner = np.repeat(np.arange(n), watches)
    first = np.cumsum(watches) - watches
    ordinal = np.arange(len(owner)) - first[owner]
    half_seconds = np.where(leaves[owner], rng.integers(2, 19, len(owner)), rng.integers(8, 160, len(owner)))
    half_seconds = np.where(rng.random(len(owner)) < 0.9, half_seconds // 2 * 2, half_seconds)
    gap = half_seconds * (_SECOND // 2) + (rng.exponential(20, len(owner)) * _SECOND).astype(np.int64) + 1
    at = np.cumsum(gap)
    at = session["start"][owner] + 5 * _SECOND + at - at[first[owner]]
    title = np.where(ordinal == 0, session["title"][owner], rng.integers(0, VIDEOS, len(owner)))
    liked = np.flatnonzero(rng.random(len(owner)) < 0.12)
    kind = np.where(rng.random(len(liked)) < 0.5, LIKE, HEART)
    last = at[first + watches - 1]
    # In R1's data `session_end` can come before the session's last events.
    end = np.where(rng.random(n) < 0.03, session["start"] + 4 * _SECOND, last + 2 * _SECOND)
    new = np.flatnonzero(session["ordinal"] == 0)
    begun = np.flatnonzero(rng.random(n) >= 0.02)
    none = np.full
    pieces: list[tuple[Any, ...]] = [
        (new, session["start"][new] - 300 * _SECOND, FIRST_LOGIN, none(len(new), -1), none(len(new), -1)),
        (begun, session["start"][begun], SESSION_START, none(len(begun), -1), none(len(begun), -1)),
        (owner, at, WATCH, title, half_seconds),
        (owner[liked], at[liked] + _SECOND, kind, title[liked], none(len(liked), -1)),
        (np.arange(n), end, SESSION_END, none(n, -1), none(n, -1)),
    ]
    names = ("session", "time", "name", "title", "half_seconds")
    columns = {
        name: np.concatenate([np.broadcast_to(piece[k], piece[0].shape) for piece in pieces])
        for k, name in enumerate(names)
    }
    order = np.lexsort((columns["name"], columns["time"], columns["session"]))
    return {name: values[order] for name, values in columns.items()}


def _session_ids(session: dict[str, Column]) -> pa.Array[Any]:
    """Such as `s_u_00042_0003`; the number is no order in time."""
    number = _MOST_SESSIONS - 1 - session["ordinal"]
    return join("s_", numbered("u_", session["user"], 5), "_", numbered("", number, 4))


def _text(session: dict[str, Column], event: dict[str, Column]) -> pa.Array[Any]:
    owner = event["session"]
    null = pa.scalar("null")
    seconds = join(
        pa.array(np.maximum(event["half_seconds"], 0) // 2).cast(pa.string()),
        pick(["", ".5"], np.maximum(event["half_seconds"], 0) % 2),
    )
    title = join('"', numbered("v_", np.maximum(event["title"], 0), 5), '"')
    ip = session["ip"][owner]
    octets = [pa.array(part).cast(pa.string()) for part in (ip >> 16, (ip >> 8) & 255, ip & 255)]
    return join(
        '{"timestamp": "', instants(event["time"]),
        '", "account_id": "acct_', pa.array(session["account"][owner]).cast(pa.string()),
        '", "user_id": "', numbered("u_", session["user"][owner], 5),
        '", "video_id": ', pc.if_else(pa.array(event["title"] >= 0), title, null),
        ', "session_id": "', _session_ids(session).take(pa.array(owner)),
        '", "event_name": "', pick(EVENT_NAMES, event["name"]),
        '", "value": ', pc.if_else(pa.array(event["half_seconds"] >= 0), seconds, null),
        ', "device": "', pick(DEVICES, session["device"][owner]),
        '", "device_os": "', pick(SYSTEMS, session["system"][owner]),
        '", "app_version": "', pick(VERSIONS, session["version"][owner]),
        '", "network_type": "', pick(NETWORKS, session["network"][owner]),
        '", "ip": "10.', octets[0], ".", octets[1], ".", octets[2],
        '", "country": "', pick(COUNTRIES, session["country"][owner]), '"}\n',
    )  # fmt: skip


def _users(signup: Column, rng: np.random.Generator, *, personal: bool) -> tuple[bytes, memoryview]:
    n = len(signup)
    user = numbered("u_", np.arange(n), 5)
    days = signup // _DAY
    unique, where = np.unique(days, return_inverse=True)
    dates = [date(1970, 1, 1) + timedelta(days=int(day)) for day in unique]
    shown = pick([day.strftime("%d/%m/%Y") if personal else str(day) for day in dates], where)
    rest = [pick(words, rng.integers(0, len(words), n)) for words in (TIERS, AGES, GENDERS)]
    head = b"user_id,signup_date,subscription_tier,age_group,gender" + (b",email\n" if personal else b"\n")
    mail = [",", join(user, "@example.org")] if personal else []
    table = join(user, ",", shown, ",", rest[0], ",", rest[1], ",", rest[2], *mail, "\n")
    return head, content(table)


def _videos(video: dict[str, Column], rng: np.random.Generator) -> tuple[bytes, memoryview]:
    n = np.arange(VIDEOS)
    table = join(
        numbered("v_", n, 5), ",Video ", pa.array(n).cast(pa.string()), ",", pick(GENRES, video["genre"]), ",",
        pa.array(video["seconds"]).cast(pa.string()), ",pat_",
        fixed_text(digits(rng.integers(1_000, 10_000, VIDEOS), 4)), "\n",
    )  # fmt: skip
    return b"video_id,title,genre,duration_seconds,patent_id\n", content(table)


def _devices(*, personal: bool) -> bytes:
    """Every device with every model and system: R1's many-to-many table, which must never be joined as it is."""
    rows = ["device,os,model,os_version" if personal else "device,device_model,os_version"]
    for device in DEVICES:
        for model in MODELS:
            for system in OS_VERSIONS:
                middle = f"{system.split()[0]},{model}" if personal else model
                rows.append(f"{device},{middle},{system}")
    return ("\n".join(rows) + "\n").encode()


def _truth(
    session: dict[str, Column], event: dict[str, Column], video: dict[str, Column], days: int, first_date: date
) -> dict[str, Any]:
    """Answers to R1's questions, from the generator's own columns."""
    n = len(session["user"])
    watched = event["name"] == WATCH
    half_seconds = np.bincount(event["session"][watched], event["half_seconds"][watched], minlength=n)
    earliest = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(earliest, event["session"], event["time"])
    is_first = session["ordinal"] == 0
    users = int(is_first.sum())
    second = np.full(int(session["user"].max(initial=-1)) + 1, np.iinfo(np.int64).max)
    second[session["user"][session["ordinal"] == 1]] = earliest[session["ordinal"] == 1]
    begin, owner = earliest[is_first], session["user"][is_first]
    returned = second[owner] - begin <= 72 * _HOUR
    observed = begin + 72 * _HOUR <= int(event["time"].max(initial=0))
    genre = video["genre"][session["title"][is_first]]
    dropped = half_seconds < 20
    day = (event["time"] - (first_date - date(1970, 1, 1)).days * _DAY) // _DAY

    def drop_off(column: str, names: tuple[str, ...]) -> dict[str, Any]:
        return {
            name: {"sessions": int((session[column] == k).sum()), "under_10s": int(dropped[session[column] == k].sum())}
            for k, name in enumerate(names)
        }

    pairs = np.unique(day * 1_000_000_000 + session["user"][event["session"]])
    active = np.bincount((pairs // 1_000_000_000).astype(np.int64), minlength=days)
    return {
        "events_by_name": {name: int((event["name"] == k).sum()) for k, name in enumerate(EVENT_NAMES)},
        "sessions": n,
        "watch_seconds": float(event["half_seconds"][watched].sum()) / 2,
        "users_by_date": {str(first_date + timedelta(days=k)): int(active[k]) for k in range(days)},
        "reached_30s": {"users": users, "reached": int((half_seconds[is_first] >= 60).sum())},
        "second_session_within_72h": {
            name: {
                "users": int((genre == k).sum()),
                "returned": int(returned[genre == k].sum()),
                "censored": int((~returned & ~observed)[genre == k].sum()),
            }
            for k, name in enumerate(GENRES)
        },
        "drop_off_by_device_os": drop_off("system", SYSTEMS),
        "drop_off_by_app_version": drop_off("version", VERSIONS),
    }
