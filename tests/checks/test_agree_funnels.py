"""Funnels in every order, attempt and exclusion: the product against the naive check, on the same logs."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import date, timedelta
from statistics import median, quantiles
from typing import Any

from tests.checks.events import period_days
from tests.checks.funnels import Exclusion, funnel
from tests.checks.logs import SEED, Log, agree, bounds, keyed

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def questions(rng: random.Random, number: int) -> list[dict[str, Any]]:
    found = []
    for _ in range(number):
        steps = rng.sample(("open", "play", "pause", "buy"), rng.choice((2, 3, 3, 4)))
        order = rng.choice(("ordered", "ordered", "ordered", "strict", "any"))
        if order != "any" and rng.random() < 0.3:
            steps[rng.randrange(1, len(steps))] = steps[0]
        one: dict[str, Any] = {
            "steps": steps,
            "order": order,
            "window": rng.choice((HOUR / 4, HOUR, 6 * HOUR, DAY, 3 * DAY, 7 * DAY)),
            "attempt": rng.choice(("best", "first")),
        }
        others = [name for name in ("open", "play", "pause", "buy") if name not in steps]
        if order == "ordered" and rng.random() < 0.5:
            after = rng.randrange(1, len(steps))
            before = rng.randrange(after + 1, len(steps) + 1)
            one["exclude"] = [(after, before, rng.choice(others or ["pause"]))]
        if rng.random() < 0.3:
            one["hold"] = ["version"]
        if order == "ordered" and len(set(steps)) == len(steps) and "exclude" not in one and rng.random() < 0.2:
            one["simultaneity"] = rng.choice((timedelta(minutes=5), timedelta(minutes=15)))
        if rng.random() < 0.4:
            one["by"] = "device"
        if rng.random() < 0.3:
            one["range"] = (date(2024, 11, 3), date(2024, 12, 15))
        found.append(one)
    return found


def naive(log: Log, asked: Mapping[str, Any]) -> dict[Any, dict[str, Any]]:
    first, last = asked.get("range", (date.min, date.max))
    events = log.human
    if asked.get("hold"):
        events = [item for item in events if item.props[asked["hold"][0]] is not None]
    found = funnel(
        events,
        steps=asked["steps"],
        observed_until=log.coverage.observed_until,
        order_=asked["order"],
        window=asked["window"],
        attempt=asked["attempt"],
        simultaneity=asked.get("simultaneity", timedelta()),
        exclusions=[Exclusion(*one) for one in asked.get("exclude", ())],
        hold_constant=asked.get("hold", ()),
        in_range=lambda item: first <= item.local_date <= last,
        breakdown=asked.get("by"),
    )
    return {key: judged(row, key if asked.get("by") is None else key[1]) for key, row in found.items()}


def judged(row: Mapping[str, Any], step: int) -> dict[str, Any]:
    seconds = [max(0.0, one) for one in row["seconds"]]  # within the tolerance before the entry: 0
    p90 = seconds[0] if len(seconds) == 1 else quantiles(seconds, n=10, method="inclusive")[8] if seconds else None
    found = {**bounds(row), "step_value": row["of_previous"], "n": row["denominator"], "seconds_p90": p90}
    found["seconds_median"] = median(seconds) if seconds else None
    if step == 1:
        found |= {"ci_low": None, "ci_high": None, "seconds_median": None, "seconds_p90": None}
        found["step_value"] = found["value"]
    return found


NAMES = ("value", "numerator", "denominator", "n", "ci_low", "ci_high", "step_value", "seconds_median", "seconds_p90")
NAMES += ("open_entries",)


def ask(log: Log, asked: Mapping[str, Any]) -> dict[Any, Any]:
    options: dict[str, Any] = {name: asked[name] for name in ("order", "window", "attempt")}
    if "exclude" in asked:
        options["exclude"] = [f"{after}-{before}: {name}" for after, before, name in asked["exclude"]]
    options |= {name: asked[name] for name in ("hold", "simultaneity") if name in asked}
    if "range" in asked:
        options |= dict(zip(("start", "end"), asked["range"], strict=True))
    by = asked.get("by")
    result = log.session.funnel(asked["steps"], by=[by] if by else [], **options)
    return keyed(result.to_dicts(), *([by] if by else []), "step")


def test_funnels(log: Log) -> None:
    for asked in questions(random.Random(SEED), 24 if log.name == "by_hand" else 6):
        agree(ask(log, asked), naive(log, asked), NAMES, asked)


def test_periods_of_the_entry(log: Log) -> None:
    """In each period an actor counts once, by its best or first entry there."""
    steps, window = ["open", "play", "buy"], 2 * DAY
    for attempt in ("best", "first"):
        for order in ("ordered", "any"):
            options: dict[str, Any] = {"window": window, "attempt": attempt, "order": order, "grain": "week"}
            rows = [row for row in log.session.funnel(steps, **options).to_dicts() if row["n"]]
            got = keyed(rows, "period_start", "step")
            for first in sorted({key[0] for key in got}):
                days = set(period_days(first, "week", week_start=log.coverage.week_start))
                found = funnel(
                    log.human,
                    steps=steps,
                    observed_until=log.coverage.observed_until,
                    order_=order,
                    window=window,
                    attempt=attempt,
                    in_range=lambda item, days=days: item.local_date in days,
                )
                want = {(first, step): judged(row, step) for step, row in found.items()}
                agree({key: row for key, row in got.items() if key[0] == first}, want, NAMES, (options, first))


def test_by_the_value_at_a_step(log: Log) -> None:
    """By the value at step 2 of those who reached it."""
    steps, window = ["open", "play", "buy"], 2 * DAY
    rows = log.session.funnel(steps, window=window, by="device", touch=2).to_dicts()
    found = funnel(
        log.human,
        steps=steps,
        observed_until=log.coverage.observed_until,
        window=window,
        breakdown="device",
        breakdown_by=2,
    )
    for value in ("phone", "tv"):
        got = keyed([row for row in rows if row["device"] == value], "step")
        want = {key[1]: judged(row, key[1]) for key, row in found.items() if key[0] == value}
        agree(got, want, ("numerator", "denominator", "value", "ci_low", "seconds_median"), value)
