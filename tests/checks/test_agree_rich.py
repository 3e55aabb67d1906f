"""Revenue with prices that change, adoption by exposure, funnels by touch, retention without a horizon, accounts,
attributes and comparisons in four zones: the product against naive checks."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from math import inf
from statistics import median
from typing import Any

import pytest

from tests.checks.active import calendar, daily, rolling
from tests.checks.attempts import attempts, counted
from tests.checks.events import (
    UNKNOWN,
    Choice,
    Event,
    by_actor,
    default_active,
    period_days,
    period_first,
    period_index,
    start_of,
    text,
)
from tests.checks.funnels import Exclusion
from tests.checks.intervals import wilson
from tests.checks.logs import SEED, agree, bounds
from tests.checks.measures import table
from tests.checks.retention import retention as naive_retention
from tests.checks.revenue import priced, row_at
from tests.checks.rich import Rich
from tidelake.metrics.adoption import adoption, adoption_of
from tidelake.metrics.funnel import funnel
from tidelake.metrics.funnel_definition import funnel_of
from tidelake.metrics.measure import measure
from tidelake.metrics.retention import Retention, retention
from tidelake.metrics.revenue import Revenue, revenue

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def first_of_period(made: Rich, day: date, grain: str) -> date:
    start = made.coverage.week_start
    return period_first(period_index(day, grain, week_start=start), grain, week_start=start)


# --- revenue


@pytest.mark.parametrize("columns", [{}, {"price": "list_price"}, {"list_price": "list_price"}], ids=str)
def test_revenue_at_the_price_of_its_time(rich_log: Rich, columns: dict[str, str]) -> None:
    """By none and by the category as it was then. `--price list_price` is no column of the events: the products'."""
    sold = [item for item in rich_log.human if item.name in ("buy", "refund")]
    if columns.get("price") == "list_price":
        sold = [replace(item, props={**item.props, "price": None}) for item in sold]
    sales = priced(sold, rich_log.products)
    assert {sale.price_source for sale in sales} >= {"history", "none"}
    for by, grain in ((None, "month"), ("products.category", "day" if columns else "week")):
        want: dict[Any, dict[str, Any]] = {}
        for sale in sales:
            then = row_at(rich_log.products, sale.event.props["product_id"], sale.event.at)
            category = text(then.category) if then and by else UNKNOWN if by else ""
            first = first_of_period(rich_log, sale.event.local_date, grain)
            zero = {"gross_revenue": Decimal(0), "refunds": Decimal(0), "n": 0, "unpriced": 0}
            zero |= {"status": rich_log.coverage.period_status(first, grain)}
            row = want.setdefault((category, first, sale.event.props["currency"]), zero)
            row["n"] += 1
            if sale.price is None:
                row["unpriced"] += 1
                continue
            is_refund = sale.event.name == "refund" or sale.quantity < 0
            row["refunds" if is_refund else "gross_revenue"] += abs(sale.quantity) * sale.price
        for row in want.values():
            is_priced = row["n"] > row["unpriced"]
            row["value"] = float(row["gross_revenue"] - row["refunds"]) if is_priced else None
            row |= {name: float(row[name]) if is_priced else None for name in ("gross_revenue", "refunds")}
        rule = Revenue.model_validate({"event": "buy", "refund": "refund", **columns})
        rows = rich_log.ask(revenue, rule, by=[by] if by else [], grain=grain).to_dicts()
        got = {(row[by] if by else "", row["period_start"], row["currency"]): row for row in rows}
        others = [row for key, row in got.items() if key not in want]
        assert all(row["value"] == (None if row["status"] == "missing" else 0) for row in others)
        names = ("value", "gross_revenue", "refunds", "n", "unpriced", "status")
        agree({key: got[key] for key in got if key in want}, want, names, (rich_log.zone, by))


# --- adoption


@pytest.mark.parametrize(("grain", "by"), [("day", None), ("week", "device"), ("month", "version")])
def test_adoption_by_exposure(rich_log: Rich, grain: str, by: str | None) -> None:
    """Eligible: active in the period and exposed before its end. Time to adopt: from the first exposure."""
    rows = rich_log.ask(adoption, adoption_of("buy", exposure="shown", weeks=1), grain=grain, by=[by] if by else [])
    got = {(row[by] if by else "", row["period_start"]): row for row in rows.to_dicts()}
    actors = by_actor(rich_log.human)
    want, tried = {}, {}
    for value in {key[0] for key in got}:
        for first in rich_log.coverage.periods(grain):
            days = set(period_days(first, grain, week_start=rich_log.coverage.week_start))
            uses = []
            for own in actors.values():
                here = [item for item in own if item.local_date in days]
                here = [item for item in here if not by or text(item.props[by]) == value]
                is_exposed = any(item.name == "shown" and item.local_date <= max(days) for item in own)
                if is_exposed and any(default_active(item) for item in here):
                    uses.append(sum(item.name == "buy" for item in here))
            adopters, status = sum(use > 0 for use in uses), rich_log.coverage.period_status(first, grain)
            told = {"value": adopters / len(uses) if uses else None, "numerator": adopters, "denominator": len(uses)}
            told |= {"uses": sum(uses), "uses_per_adopter": sum(uses) / adopters if adopters else None}
            row = bounds({**told, "interval": wilson(adopters, len(uses))})
            want[value, first] = {**(dict.fromkeys(row) if status == "missing" else row), "status": status}
    for own in actors.values():
        uses_of = [item for item in own if item.name == "buy"]
        shown = [item for item in own if item.name == "shown"]
        if uses_of:
            use = uses_of[0]
            key = (text(use.props[by]) if by else "", first_of_period(rich_log, use.local_date, grain))
            cell = tried.setdefault(key, {"triers": 0, "days": [], "kept": []})
            cell["triers"] += 1
            if shown and shown[0].at <= use.at:
                cell["days"].append((use.at - shown[0].at) / DAY)
            if use.at + 14 * DAY <= rich_log.coverage.observed_until:
                cell["kept"].append(any(7 * DAY <= item.at - use.at < 14 * DAY for item in uses_of))
    names = ("value", "numerator", "denominator", "ci_low", "ci_high", "uses", "uses_per_adopter", "status")
    agree(got, want, names, (rich_log.zone, grain))
    told = {
        key: {
            "triers": cell["triers"],
            "days_to_adopt_median": median(cell["days"]) if cell["days"] else None,
            "triers_observed": len(cell["kept"]),
            "retained_share": sum(cell["kept"]) / len(cell["kept"]) if cell["kept"] else None,
        }
        for key, cell in tried.items()
    }
    adopted = {key: row for key, row in got.items() if row["triers"]}
    agree(adopted, told, ("triers", "days_to_adopt_median", "triers_observed", "retained_share"), grain)


# --- funnels

STEPS = ("open", "play", "view", "browse", "pause")
NAMES = ("value", "numerator", "denominator", "step_value", "open_entries", "ci_low", "ci_high")
NAMES += ("seconds_median", "seconds_p90")


@pytest.mark.parametrize("count", ["actor", "held", "entry"])
def test_funnels_of_every_count_and_touch(rich_log: Rich, count: str) -> None:
    rng = random.Random(f"{SEED} {rich_log.zone} {count}")
    for touch in ("entry", "first", "last", 2):
        steps = rng.sample(STEPS, rng.choice((2, 3)))
        kind = rng.choice(("ordered", "ordered", "strict", "any"))
        window = rng.choice((timedelta(minutes=5), HOUR, 2 * DAY, 7 * DAY))
        hold = rng.choice((("device",), ("content_id",), ("version",), *([()] if count != "held" else [])))
        attempt = "best" if count == "entry" else rng.choice(("best", "first"))
        by = rng.choice(("device", "version"))
        exclusions = [Exclusion(1, 2, "search")] if kind == "ordered" and rng.random() < 0.5 else []
        asked: dict[str, Any] = {"order": kind, "window": window, "attempt": attempt, "hold": list(hold)}
        asked |= {"exclude": ["1-2: search"]} if exclusions else {}
        found = rich_log.ask(funnel, funnel_of(steps, count=count, touch=touch, **asked), by=[by]).to_dicts()
        got = {(row[by], row["step"]): row for row in found}
        tried = attempts(
            rich_log.human,
            rich_log.coverage,
            steps=steps,
            kind=kind,
            window=window,
            hold=hold,
            exclusions=exclusions,
        )
        want = counted(tried, steps=len(steps), count=count, attempt=attempt, by=by, touch=touch)
        if want:
            agree(got, want, NAMES, (rich_log.zone, steps, count, touch, by, asked))


# --- retention

CRITERIA: Mapping[str, dict[str, Any]] = {
    "on": {},
    "on_or_before": {},
    "on_or_after": {"horizon": 9},
    "inf": {"horizon": inf},
    "streak": {},
    "bracket": {"brackets": [(0, 0), (1, 3), (2, 6)]},
}
CELL = ("value", "numerator", "denominator", "size", "numerator_so_far", "ci_low", "ci_high", "n", "status")


@pytest.mark.parametrize("criterion", CRITERIA)
def test_retention_over_changes_of_the_clock(rich_log: Rich, criterion: str) -> None:
    """Calendar and elapsed units; "`H=inf`, flagged `biased`". Hours of Lord Howe's summer are not asked for."""
    rng = random.Random(f"{SEED} {rich_log.zone} {criterion}")
    units = [
        one
        for one in product(("hour", "day", "week", "month"), ("calendar", "elapsed"), ("first", "recurring"))
        if not (one[0] == "hour" and (one[2] == "recurring" or "Lord" in rich_log.zone))
    ]
    choices: dict[str, Choice] = {"*": default_active}
    for unit, anchor, cohort in rng.sample(units, 2):
        grain = unit if cohort == "recurring" else rng.choice(("day", "week", "month"))
        entry, back = rng.choice((("*", "*"), ("open", "play"), ("play", "play")))
        rule = {"unit": unit, "anchor": anchor, "cohort": cohort}
        rule["criterion"] = "on_or_after" if criterion == "inf" else criterion
        extra = CRITERIA[criterion]
        given = {"horizon": "inf"} if criterion == "inf" else extra
        question = Retention.make(**rule, **given, warmup_days=0, entry=entry, **{"return": back})
        found = rich_log.ask(retention, question, grain=grain).to_dicts()
        got = {(row["cohort_start"], row["period"]): row for row in found if row["cohort_source"] == "entry"}
        rows = naive_retention(
            rich_log.human,
            rich_log.coverage,
            cohort_grain=grain,
            warmup=0,
            numbers=range(1 if criterion == "streak" else 0, 8),
            entry=choices.get(entry, entry),
            return_=choices.get(back, back),
            **{"brackets": (), **rule, **extra},
        )
        want = {}
        for key, row in rows.items():
            if isinstance(key, tuple):
                place = extra["brackets"].index(key[1]) if criterion == "bracket" else key[1]
                want[key[0], place] = cell_of(rich_log, row, got[key[0], place], key[0], grain)
        agree(got, want, CELL, (rich_log.zone, criterion, rule, grain))
        assert all(row["is_biased"] == (criterion == "inf") for row in got.values())


def cell_of(made: Rich, row: Mapping[str, Any], got: Mapping[str, Any], first: date, grain: str) -> dict[str, Any]:
    """A row of the check as the page has it: cohorts that grow, cells of which no day was received."""
    is_known, status = row["value"] is not None, row["status"]
    end = start_of(period_days(first, grain, week_start=made.coverage.week_start)[-1] + DAY, made.zone)
    if status == "complete" and end > made.coverage.observed_until:
        status = "partial_cohort"
    interval = wilson(row["numerator"], row["eligible"]) if is_known else None
    found = bounds({**row, "interval": interval}) | {"n": row["eligible"], "status": status}
    found |= {"numerator_so_far": row["returned_not_eligible"]}
    if not is_known:
        found["numerator"] = None
    if got["status"] == "missing":
        assert not row["numerator"], "a return was seen in days that are said to be missing"
        found |= {name: got[name] for name in CELL}
    return found


# --- other actors, and attributes


def test_accounts_are_actors_of_another_level(rich_log: Rich) -> None:
    """Distinct accounts of active events, whoever the actor is; by a dimension too."""
    events = [replace(item, actor=item.props["account_id"]) for item in rich_log.human]
    for by in (None, "device"):
        for metric, grain, of in (
            ("dau", "day", lambda own: daily(own, rich_log.coverage)),
            ("wau", "day", lambda own: rolling(own, rich_log.coverage, length=7)),
            ("active_users", "week", lambda own: calendar(own, rich_log.coverage, grain="week")),
            ("mau_cal", "month", lambda own: calendar(own, rich_log.coverage, grain="month")),
        ):
            rows = rich_log.ask(measure, metric, grain=grain, actor="account", by=[by] if by else []).to_dicts()
            got = {(row[by] if by else "", row["period_start"]): row for row in rows}
            want = {}
            for value in {key[0] for key in got}:
                own = [item for item in events if not by or text(item.props[by]) == value]
                want |= {(value, first): row for first, row in of(own).items()}
            agree(got, want, ("value", "status"), (metric, by))


def test_events_and_plays_by_the_category_of_their_time(rich_log: Rich) -> None:
    """`products.category` is the one that held at the event, `(unknown)` before the first and without a product."""

    def category(item: Event) -> str:
        then = row_at(rich_log.products, item.props["product_id"], item.at)
        return text(then.category if then else None)

    sold = [replace(item, props={**item.props, "category": category(item)}) for item in rich_log.human]
    for grain in ("day", "month"):
        rows = rich_log.ask(measure, "events", by=["products.category"], grain=grain).to_dicts()
        got = {(row["products.category"], row["period_start"]): row for row in rows}
        want = table(sold, rich_log.coverage, grain, lambda own: {"value": len(own)}, lambda item: item, "category")
        agree(got, want, ("value", "status"), grain)


def test_the_largest_values_stand_and_the_others_are_one(rich_log: Rich) -> None:
    """The two contents with the most events (no two have as many) and `(other)`, in which an actor counts once."""
    values: dict[str, int] = {}
    for item in rich_log.human:
        name = text(item.props["content_id"]) + item.name
        values[name] = values.get(name, 0) + 1
    names: dict[str, int] = {}
    for item in rich_log.human:
        names[item.name] = names.get(item.name, 0) + 1
    ranked = sorted(names, key=lambda name: (-names[name], name))
    if names[ranked[2]] == names[ranked[3]]:
        ranked[2:3] = []  # a tie at the edge: one fewer
    top = set(ranked[:2]) if names[ranked[1]] != names[ranked[2]] else set(ranked[:1])
    for metric in ("events", "active_users"):
        rows = rich_log.ask(measure, metric, grain="week", by=["event_name"], segment_limit=len(top)).to_dicts()
        got = {(row["event_name"], row["period_start"]): row for row in rows}
        if metric != "events" and {key[0] for key in got} != {*top, "(other)"}:
            continue  # distinct metrics rank by their own rows
        held = [
            replace(item, props={**item.props, "shown": item.name if item.name in top else "(other)"})
            for item in rich_log.human
        ]

        def value(own: Any, metric: str = metric) -> dict[str, Any]:
            if metric == "events":
                return {"value": len(own)}
            return {"value": len({item.actor for item in own if item.actor is not None and default_active(item)})}

        agree(
            got,
            table(held, rich_log.coverage, "week", value, lambda item: item, "shown"),
            ("value", "status"),
            (metric, top),
        )


# --- beside an earlier period


def test_periods_beside_the_previous_one(rich_log: Rich) -> None:
    """Of days the same weekday of the week before; a difference only where both are complete."""
    for metric, grain in (("dau", "day"), ("active_users", "week"), ("events", "month")):
        rows = rich_log.ask(measure, metric, grain=grain, compare="previous").to_dicts()
        plain = {row["period_start"]: row for row in rich_log.ask(measure, metric, grain=grain).to_dicts()}
        for row in rows:
            first = row["period_start"]
            back = {"day": first - 7 * DAY, "week": first - 7 * DAY, "month": (first - DAY).replace(day=1)}[grain]
            before = plain.get(back)
            assert row["compared_start"] == back
            both = before is not None and before["status"] == row["status"] == "complete"
            told = (None, None)
            if both and before is not None:
                gone = row["value"] - before["value"]
                told = (gone, gone / before["value"] if before["value"] else None)
            assert (row["difference"], row["relative_difference"]) == pytest.approx(told), row
