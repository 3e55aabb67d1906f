"""R3's shop: `users.csv`, `products.csv`, `events.csv` (viewed, add-to-cart, purchased), over twelve months.

Planted, because each makes a naive number wrong: the year ends inside of the period (week numbers begin again); people
who sign up in its second half come back more often (weeks must be counted from each one's own signup, and the last
cohorts have not been seen for eight weeks); electronics become a fifth cheaper halfway (revenue at today's list price
is not what was paid). Purchases carry the price paid in `amount`, a column that R3's own tables lack.
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
from tidelake.sources.simulate.text import content, instants, join, pick

Column = npt.NDArray[Any]

FILES = ("users.csv", "products.csv", "events.csv")
VIEWED, ADDED, PURCHASED = range(3)
EVENT_TYPES = ("viewed", "add-to-cart", "purchased")
CATEGORIES = ("books", "electronics", "fashion", "home", "toys")
CHEAPER, CUT = "electronics", 0.8
COUNTRIES = ("US", "UK", "DE", "FR", "CA")
WEEKS = 8
"""Weeks since signup, from 0, that the truth's cohort matrix holds."""

_DAY = 86_400
_PRICES = {"books": (5, 40), "electronics": (80, 900), "fashion": (15, 150), "home": (10, 300), "toys": (8, 80)}
# Share of visits with a purchase among those with something in the cart.
_BUYS = {"books": 0.55, "electronics": 0.25, "fashion": 0.40, "home": 0.35, "toys": 0.45}
_ADDS = 0.35
_LEFT, _STAYS, _FLOOR = 0.80, 0.78, 0.10
_STAYS_LATER, _FLOOR_LATER = 0.90, 0.22
_VISIT_SECONDS = 3_600


def simulate_shop(
    out: Path,
    *,
    seed: int = 1,
    users: int = 1_000,
    products: int = 20,
    events: int = 50_000,
    days: int = 365,
    first_date: date = date(2024, 7, 1),
    truth: Path | None = None,
    progress: Progress = silent,
) -> SimulationResult:
    """Write three tables as CSV, in the columns that R3's tables have.

    Args:
        users: People; they sign up evenly over the period.
        products: In five categories, each as often as the others.
        events: Rows of events.csv, exactly.
        truth: Where the answers go; null = `OUT.truth.json` beside the folder.

    Raises:
        ProjectError: A size is out of range, or the folder holds other files.
    """
    if users < 1 or products < len(CATEGORIES) or events < 1 or days < 14:
        raise ProjectError(
            f"{users} users, {products} products, {events} events in {days} days cannot be simulated.",
            hint=f"Give at least 1 user, {len(CATEGORIES)} products, 1 event and 14 days.",
        )
    answer = truth_path(out, truth)
    prepare(out, FILES)
    people, goods, visiting, inside = np.random.default_rng([seed, 0x53]).spawn(4)
    start = (first_date - date(1970, 1, 1)).days * _DAY
    half = start + days // 2 * _DAY
    signup = np.sort(people.integers(0, days, users)) * _DAY + start
    country = people.integers(0, len(COUNTRIES), users)
    category = np.arange(products) % len(CATEGORIES)
    low, high = (np.array([_PRICES[name][k] for name in CATEGORIES]) * 100 for k in (0, 1))
    cents = goods.integers(low[category], high[category])
    cents_after = np.where(category == CATEGORIES.index(CHEAPER), np.round(cents * CUT).astype(np.int64), cents)
    visit = _visits(signup, start + days * _DAY, half, events, visiting)
    event = _events(visit, category, events, inside)
    price = np.where(event["time"] < half, cents[event["product"]], cents_after[event["product"]])
    event["cents"] = np.where(event["type"] == PURCHASED, price, -1)
    progress("writing tables", 0, 3, "files")
    files = [
        store(out / FILES[0], b"user_id,signup_date,country\n", content(_user_lines(signup, country))),
        store(out / FILES[1], b"product_id,category,price\n", content(_product_lines(category, cents_after))),
        store(out / FILES[2], b"user_id,event_type,product_id,timestamp,amount\n", content(_event_lines(event))),
    ]
    progress("writing tables", 3, 3, "files")
    facts = {
        "scenario": "shop",
        "seed": seed,
        "period": {"first": str(first_date), "days": days},
        "planted": {
            "retention": {"from": str(_date(half)), "stays_each_week": _STAYS_LATER, "before": _STAYS},
            "price_cut": {"category": CHEAPER, "factor": CUT, "from": str(_date(half))},
            "buys_from_cart": _BUYS,
        },
        **_truth(signup, category, cents_after, event, start + days * _DAY),
    }
    store_truth(answer, facts)
    return SimulationResult("shop", seed, out, tuple(files), len(event["time"]), answer)


def _visits(signup: Column, end: int, half: int, events: int, rng: np.random.Generator) -> dict[str, Column]:
    """More visits than are needed: who, and when they begin, each in a week in which that user is there."""
    most = int((end - signup.min()) // (7 * _DAY)) + 1
    week = np.arange(most)
    later = (signup >= half)[:, None]
    stays = np.where(later, _STAYS_LATER, _STAYS) ** week
    chance = np.where(later, _FLOOR_LATER, _FLOOR) + (_LEFT - np.where(later, _FLOOR_LATER, _FLOOR)) * stays
    begin = signup[:, None] + week * 7 * _DAY
    room = np.minimum(begin + 7 * _DAY, end) - begin - _VISIT_SECONDS
    there = (rng.random(chance.shape) < chance) & (room > 0)
    there[np.argmin(signup), 0] = True  # somebody is there, however few they are
    who, when = np.nonzero(there)
    eager = rng.gamma(2.0, 0.5, len(signup))[who] + 0.1
    chosen = rng.choice(len(who), size=events, p=eager / eager.sum())
    at = begin[who, when][chosen] + (rng.random(events) * room[who, when][chosen]).astype(np.int64)
    return {"user": who[chosen], "start": at}


def _events(visit: dict[str, Column], category: Column, events: int, rng: np.random.Generator) -> dict[str, Column]:
    """Each visit looks at one product some times, then perhaps adds it, then perhaps buys it; cut at `events` rows."""
    n = len(visit["user"])
    product = rng.integers(0, len(category), n)
    views = 1 + rng.poisson(0.8, n)
    adds = rng.random(n) < _ADDS
    buys = adds & (rng.random(n) < np.array([_BUYS[name] for name in CATEGORIES])[category[product]])
    length = views + adds + buys
    keep = int(np.searchsorted(np.cumsum(length), events)) + 1
    owner = np.repeat(np.arange(keep), length[:keep])[:events]
    first = np.cumsum(length) - length
    place = np.arange(len(owner)) - first[owner]
    kind = np.where(place < views[owner], VIEWED, np.where(place == views[owner], ADDED, PURCHASED))
    # At most 300 s a step and 11 steps: inside of the hour that is kept free.
    gap = rng.integers(20, 300, len(owner))
    passed = np.cumsum(gap)
    at = visit["start"][owner] + np.minimum(passed - passed[first[owner]], _VISIT_SECONDS - 1)
    order = np.lexsort((place, owner, at))
    columns = {"user": visit["user"][owner], "product": product[owner], "type": kind, "time": at}
    return {name: values[order] for name, values in columns.items()}


def _date(second: int) -> date:
    return date(1970, 1, 1) + timedelta(days=int(second) // _DAY)


def _numbers(values: Column) -> pa.Array[Any]:
    return pa.array(np.asarray(values) + 1).cast(pa.string())


def _money(cents: Column) -> pa.Array[Any]:
    """`12.05`; empty where negative."""
    whole, rest = np.divmod(np.maximum(cents, 0), 100)
    text = join(pa.array(whole).cast(pa.string()), ".", pc.utf8_lpad(pa.array(rest).cast(pa.string()), 2, "0"))
    return pc.if_else(pa.array(cents >= 0), text, "")


def _user_lines(signup: Column, country: Column) -> pa.Array[Any]:
    day = pa.array([str(_date(second)) for second in signup])
    return join(_numbers(np.arange(len(signup))), ",", day, ",", pick(COUNTRIES, country), "\n")


def _product_lines(category: Column, cents: Column) -> pa.Array[Any]:
    return join(_numbers(np.arange(len(category))), ",", pick(CATEGORIES, category), ",", _money(cents), "\n")


def _event_lines(event: dict[str, Column]) -> pa.Array[Any]:
    at = pc.replace_substring(instants(event["time"] * 1_000_000, fraction=0), "T", " ")
    return join(
        _numbers(event["user"]), ",", pick(EVENT_TYPES, event["type"]), ",", _numbers(event["product"]), ",", at, ",",
        _money(event["cents"]), "\n",
    )  # fmt: skip


def _truth(signup: Column, category: Column, cents: Column, event: dict[str, Column], end: int) -> dict[str, Any]:
    """Totals from the generator's own columns."""
    # 1 January 1970 was a Thursday.
    monday = event["time"] // _DAY - (event["time"] // _DAY + 3) % 7
    weeks = np.unique(monday)
    bought = event["type"] == PURCHASED
    kind = category[event["product"]]
    week = (event["time"] - signup[event["user"]]) // (7 * _DAY)
    months = np.array([_date(second).replace(day=1).isoformat() for second in signup])
    cohorts = []
    for month in np.unique(months):
        member = months == month
        for number in range(WEEKS):
            seen = member & (signup + (number + 1) * 7 * _DAY <= end)
            back = np.unique(event["user"][(week == number)])
            cohorts.append(
                {
                    "signup_month": str(month),
                    "week": number,
                    "users": int(member.sum()),
                    "observed": int(seen.sum()),
                    "active": int(seen[back].sum()),
                }
            )
    return {
        "events_by_type": {name: int((event["type"] == k).sum()) for k, name in enumerate(EVENT_TYPES)},
        "active_users_by_week": {
            str(_date(int(day) * _DAY)): len(np.unique(event["user"][monday == day])) for day in weeks
        },
        "revenue_paid_cents": {
            name: int(event["cents"][bought & (kind == k)].sum()) for k, name in enumerate(CATEGORIES)
        },
        "revenue_at_list_price_cents": {
            name: int(cents[event["product"]][bought & (kind == k)].sum()) for k, name in enumerate(CATEGORIES)
        },
        "cohorts": cohorts,
    }
