"""Logs that the product and the checks are both asked about: random ones, and random parts of real sets squeezed in
time, so that ties, gaps, a change of the clocks and New Year occur; each written as a project of its own.

Every log is brought to one form, whatever it was: `id`, `at`, `user`, `name`, `seq`, two dimensions with missing
values, numbers, and whether the event is interactive and human. AGREE_SEED=7 asks about other logs.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import isclose
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

import tidelake
from tests.checks.events import Coverage, Event, start_of
from tests.checks.real import read_collegemsg, read_online_retail, read_streampro
from tidelake.sources.simulate import simulate

KEPT = ("device", "version", "amount", "price", "quantity", "currency", "interactive")
SEED = int(os.environ.get("AGREE_SEED", "1"))
LATENESS = timedelta(hours=50)
NAMES = ("open", "play", "pause", "buy")
SOURCE = {
    "path": "data/*.jsonl",
    "format": "jsonl",
    "mapping": {"event_id": "id", "event_time": "at", "actor_id": "user", "event_name": "name", "seq": "seq"}
    | {"received_at": "received"},
    "traffic": [{"where": "agent = 'crawler'", "class": "bot"}],
    "dedup": "key",
    "complete": "event_time",
    "contract": {
        "fields": {
            "id": {"type": "string", "required": True},
            "at": {"type": "timestamp", "required": True},
            "user": {"type": "string"},
            "name": {"type": "string", "required": True},
            "seq": {"type": "integer"},
            "device": {"type": "string"},
            "version": {"type": "string"},
            "amount": {"type": "number"},
            "price": {"type": "number"},
            "quantity": {"type": "integer"},
            "currency": {"type": "string"},
            "interactive": {"type": "boolean"},
            "agent": {"type": "string"},
            "received": {"type": "timestamp"},
        }
    },
}
SETTINGS = {
    "name": "log",
    "dimensions": ["device", "version"],
    "measures": {"amount": {"sum": "amount"}, "plays": {"event": "play"}},
    "watch": {"column": "amount", "event": "play", "content": "version"},
}
USERS = {
    "fact": "dimension",
    "path": "users.csv",
    "format": "csv",
    "key": ["user"],
    "contract": {"fields": {"user": {"type": "string", "required": True}, "signup_date": {"type": "date"}}},
}


@dataclass(frozen=True)
class Log:
    """Events, what is known of how complete they are, and a built project over the same events."""

    name: str
    events: list[Event]
    coverage: Coverage
    session: Any
    signups: Mapping[str, date]

    @property
    def human(self) -> list[Event]:
        """The events that count: bots and the like are in no number."""
        return [item for item in self.events if item.props["traffic_class"] in (None, "human")]

    @property
    def acting(self) -> list[Event]:
        """Those of actors."""
        return [item for item in self.human if item.actor is not None]


Made = tuple[str, str, list[dict[str, Any]]]  # zone, first day of the week, rows


def _row(rng: random.Random, actor: str | None, at: datetime, name: str, **known: Any) -> dict[str, Any]:
    row = {
        "at": at,
        "user": actor,
        "name": name,
        "seq": rng.choice((None, 1, 2, 3)),
        "device": rng.choice(("phone", "phone", "tv", None)),
        "version": rng.choice(("1.9", "1.10", "2.0", None)),
        "amount": rng.choice((0, 3, 7, 12.5, 40, None)) if name == "play" else None,
        "price": rng.choice((2.5, 10, 0.1, None)) if name == "buy" else None,
        "quantity": rng.choice((1, 2, 3, None, -1)) if name == "buy" else None,
        "currency": rng.choice(("EUR", "EUR", "USD", None)) if name == "buy" else None,
        "interactive": rng.choice((True, None, None, None, False)),
        "agent": rng.choice(("app", None, None, None, None, None, None, "crawler")),
    }
    return row | known


def by_hand(seed: int) -> Made:
    """Actors who come often, seldom, once or in two stretches, over the last Sunday of October and New Year."""
    rng = random.Random(seed)
    zone = rng.choice(("Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "UTC"))
    begin = start_of(date(2024, 10, 18), zone)
    rows = []
    for number in range(30):
        start, share = rng.randrange(0, 75), rng.choice((0.03, 0.1, 0.3, 0.8))
        silent = range(25, 55) if rng.random() < 0.3 else range(0)
        days = [day for day in range(start, 88) if rng.random() < share and day not in silent] or [start]
        for day in days:
            for at in [rng.randrange(0, 24 * 4) for _ in range(rng.choice((1, 1, 2, 4, 7)))]:
                moment = begin + timedelta(days=day, minutes=15 * at + rng.choice((0, 0, 0, 1, 5)))
                rows.append(_row(rng, f"a{number:02d}", moment, rng.choice(NAMES)))
    rows += [_row(rng, None, begin + timedelta(days=rng.randrange(88)), "open") for _ in range(20)]
    absent = {(begin + timedelta(days=day, hours=12)).astimezone(ZoneInfo(zone)).date() for day in (40, 41, 70)}
    rows = [row for row in rows if row["at"].astimezone(ZoneInfo(zone)).date() not in absent]
    return zone, rng.choice(("monday", "sunday")), rows


def squeezed(seed: int, zone: str, events: Sequence[Event], names: Callable[[Event], str]) -> Made:
    """Some actors of a set, each one's history in up to 85 days around New Year; some lines are lost."""
    rng = random.Random(seed)
    actors = sorted({item.actor for item in events if item.actor is not None})
    picked = set(rng.sample(actors, min(45, len(actors))))
    first, last = min(item.at for item in events), max(item.at for item in events)
    begin = start_of(date(2024, 10, 20), zone)
    rows = []
    squeeze = {actor: rng.choice((1.0, 1.0, 0.3, 0.05)) for actor in sorted(picked)}
    late = {actor: rng.randrange(0, 40) for actor in sorted(picked)}
    for item in events:
        if (item.actor not in picked and not (item.actor is None and rng.random() < 0.001)) or rng.random() < 0.2:
            continue
        share = (item.at - first) / (last - first)
        minutes = int(85 * 1440 * share * squeeze.get(str(item.actor), 1.0)) // 15 * 15
        moment = begin + timedelta(days=late.get(str(item.actor), 0), minutes=minutes)
        if moment < begin + timedelta(days=87):
            rows.append(_row(rng, item.actor, moment, names(item)))
    return zone, rng.choice(("monday", "sunday")), rows[:1200]


def college(folder: Path, seed: int) -> Made:
    return squeezed(
        seed, "America/Los_Angeles", read_collegemsg(folder), lambda item: NAMES[int(item.props["dst"]) % len(NAMES)]
    )


def retail(folder: Path, seed: int) -> Made:
    def name(item: Event) -> str:
        return "pause" if item.name == "cancellation" else NAMES[int(item.props["Quantity"]) % 3 - 1]

    return squeezed(seed, "Europe/London", read_online_retail(folder), name)


def streampro(folder: Path, seed: int) -> Made:
    kinds = {"session_start": "open", "watch_time": "play", "session_end": "pause", "first_login": "open"}
    return squeezed(seed, "UTC", read_streampro(folder), lambda item: kinds.get(item.name, "buy"))


def simulated(folder: Path, seed: int) -> Made:
    """60 people of the simulated video platform."""
    simulate("streampro", folder / "events", seed=seed, users=60)
    kinds = {"session_start": "open", "watch_time": "play", "session_end": "pause", "first_login": "open"}
    found = []
    for line in (folder / "events" / "events.jsonl").read_text().splitlines():
        row = json.loads(line)
        at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
        found.append(Event(row["user_id"], at, at.date(), row["event_name"]))
    return squeezed(seed, "Europe/Berlin", found, lambda item: kinds.get(item.name, "buy"))


def late(seed: int) -> Made:
    """The log by hand, of which every row comes 50 hours late: its last days are provisional."""
    zone, week_start, rows = by_hand(seed + 100)
    return zone, week_start, [{**row, "received": row["at"] + LATENESS} for row in rows]


LOGS: Mapping[str, tuple[str | None, Callable[[Path, int], Made]]] = {
    "by_hand": (None, lambda _, seed: by_hand(seed)),
    "late": (None, lambda _, seed: late(seed)),
    "simulated": (None, simulated),
    "collegemsg": ("collegemsg", college),
    "online_retail": ("online_retail_uci", retail),
    "streampro": ("streampro_events", streampro),
}


def events_of(made: Made) -> list[Event]:
    """The rows as the checks take them."""
    zone, _, rows = made
    return [
        Event(
            row["user"],
            row["at"],
            row["at"].astimezone(ZoneInfo(zone)).date(),
            row["name"],
            row["seq"],
            row["id"],
            {
                **{name: row[name] for name in KEPT},
                "traffic_class": "bot" if row["agent"] == "crawler" else "human",
            },
        )
        for row in rows
    ]


def with_ids(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with ids whose order has nothing to do with time."""
    return [{**row, "id": f"e{number * 7919 % 99991:05d}"} for number, row in enumerate(rows)]


def write(root: Path, made: Made, signups: Mapping[str, date], **settings: Any) -> Path:
    """A project over the rows, in two files."""
    zone, week_start, rows = made
    (root / "sources").mkdir(parents=True)
    (root / "data").mkdir()
    general = {**SETTINGS, "timezone": zone, "week_start": week_start, **settings}
    (root / "tide.yml").write_text(yaml.safe_dump(general, sort_keys=False))
    (root / "sources" / "app.yml").write_text(yaml.safe_dump(SOURCE, sort_keys=False))
    (root / "sources" / "users.yml").write_text(yaml.safe_dump(USERS, sort_keys=False))
    (root / "users.csv").write_text("user,signup_date\n" + "".join(f"{name},{day}\n" for name, day in signups.items()))
    for number, part in enumerate((rows[::2], rows[1::2])):
        lines = [json.dumps(row, default=datetime.isoformat) + "\n" for row in part]
        (root / "data" / f"{number}.jsonl").write_text("".join(lines))
    return root


def signups_of(rows: Sequence[Mapping[str, Any]], seed: int) -> dict[str, date]:
    """Signup dates of most actors, on or a few days about the day of the first event, and of people never seen."""
    rng = random.Random(seed)
    firsts: dict[str, date] = {}
    for row in sorted(rows, key=lambda row: row["at"]):
        if row["user"] is not None:
            firsts.setdefault(row["user"], row["at"].date())
    found = {
        actor: first - timedelta(days=rng.choice((0, 0, 1, 9, 40)))
        for actor, first in sorted(firsts.items())
        if rng.random() < 0.7
    }
    return found | {"never_1": date(2024, 11, 4), "never_2": date(2024, 12, 31)}


def make(name: str, root: Path, folder: Path, seed: int, **settings: Any) -> Log:
    """A log with its project, built."""
    zone, week_start, rows = LOGS[name][1](folder, seed)
    rows = with_ids(rows)
    made = (zone, week_start, rows)
    events = events_of(made)
    signups = signups_of(rows, seed)
    session = tidelake.open(write(root, made, signups, **settings))
    session.build()
    lateness = LATENESS if "received" in rows[0] else timedelta()
    coverage = Coverage.of(events, timezone=zone, week_start=week_start, lateness=lateness)
    return Log(name, events, coverage, session, signups)


def open_log(request: pytest.FixtureRequest, seed: int = 1, **settings: Any) -> Log:
    """The log that a fixture's parameter names; skips where its real set is absent."""
    name = request.param
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    archive = LOGS[name][0]
    folder = factory.mktemp(f"{name}_data") if archive is None else request.getfixturevalue("shared_data")(archive)
    return make(name, factory.mktemp(name) / "project", folder, seed, **settings)


# --- comparing


def plain(value: Any) -> Any:
    """Numbers as numbers, whatever their kind."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def same(one: Any, two: Any) -> bool:
    one, two = plain(one), plain(two)
    if isinstance(one, float) and isinstance(two, float):
        return isclose(one, two, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == two)


def agree(
    got: Mapping[Any, Mapping[str, Any]], want: Mapping[Any, Mapping[str, Any]], names: Iterable[str], what: Any
) -> int:
    """Raise where two tables by the same keys differ in one of these columns; gives the number of rows."""
    wrong = [f"only the product has {key}: {got[key]}" for key in got if key not in want]
    wrong += [f"only the check has {key}: {want[key]}" for key in want if key not in got]
    for key in got:
        if key not in want:
            continue
        for name in names:
            if not same(got[key][name], want[key][name]):
                wrong.append(f"{key} {name}: product {got[key][name]}, check {want[key][name]}")
    assert not wrong, f"{what}: {len(wrong)} differ\n" + "\n".join(wrong[:12])
    assert got, what
    return len(got)


def keyed(rows: Iterable[Mapping[str, Any]], *keys: str) -> dict[Any, Mapping[str, Any]]:
    """Rows by one column, or by several; no two have the same."""
    found: dict[Any, Mapping[str, Any]] = {}
    for row in rows:
        key = row[keys[0]] if len(keys) == 1 else tuple(row[name] for name in keys)
        assert key not in found, key
        found[key] = row
    return found


def bounds(row: Mapping[str, Any], *, clip: bool = True) -> dict[str, Any]:
    """A check's row with `interval` as `ci_low` and `ci_high`, within 0 and 1."""
    low, high = row["interval"] if row.get("interval") else (None, None)
    if clip and low is not None and high is not None:
        low, high = max(0.0, low), min(1.0, high)
    return {**row, "ci_low": low, "ci_high": high}
