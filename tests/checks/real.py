"""Real data sets read twice: into a plain list of events without Tidelake, and by a project over the same files.

Each `read_*` and `write_*` takes the folder that the fixture `shared_data` gives: `shared_data("collegemsg")`. A test
that asks for it is skipped, with the reason, where the folder of `TIDELAKE_SHARED_DATA` does not hold the archive.

An event's `seq` is the number of its line. The files themselves have neither ids nor numbers, so what depends on the
order of events at one instant (which of two lines of an invoice comes first) cannot be compared with a build of them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import yaml

from tests.checks.events import Coverage, Event

COLLEGE_ZONE = "America/Los_Angeles"
RETAIL_ZONE = "Europe/London"
STREAMPRO_ZONE = "UTC"


def _event(actor: str | None, at: datetime, zone: str, name: str, line: int, props: Mapping[str, Any]) -> Event:
    at = at.astimezone(UTC)
    return Event(actor, at, at.astimezone(ZoneInfo(zone)).date(), name, line, None, props)


def college_file(folder: Path) -> Path:
    return folder / "collegemsg" / "CollegeMsg.txt"


def retail_file(folder: Path) -> Path:
    return folder / "online_retail_uci" / "online_retail_201012_201106.parquet"


def streampro_file(folder: Path, name: str = "events.jsonl") -> Path:
    return folder / "streampro_events" / name


def read_collegemsg(folder: Path, *, zone: str = COLLEGE_ZONE) -> list[Event]:
    """59,835 messages of 1,350 senders among 1,899 users of a campus network: `SRC DST UNIXTS` a line.

    The sender is the actor. 37 lines repeat another one; they stay.
    """
    found = []
    for number, line in enumerate(college_file(folder).read_text().splitlines(), start=1):
        source, target, seconds = line.split(" ")
        at = datetime.fromtimestamp(int(seconds), UTC)
        found.append(_event(source, at, zone, "message", number, {"dst": target}))
    return found


def read_online_retail(folder: Path, *, zone: str = RETAIL_ZONE) -> list[Event]:
    """240,007 invoice lines of a shop in the United Kingdom; the customer is the actor, and 67,225 lines name none.

    A line is named `cancellation` where its invoice number begins with C, else `purchase`. Nothing is left out.
    """
    found = []
    for number, row in enumerate(pq.read_table(retail_file(folder)).to_pylist(), start=1):
        # 12/1/10 8:26 is 1 December 2010, in the shop's own time.
        at = datetime.strptime(row["InvoiceDate"], "%m/%d/%y %H:%M").replace(tzinfo=ZoneInfo(zone))
        actor = None if row["CustomerID"] is None else str(row["CustomerID"])
        name = "cancellation" if row["InvoiceNo"].startswith("C") else "purchase"
        found.append(_event(actor, at, zone, name, number, row))
    return found


def read_streampro(folder: Path, *, zone: str = STREAMPRO_ZONE) -> list[Event]:
    """6,688 events of 300 users of a video service; their times carry no zone and count as UTC."""
    found = []
    for number, line in enumerate(streampro_file(folder).read_text().splitlines(), start=1):
        row = json.loads(line)
        at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
        found.append(_event(row["user_id"], at, zone, row["event_name"], number, row))
    return found


def read_streampro_signups(folder: Path) -> dict[str, date]:
    """The signup date of every user."""
    with streampro_file(folder, "users.csv").open(newline="") as file:
        return {row["user_id"]: date.fromisoformat(row["signup_date"]) for row in csv.DictReader(file)}


def _write(project: Path, settings: Mapping[str, Any], sources: Mapping[str, Mapping[str, Any]]) -> Path:
    (project / "sources").mkdir(parents=True)
    (project / "tide.yml").write_text(yaml.safe_dump(dict(settings), sort_keys=False))
    for name, source in sources.items():
        (project / "sources" / f"{name}.yml").write_text(yaml.safe_dump(dict(source), sort_keys=False))
    return project


def write_collegemsg(folder: Path, project: Path, *, complete: str = "event_time", **settings: Any) -> Path:
    """A project with the source `messages`; its silver columns are `actor_id`, `event_time` and `dst`."""
    source = {
        "path": str(college_file(folder)),
        "format": "csv",
        "header": False,
        "delimiter": " ",
        "columns": ["src", "dst", "at"],
        "time_format": "epoch_s",
        "mapping": {"actor_id": "src", "event_time": "at"},
        "complete": complete,
        "contract": {
            "fields": {
                "src": {"type": "string", "required": True},
                "dst": {"type": "string", "required": True},
                "at": {"type": "timestamp", "required": True},
            }
        },
    }
    return _write(project, {"name": "college", "timezone": COLLEGE_ZONE, **settings}, {"messages": source})


def write_online_retail(folder: Path, project: Path, *, complete: str = "event_time", **settings: Any) -> Path:
    """A project with the source `lines`; an event has no name, and lines without a customer no actor."""
    source = {
        "path": str(retail_file(folder)),
        "format": "parquet",
        "timezone": RETAIL_ZONE,
        "time_format": "%m/%d/%y %H:%M",
        "mapping": {"actor_id": "CustomerID", "event_time": "InvoiceDate"},
        "complete": complete,
        "contract": {
            "fields": {
                "InvoiceNo": {"type": "string", "required": True},
                "StockCode": {"type": "string", "required": True},
                "Description": {"type": "string"},
                "Quantity": {"type": "integer", "required": True},
                "InvoiceDate": {"type": "timestamp", "required": True},
                "UnitPrice": {"type": "number", "required": True},
                "CustomerID": {"type": "string"},
                "Country": {"type": "string", "required": True},
            }
        },
    }
    general = {
        "name": "retail",
        "timezone": RETAIL_ZONE,
        "measures": {"quantity": {"sum": "Quantity"}},
        "dimensions": ["Country"],
    }
    return _write(project, {**general, **settings}, {"lines": source})


def write_streampro(folder: Path, project: Path, *, complete: str = "event_time", **settings: Any) -> Path:
    """A project with the source `events` and the dimension `users`; watch time is what `watch_time` events declare."""
    texts = ("account_id", "video_id", "device", "device_os", "app_version", "network_type", "ip", "country")
    events = {
        "path": str(streampro_file(folder)),
        "format": "jsonl",
        "mapping": {
            "actor_id": "user_id",
            "event_time": "timestamp",
            "event_name": "event_name",
            "session_id": "session_id",
        },
        "dedup": "content",
        "complete": complete,
        "contract": {
            "fields": {
                "timestamp": {"type": "timestamp", "required": True},
                "user_id": {"type": "string", "required": True},
                "event_name": {"type": "string", "required": True},
                "session_id": {"type": "string", "required": True},
                "value": {"type": "number", "minimum": 0, "unit": "seconds"},
                **{name: {"type": "string"} for name in texts},
            }
        },
    }
    users = {
        "fact": "dimension",
        "path": str(streampro_file(folder, "users.csv")),
        "format": "csv",
        "key": ["user_id"],
        "contract": {
            "fields": {
                "user_id": {"type": "string", "required": True},
                "signup_date": {"type": "date", "required": True},
                "subscription_tier": {"type": "string"},
                "age_group": {"type": "string"},
                "gender": {"type": "string"},
            }
        },
    }
    general = {
        "name": "streampro",
        "timezone": STREAMPRO_ZONE,
        "session": {"mode": "trust"},
        "watch": {"column": "value", "event": "watch_time", "content": "video_id"},
        "measures": {"likes": {"event": "like"}, "watched": {"event": "watch_time", "sum": "value"}},
        "dimensions": ["country", "device", "device_os", "app_version"],
    }
    return _write(project, {**general, **settings}, {"events": events, "users": users})


@dataclass(frozen=True)
class RealSet:
    """A real set: the archive, how it is read, how a project over it is written, and the project's event source."""

    archive: str
    read: Callable[..., list[Event]]
    write: Callable[..., Path]
    source: str
    zone: str

    def coverage(self, events: Iterable[Event], **changes: Any) -> Coverage:
        """What `complete: event_time` claims: everything up to the largest event time."""
        return Coverage.of(events, **{"timezone": self.zone, **changes})


REAL_SETS = (
    RealSet("collegemsg", read_collegemsg, write_collegemsg, "messages", COLLEGE_ZONE),
    RealSet("online_retail_uci", read_online_retail, write_online_retail, "lines", RETAIL_ZONE),
    RealSet("streampro_events", read_streampro, write_streampro, "events", STREAMPRO_ZONE),
)
