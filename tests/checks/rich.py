"""Logs with everything that a question can be about, written into silver directly, so that one build serves many tests:
zones whose clocks change, gaps of exactly the timeout, equal times, events on the last microsecond of a date, null
actors, accounts, products whose prices change, several sessions at once.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from tests.checks.events import Coverage, Event, start_of
from tests.checks.revenue import ProductRow
from tests.gold.tiny import INSTANT, Tiny
from tidelake.contracts.source import source_from

COLUMNS = {
    "device": pa.string(),
    "version": pa.string(),
    "content_id": pa.string(),
    "product_id": pa.string(),
    "account_id": pa.string(),
    "price": pa.float64(),
    "quantity": pa.int64(),
    "currency": pa.string(),
    "seconds": pa.float64(),
    "interactive": pa.bool_(),
}
MEASURES = {
    "plays": {"event": "play"},
    "opens": {"event": "open"},
    "views": {"event": "view"},
    "key_events": {"event": "buy"},
    "browses": {"event": "browse"},
    "searches": {"event": "search"},
    "amount": {"sum": "seconds"},
    "titles": {"event": "play", "distinct": "content_id"},
}
SETTINGS = {
    "dimensions": ["device", "version"],
    "actors": {"account": "account_id"},
    "measures": MEASURES,
    "watch": {"play": ["play"], "resume": ["resume"], "pause": ["pause"], "end": ["stop"]},
}
STATES = ("play", "play", "play", "pause", "resume", "buffer_start", "buffer_end", "stop")
NAMES = ("open", "open", "view", "view", "browse", "search", "buy", "refund", "shown", "close", "close", *STATES)
GAPS = (0, 0, 4, 9, 10, 11, 60, 290, 300, 301, 900, 1799, 1800, 1801)
# Both changes of the clock, one of half an hour, and a zone whose days never begin on a whole hour.
ZONES = {
    "Europe/Berlin": date(2025, 3, 10),
    "America/New_York": date(2024, 10, 14),
    "Australia/Lord_Howe": date(2025, 3, 17),
    "Asia/Kolkata": date(2024, 12, 9),
}


def rows_of(seed: int, zone: str, *, days: int = 33, actors: int = 12) -> list[dict[str, Any]]:
    """About 45 events an actor."""
    rng = random.Random(f"{seed} {zone}")
    first = ZONES[zone]
    rows: list[dict[str, Any]] = []

    def add(actor: str | None, at: datetime, name: str, **more: Any) -> None:
        is_play = name in STATES
        rows.append(
            {
                "event_time": at,
                "event_id": f"e{len(rows) * 7919 % 99991:05d}",
                "actor_id": actor,
                "account_id": None if rng.random() < 0.15 else f"x{hash_of(actor) % 5}",
                "event_name": name,
                "seq": rng.choice((None, None, 1, 2)),
                "session_id": rng.choice(("s1", "s2", "s3", None)) if rng.random() < 0.3 else f"{actor} {at:%j%H}",
                "traffic_class": rng.choice(("human",) * 8 + (None, "bot")),
                "interactive": rng.choice((True, None, None, None, False)),
                "device": rng.choice(("phone", "phone", "tv", None)),
                "version": rng.choice(("1.9", "1.10", "2.0", None)),
                "content_id": rng.choice(("c1", "c1", "c2", None)) if is_play else None,
                "product_id": rng.choice(("p1", "p2", "p3", "p4", "p9", None)) if name in ("buy", "refund") else None,
                "price": rng.choice((None, None, 2.5, 0.1, 10)) if name in ("buy", "refund") else None,
                "quantity": rng.choice((1, 2, None, None, -1)) if name in ("buy", "refund") else None,
                "currency": rng.choice(("EUR", "EUR", "USD")),
                "seconds": rng.choice((None, 0.5, 12.25, 40)) if name == "play" else None,
                **more,
            }
        )

    for number in range(actors):
        actor, share = f"a{number:02d}", rng.choice((0.06, 0.15, 0.4))
        for day in range(rng.randrange(0, 20), days):
            if day in (21, 22) or rng.random() > share:
                continue
            now = start_of(first + timedelta(days=day), zone)
            now += timedelta(minutes=10 * rng.randrange(0, 144)) * (rng.random() < 0.8)
            for _ in range(rng.choice((1, 1, 2, 5, 12))):
                add(actor, now, rng.choice(NAMES))
                now += timedelta(seconds=rng.choice(GAPS), microseconds=rng.random() < 0.1)
    for day in range(days):
        begin = start_of(first + timedelta(days=day), zone)
        if day not in (21, 22) and day % 3 == 0:
            add(f"a{day % actors:02d}", begin, "open")
            add(None, begin + timedelta(hours=5), "play")
        if day not in (20, 21, 22):
            add(f"a{day % 4:02d}", start_of(first + timedelta(days=day + 1), zone) - timedelta(microseconds=1), "play")
    gone = {first + timedelta(days=21), first + timedelta(days=22)}
    end = start_of(first + timedelta(days=days), zone)
    local = ZoneInfo(zone)
    return [row for row in rows if row["event_time"].astimezone(local).date() not in gone and row["event_time"] < end]


def hash_of(actor: str | None) -> int:
    return 3 if actor is None else int(actor[1:])


def events_of(rows: Sequence[Mapping[str, Any]], zone: str) -> list[Event]:
    local = ZoneInfo(zone)
    return [
        Event(
            row["actor_id"],
            row["event_time"],
            row["event_time"].astimezone(local).date(),
            row["event_name"],
            row["seq"],
            row["event_id"],
            {name: row[name] for name in (*COLUMNS, "traffic_class", "session_id")},
        )
        for row in rows
    ]


def products_of(seed: int, zone: str) -> list[ProductRow]:
    """Prices and categories that change on some dates of the log, one of them unknown for a while; p9 is in none."""
    rng = random.Random(f"products {seed} {zone}")
    begin = start_of(ZONES[zone], zone)
    found = []
    for product in ("p1", "p2", "p3", "p4"):
        since: list[datetime | None] = [None] if product in ("p1", "p2") else []
        since += [begin + timedelta(hours=hour) for hour in sorted(rng.sample(range(24, 700), 3))]
        for one in since:
            price = rng.choice((Decimal(3), Decimal("4.5"), Decimal("7.25"), None))
            found.append(ProductRow(product, one, price, rng.choice(("toys", "games", None))))
    return found


@dataclass(frozen=True)
class Rich:
    """Events, what is known of how complete they are, and a built lake over them."""

    zone: str
    events: list[Event]
    coverage: Coverage
    tiny: Tiny
    products: list[ProductRow]

    @property
    def human(self) -> list[Event]:
        return [item for item in self.events if item.props["traffic_class"] in (None, "human")]

    def ask(self, question: Any, *given: Any, **options: Any) -> Any:
        tiny = self.tiny
        return question(tiny.engine, tiny.lake, tiny.project, tiny.sources, *given, **options)


def rich(root: Path, zone: str, *, seed: int = 1, week_start: str = "monday", **settings: Any) -> Rich:
    """A log of a zone with its lake, to be closed by `with made.tiny`."""
    rows = rows_of(seed, zone)
    tiny = Tiny(root, {**SETTINGS, "timezone": zone, "week_start": week_start, **settings}, columns=COLUMNS)
    fields = {"product_id": {"type": "string", "references": "products.product_id"}}
    mapping = {"event_time": "t", "event_id": "i", "actor_id": "a", "event_name": "n", "session_id": "s", "seq": "q"}
    app = {"name": "app", "path": "x", "mapping": mapping, "dedup": "key", "contract": {"fields": fields}}
    tiny.sources["app"] = source_from(app)
    products = products_of(seed, zone)
    _add_products(tiny, products)
    tiny.add(rows)

    tiny.build()
    events = events_of(rows, zone)
    return Rich(zone, events, Coverage.of(events, timezone=zone, week_start=week_start), tiny, products)


def _add_products(tiny: Tiny, products: Sequence[ProductRow]) -> None:
    own = {name: {"type": "string"} for name in ("product_id", "category")} | {"price": {"type": "number"}}
    own["list_price"] = {"type": "number"}
    goods = {"name": "products", "path": "y", "fact": "dimension", "key": ["product_id"], "history": "scd2"}
    goods |= {"mapping": {"valid_from": "since"}, "contract": {"fields": own}}
    tiny.sources["products"] = source_from(goods)
    rows = []
    for number, row in enumerate(products):
        after = products[number + 1] if number + 1 < len(products) else None
        until = after.valid_from if after is not None and after.product == row.product else None
        price = None if row.price is None else float(row.price)
        rows.append(
            {
                "product_id": row.product,
                "category": row.category,
                "price": price,
                "list_price": price,
                "valid_from": row.valid_from,
                "valid_to": until,
                "is_current": until is None,
            }
        )
    kinds = {"product_id": pa.string(), "category": pa.string(), "price": pa.float64(), "list_price": pa.float64()}
    kinds |= {"valid_from": INSTANT, "valid_to": INSTANT, "is_current": pa.bool_()}
    tiny.engine.write(pa.Table.from_pylist(rows, schema=pa.schema(kinds)), "silver.products", "overwrite")
