"""Activation, adoption and drop-off: the product against the naive checks, on the same logs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.checks.activation import Criterion, activation
from tests.checks.adoption import adoption, version_at_least
from tests.checks.bounce import sessions_of
from tests.checks.dropoff import WatchedSession, dropoff
from tests.checks.events import (
    WORST_FIRST,
    Event,
    by_actor,
    default_active,
    period_days,
    period_first,
    period_index,
    start_of,
    text,
)
from tests.checks.logs import Log, agree, bounds, keyed

DAY = timedelta(days=1)


def with_window(log: Log, first: date, grain: str, window: timedelta) -> str:
    """Status of what begins in a period and takes so long: the worst of the period and of the time after it."""
    coverage = log.coverage
    status = coverage.period_status(first, grain)
    if status == "missing":
        return status
    last = period_days(first, grain, week_start=coverage.week_start)[-1]
    end = start_of(last + DAY, coverage.timezone) + window
    found = [status, "complete"]
    if end > coverage.watermark:
        found.append("open")
    elif end > coverage.observed_until:
        found.append("provisional")
    day = last + DAY
    while start_of(day, coverage.timezone) < end:
        found += ["degraded"] if day in coverage.missing else []
        day += DAY
    return min(found, key=WORST_FIRST.index)


def times(name: str, number: int) -> Criterion:
    return lambda own: sum(item.name == name for item in own) >= number


def first_value(log: Log, name: str) -> dict[str, str]:
    """Each actor's value at its first active event."""
    found = {}
    for actor, own in by_actor(log.human).items():
        active = [item for item in own if default_active(item)]
        if active:
            found[actor] = text(active[0].props[name])
    return found


NAMES = ("value", "numerator", "denominator", "n", "ci_low", "ci_high", "open_actors", "possibly_old", "status")


def activation_rows(log: Log, events: Sequence[Event], grain: str, window: timedelta, **asked: Any) -> dict[Any, Any]:
    rows = {}
    found = activation(events, log.coverage, grain=grain, within=window, **asked)
    for first in log.coverage.periods(grain):
        none = {"value": None, "numerator": 0, "denominator": 0, "size": 0, "new_or_existing": 0}
        row = bounds(found.get(first, none))
        status = with_window(log, first, grain, window)
        told = {"n": row["denominator"], "open_actors": row["size"] - row["denominator"]}
        row |= {**told, "possibly_old": row["new_or_existing"], "status": status}
        if status == "missing":
            row |= dict.fromkeys(NAMES[:-1])
        rows[first] = row
    return rows


@pytest.mark.parametrize("grain", ["day", "month"])
def test_activation(log: Log, grain: str) -> None:
    value_of = first_value(log, "device")
    for name, number, window, warmup in (
        ("play", 1, 7 * DAY, 28),
        ("buy", 1, DAY, 0),
        ("play", 3, 14 * DAY, 10),
        ("open", 1, timedelta(minutes=15), 0),
    ):
        options = {"times": number, "within": window, "warmup": warmup * DAY, "grain": grain}
        rows = log.session.activation(name, **options).to_dicts()
        criterion = times(name, number)
        want = activation_rows(log, log.human, grain, window, criterion=criterion, warmup=warmup)
        agree(keyed(rows, "period_start"), want, NAMES, (name, options))
        rows = log.session.activation(name, by="device", **options).to_dicts()
        for value in sorted(set(value_of.values())):
            own = [item for item in log.human if value_of.get(str(item.actor)) == value]
            want = activation_rows(log, own, grain, window, criterion=criterion, warmup=warmup)
            got = keyed([row for row in rows if row["device"] == value], "period_start")
            if got or any(row["denominator"] for row in want.values()):
                agree(got, want, NAMES, (name, value, options))


def test_activation_by_the_first_session(log: Log) -> None:
    zone = ZoneInfo(log.coverage.timezone)
    first_of: dict[str, list[Event]] = {}
    for session in sessions_of(log.acting, day=lambda at: at.astimezone(zone).date()):
        if any(default_active(item) for item in session):
            actor = str(session[0].actor)
            if actor not in first_of or session[0].at < first_of[actor][0].at:
                first_of[actor] = session

    def first_session(own: Sequence[Event]) -> tuple[Sequence[Event], datetime]:
        session = first_of[str(own[0].actor)]
        return session, session[0].at + DAY

    def watched(own: Sequence[Event]) -> bool:
        return sum(item.props["amount"] or 0 for item in own if item.name == "play") >= 7

    for grain in ("week", "month"):
        rows = log.session.activation(session="watch_seconds >= 7", warmup="0d", grain=grain).to_dicts()
        found = activation(
            log.human, log.coverage, criterion=watched, within=None, first_session=first_session, grain=grain, warmup=0
        )
        want = {first: bounds(row) for first, row in found.items() if first != "all"}
        got = {row["period_start"]: row for row in rows if row["period_start"] in want}
        agree(got, want, ("value", "numerator", "denominator", "ci_low", "ci_high"), grain)


def naive_adoption(log: Log, grain: str, by: str | None, value: str | None, least: str | None) -> dict[Any, Any]:
    events = log.human if by is None else [item for item in log.human if text(item.props[by]) == value]
    eligible = version_at_least(least, field="version") if least else None
    rows = {}
    for first, row in adoption(events, log.coverage, feature="buy", grain=grain, eligible=eligible).items():
        row = bounds(row) | {"n": row["denominator"], "uses_per_adopter": row["depth"]}
        if row["status"] == "missing":
            row |= dict.fromkeys(ADOPTED[:-1])
        rows[first] = row
    return rows


ADOPTED = ("value", "numerator", "denominator", "n", "ci_low", "ci_high", "uses", "uses_per_adopter", "status")


@pytest.mark.parametrize("grain", ["day", "month"])
def test_adoption(log: Log, grain: str) -> None:
    for least in (None, "1.10"):
        options: dict[str, Any] = {"introduced_in": least, "version": "version"} if least else {}
        rows = log.session.adoption("buy", grain=grain, **options).to_dicts()
        agree(keyed(rows, "period_start"), naive_adoption(log, grain, None, None, least), ADOPTED, (grain, least))
        rows = log.session.adoption("buy", grain=grain, by="device", **options).to_dicts()
        for value in sorted({row["device"] for row in rows}):
            got = keyed([row for row in rows if row["device"] == value], "period_start")
            agree(got, naive_adoption(log, grain, "device", value, least), ADOPTED, (grain, least, value))


def triers(log: Log, grain: str, by: str | None, weeks: int) -> dict[Any, dict[str, Any]]:
    """Those whose first use ever lies in a period, by the value of that use: time to adopt and retained adoption."""
    found: dict[Any, dict[str, list[Any]]] = {}
    for own in by_actor(log.human).values():
        uses = [item for item in own if item.name == "buy"]
        active = [item for item in own if default_active(item)]
        if not uses:
            continue
        use = uses[0]
        week_start = log.coverage.week_start
        first = period_first(period_index(use.local_date, grain, week_start=week_start), grain, week_start=week_start)
        cell = found.setdefault((first, text(use.props[by]) if by else ""), {"days": [], "kept": [], "all": []})
        cell["all"].append(use)
        if active and active[0].at <= use.at:
            cell["days"].append((use.at - active[0].at) / DAY)
        begin, end = use.at + weeks * 7 * DAY, use.at + (weeks + 1) * 7 * DAY
        if end <= log.coverage.observed_until:
            cell["kept"].append(any(begin <= item.at < end for item in uses))
    return {
        key: {
            "triers": len(cell["all"]),
            "days_to_adopt_median": median(cell["days"]) if cell["days"] else None,
            "triers_observed": len(cell["kept"]),
            "retained_share": sum(cell["kept"]) / len(cell["kept"]) if cell["kept"] else None,
        }
        for key, cell in found.items()
    }


@pytest.mark.parametrize("by", [None, "device"])
def test_triers(log: Log, by: str | None) -> None:
    for grain, weeks in (("week", 1), ("month", 4)):
        rows = log.session.adoption("buy", grain=grain, weeks=weeks, by=[by] if by else []).to_dicts()
        want = triers(log, grain, by, weeks)
        got = {(row["period_start"], row[by] if by else ""): row for row in rows if row["triers"]}
        agree(got, want, ("triers", "days_to_adopt_median", "triers_observed", "retained_share"), (grain, by))


def test_dropoff(log: Log) -> None:
    zone = ZoneInfo(log.coverage.timezone)
    made = []
    for session in sessions_of(log.acting, day=lambda at: at.astimezone(zone).date()):
        if log.coverage.day_status(session[0].local_date) != "complete":
            continue
        plays = [item for item in session if item.name == "play" and item.props["amount"] is not None]
        seconds = sum(item.props["amount"] for item in plays) if plays else None
        # Of declared watch time sessions keep the sum, and the values of the first watch event: where the one is 0 and
        # the others are null, it cannot be told that there was one.
        if plays and not seconds and plays[0].props["device"] is None and plays[0].props["version"] is None:
            seconds = None
        made.append(WatchedSession(str(session[0].actor), seconds, session[0].props))
    for by, other in (("device", "version"), ("version", "device")):
        rows = log.session.dropoff(by=["device", "version"], threshold_seconds=7).to_dicts()
        got = keyed([row for row in rows if row["dimension"] == by], "segment")
        want = {
            value: {
                **bounds(row),
                "no_watch_share": row["without_watch"],
                "p_value": row["p"],
                "q_value": row.get("q"),
                "difference_low": (row["interval_90"] or (None, None))[0],
                "difference_high": (row["interval_90"] or (None, None))[1],
            }
            for value, row in dropoff(made, by=by, stratify_by=other, threshold=7).items()
        }
        names = ("value", "numerator", "denominator", "ci_low", "ci_high", "no_watch_share", "difference")
        names += ("p_value", "q_value", "difference_low", "difference_high", "verdict")
        agree(got, want, names, by)
