"""Declines, one value an actor, silence by a dimension and saved cohorts: the product against the naive checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checks.cohorts import members
from tests.checks.decline import decline
from tests.checks.events import Coverage, Event, by_actor, default_active, period_days, period_first, period_index, text
from tests.checks.inactive import inactive
from tests.checks.lifecycle import lifecycle
from tests.checks.logs import LOGS, Log, agree, keyed

NUMBERS = ("value", "numerator", "denominator", "ci_low", "ci_high", "status")


def parts(log: Log, by: str | None) -> dict[str, list[Event]]:
    """The events that count, by value of a dimension."""
    found: dict[str, list[Event]] = {}
    for item in log.human:
        found.setdefault(text(item.props[by]) if by else "", []).append(item)
    return found


def counts(events: Iterable[Event], coverage: Coverage, *, since_first: bool) -> dict[date, float]:
    """How many lie on each date that was received; where asked, from the first on."""
    dates = [item.local_date for item in events]
    begin = min(dates) if since_first else coverage.first
    days = [day for day in coverage.days() if coverage.day_status(day) != "missing"]
    return {day: float(dates.count(day)) for day in days if day >= begin}


@pytest.mark.parametrize("by", [None, "device", "version"])
def test_declines(log: Log, by: str | None) -> None:
    series = [counts(own, log.coverage, since_first=by is not None) for own in parts(log, by).values()]
    rules: tuple[dict[str, Any], ...] = ({"before": 1, "after": 2, "share": 0.6}, {})
    for rule in rules if by != "version" else rules[:1]:
        rows = log.session.decline("events", by=[by] if by else [], **rule).to_dicts()
        agree(keyed(rows, "period_start"), decline(series, log.coverage, **rule), NUMBERS, (by, rule))


# --- one value an actor


def at_the_edge(own: list[Event], days: set[date], name: str, rule: str) -> str | None:
    """ "The value at the first event of its first active day in the period, or at the last event of its last one"."""
    active = {item.local_date for item in own if item.local_date in days and default_active(item)}
    if not active:
        return None
    day = min(active) if rule == "first" else max(active)
    today = [item for item in own if item.local_date == day]
    return text(today[0 if rule == "first" else -1].props[name])


METRICS = {"dau": 1, "wau": 7, "mau_28": 28}


@pytest.mark.parametrize("rule", ["first", "last"])
def test_active_users_by_one_value_an_actor(log: Log, rule: str) -> None:
    actors = by_actor(log.human)
    asked = [("dau", "day"), ("active_users", "week"), ("wau", "day"), ("active_users", "month"), ("mau_28", "day")]
    for metric, grain in asked[::2] if rule == "first" else asked[1:3]:
        rows = log.session.measure(metric, grain=grain, by="device", segment=rule).to_dicts()
        got = {(row["period_start"], row["device"]): row for row in rows if row["value"] is not None}
        want: dict[Any, Any] = {}
        for first in {row["period_start"] for row in rows}:
            days = set(period_days(first, grain, week_start=log.coverage.week_start))
            days |= {first - timedelta(days=back) for back in range(METRICS.get(metric, 1))}
            values = [at_the_edge(own, days, "device", rule) for own in actors.values()]
            for value in {row["device"] for row in rows}:
                if (first, value) in got:
                    want[first, value] = {"value": values.count(value)}
        agree(got, want, ("value",), (metric, grain, rule))


def test_silence_by_a_dimension(log: Log) -> None:
    days = log.coverage.days()
    columns = ("value", "numerator", "denominator", "status")
    for rule in ("any", "first", "last"):
        rows = log.session.inactive(k=7, by="device", segment=rule, start=days[0], end=days[-1]).to_dicts()
        whole = {
            actor: at_the_edge(own, set(days), "device", rule) for actor, own in by_actor(log.human).items()
        }  # with `any` nobody's
        for value in sorted({row["device"] for row in rows}):
            if rule == "any":
                events = parts(log, "device")[value]
            else:
                events = [item for item in log.human if item.actor is not None and whole[item.actor] == value]
            got = keyed([row for row in rows if row["device"] == value], "period_start")
            want = inactive(events, log.coverage, k=7)
            agree(got, {at: want[at] for at in got}, columns, (rule, value))


# --- saved cohorts

COHORTS: dict[str, dict[str, Any]] = {
    "players": {"did": "play", "at_least": 2, "window": "last 14 days"},
    "few_days": {"did": "*", "on_days": 2, "at_most": 6},
    "idle": {"did_not": "open", "window": "last 10 days"},
    "on_tv": {"was": {"device": "tv"}, "window": "last 28 days"},
    "late_openers": {"first": "open", "window": "last 20 days"},
    "mixed": {
        "window": "last 21 days",
        "any": [{"all": [{"did": "buy"}, {"not": {"did": "pause"}}]}, {"did": "play", "exactly": 3}],
    },
}


@pytest.fixture(scope="module")
def cohorts(log: Log) -> dict[str, dict[str, Any]]:
    folder = Path(log.session.project.root) / "cohorts"
    folder.mkdir(exist_ok=True)
    for name, said in COHORTS.items():
        (folder / f"{name}.yml").write_text(yaml.safe_dump(said), encoding="utf-8")
    return COHORTS


@pytest.mark.parametrize("turn", range(2))
def test_questions_among_the_actors_of_a_cohort(log: Log, cohorts: dict[str, dict[str, Any]], turn: int) -> None:
    name = list(cohorts)[(2 * list(LOGS).index(log.name) + turn) % len(cohorts)]  # two of them for each log, by turns
    week = period_index(log.coverage.days()[35], "week", week_start=log.coverage.week_start)
    begin = period_first(week, "week", week_start=log.coverage.week_start)
    who = members(log.human, cohorts[name], begin)
    listed = log.session.cohorts(name, members=True, at=begin).to_dicts()
    assert {row["actor_id"] for row in listed} == who
    is_in: dict[str, Callable[[Event], bool]] = {
        name: lambda item: item.actor in who,
        f"not {name}": lambda item: item.actor is not None and item.actor not in who,
    }
    for asked, holds in is_in.items():
        own = [item for item in log.human if holds(item)]
        since = [day for day in log.coverage.days() if day >= begin and log.coverage.day_status(day) != "missing"]
        for metric in ("dau", "plays"):
            rows = log.session.measure(metric, start=begin, cohort=asked).to_dicts()
            got = {row["period_start"]: row for row in rows if row["value"] is not None}
            want = {}
            for day in since:
                today = [item for item in own if item.local_date == day]
                actors = {item.actor for item in today if default_active(item)}
                plays = sum(item.name == "play" for item in today)
                want[day] = {"value": len(actors) if metric == "dau" else plays}
            agree(got, want, ("value",), (asked, metric))
        rows = log.session.lifecycle(grain="week", start=begin, cohort=asked, warmup_days=0).to_dicts()
        states = lifecycle(own, log.coverage, grain="week", warmup=0)
        got = {(row["period_start"], row["state"]): row for row in rows if row["value"] is not None}
        got = {key: row for key, row in got.items() if key[1] in states[key[0]]}
        agree(got, {key: {"value": states[key[0]][key[1]]} for key in got}, ("value",), asked)
