"""Streaks, spikes, weekdays, diversity, revenue, inactive actors and sessions: the product against the naive checks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from statistics import median, quantiles
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.checks.bounce import sessions_of
from tests.checks.diversity import diversity
from tests.checks.events import UNKNOWN, Event, period_days, text
from tests.checks.inactive import automatic_k, inactive
from tests.checks.intervals import quantile_bounds, ratio_of_sums
from tests.checks.logs import SEED, Log, agree, keyed, make
from tests.checks.revenue import priced, revenue
from tests.checks.spikes import spikes
from tests.checks.streaks import streak_lengths, streaks
from tests.checks.weekdays import gaps, weekday_profile
from tidelake.metrics.inactive import inactive as ask_inactive

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def daily(log: Log, by: str | None) -> dict[str, dict[date, tuple[str, float | None]]]:
    """(status, number of events) of every day, by value of a dimension: from its first event on."""
    values = sorted({text(item.props[by]) for item in log.human}) if by else [""]
    found: dict[str, dict[date, tuple[str, float | None]]] = {value: {} for value in values}
    for value in values:
        own = [item.local_date for item in log.human if not by or text(item.props[by]) == value]
        for day in log.coverage.days():
            if by and day < min(own):
                continue
            status = log.coverage.day_status(day)
            found[value][day] = (status, None if status == "missing" else own.count(day))
    return found


def known_streak(status: str, value: float | None, threshold: float) -> tuple[str, float | None]:
    """A day that may still grow belongs to a streak as soon as it is above the threshold; below it tells nothing."""
    is_told = status in ("complete", "missing") or (value is not None and value > threshold)
    return (status, value) if is_told else ("missing", None)


@pytest.mark.parametrize("by", [None, "device"])
def test_streaks_spikes_and_weekdays(log: Log, by: str | None) -> None:
    options: dict[str, Any] = {"by": [by]} if by else {}
    days_of = daily(log, by)
    for threshold in (0, 2, 6):
        asked = log.session.streaks("events", threshold=threshold, **options)
        got = keyed(
            [{**row, "key": row[by] if by else ""} for row in asked.to_dicts()],
            "key",
        )
        want = {}
        for value, days in days_of.items():
            told_of = {day: known_streak(*pair, threshold) for day, pair in days.items()}
            unsure = [day for day in log.coverage.days() if log.coverage.day_status(day) != "complete"]
            told_of |= {day: ("missing", None) for day in unsure if day < min(days)}  # it may have been there
            runs = streaks(told_of, first=log.coverage.first, last=max(days), threshold=threshold)
            told = [
                type(run)(run.first, run.length, run.is_censored or run.is_cut_at_start, run.is_cut_at_start)
                for run in runs
            ]
            numbers = streak_lengths(told)
            is_any = numbers["censored"] > 0
            want[value] = {
                "n": numbers["n"],
                "censored": numbers["censored"],
                "mean_days": numbers["mean"],
                "median_days": numbers["median"],
                "mean_days_whole": numbers["mean_uncensored"],
                "median_days_whole": numbers["median_uncensored"],
                "longest_days": max((run.length for run in runs), default=None),
                "value": numbers["kaplan_meier_median"] if is_any else numbers["median"],
                "zero_days": sum(pair == ("complete", 0) for pair in days.values()),
                "longest_gap_days": gaps(
                    {day: pair if pair[0] == "complete" else ("open", None) for day, pair in days.items()},
                    first=min(days),
                    last=max(days),
                )["longest_zero"],
                "missing_days": sum(status == "missing" for status, _ in days.values()),
            }
        agree(got, want, next(iter(want.values())), (by, threshold))
    for limit in (1.0, 2.0, 5.0):
        rows = log.session.spikes("events", z=limit, **options).to_dicts()
        got = {(row[by] if by else "", row["period_start"]): row for row in rows}
        want = {}
        for value, days in days_of.items():
            values = {day: number for day, (status, number) in days.items() if status == "complete"}
            for day, row in spikes(values, limit=limit, at_least=8).items():
                if row["is_spike"]:
                    direction = "up" if row["z"] > 0 else "down"
                    want[value, day] = {"value": values[day], "z": row["z"], "direction": direction}
        assert set(got) == set(want), (by, limit)
        if got:
            agree(got, want, ("value", "z", "direction"), (by, limit))
    rows = log.session.weekdays("events", **options).to_dicts()
    got = {(row[by] if by else "", row["weekday"]): row for row in rows}
    want = {}
    for value, days in days_of.items():
        complete = {day: number for day, (status, number) in days.items() if status == "complete"}
        for number, row in weekday_profile(complete, week_start=log.coverage.week_start).items():
            if row["weeks"]:
                want[value, WEEKDAYS[number - 1]] = {"value": row["value"], "n": row["weeks"]}
    assert bool(got) == bool(want)
    if got:  # there may be no complete week
        agree(got, want, ("value", "n"), by)


def amounts(log: Log, metric: str) -> list[tuple[Event, float]]:
    """What each event adds to a metric."""
    if metric == "events":
        return [(item, 1) for item in log.human]
    if metric == "plays":
        return [(item, 1) for item in log.human if item.name == "play"]
    own = log.human if metric == "amount" else log.acting
    return [(item, item.props["amount"]) for item in own if item.name == "play" and item.props["amount"] is not None]


@pytest.mark.parametrize("metric", ["events", "plays", "amount", "watch_seconds"])
def test_diversity(log: Log, metric: str) -> None:
    for grain in ("day", "week", "month"):
        for of, by in (("device", None), ("event_name", None), ("version", "device")):
            if metric == "watch_seconds" and of == "event_name":
                continue
            rows = log.session.diversity(metric, of=of, grain=grain, top_k=2, by=[by] if by else []).to_dicts()
            got = {(row[by] if by else "", row["period_start"]): row for row in rows}
            want = {}
            facts = amounts(log, metric)
            for value in sorted({text(item.props[by]) for item, _ in facts}) if by else [""]:
                for first in log.coverage.periods(grain):
                    days = set(period_days(first, grain, week_start=log.coverage.week_start))
                    sums: dict[str, float] = {}
                    for item, amount in facts:
                        if item.local_date in days and (not by or text(item.props[by]) == value):
                            name = item.name if of == "event_name" else text(item.props[of])
                            sums[name] = sums.get(name, 0) + amount
                    row = diversity(sums.values(), k=2)
                    is_known = row["hhi"] is not None
                    want[value, first] = {
                        "value": row["diversity"],
                        "hhi": row["hhi"],
                        "effective_number": row["effective_number"],
                        "shannon": row["shannon"],
                        "shannon_exponential": row["exp_shannon"],
                        "top_k_share": row["top_k_share"],
                        "denominator": row["total"] if is_known else None,
                        "n": sum(amount > 0 for amount in sums.values()) if is_known else None,
                        "status": log.coverage.period_status(first, grain),
                    }
            agree(got, want, next(iter(want.values())), (metric, grain, of, by))


@pytest.mark.parametrize("metric", ["events", "plays", "amount"])
def test_sums(log: Log, metric: str) -> None:
    for grain in ("day", "week", "month"):
        for by in (None, "device"):
            rows = log.session.measure(metric, grain=grain, by=[by] if by else []).to_dicts()
            got = {(row[by] if by else "", row["period_start"]): row for row in rows}
            facts = amounts(log, metric)
            values = sorted({row[by] for row in rows}) if by else [""]
            want = {}
            for value in values:
                for first in log.coverage.periods(grain):
                    days = set(period_days(first, grain, week_start=log.coverage.week_start))
                    status = log.coverage.period_status(first, grain)
                    total = sum(
                        amount
                        for item, amount in facts
                        if item.local_date in days and (not by or text(item.props[by]) == value)
                    )
                    want[value, first] = {"value": None if status == "missing" else total, "status": status}
            agree(got, want, ("value", "status"), (metric, grain, by))


def test_revenue(log: Log) -> None:
    for grain in ("day", "week", "month"):
        for by in (None, "device"):
            rows = log.session.revenue("buy", grain=grain, by=[by] if by else []).to_dicts()
            got = {(row["period_start"], row[by] if by else UNKNOWN, row["currency"]): row for row in rows}
            sold = [item for item in log.human if item.name == "buy"]
            sales = priced(sold, category=by) if by else priced(sold)
            want = {}
            for (first, category, currency), row in revenue(sales, log.coverage, grain=grain).items():
                is_priced = row["rows"] > row["unpriced"]
                want[first, category, currency or UNKNOWN] = {
                    "value": float(row["value"]) if is_priced else None,
                    "gross_revenue": float(row["gross"]) if is_priced else None,
                    "refunds": float(row["refunds"]) if is_priced else None,
                    "n": row["rows"],
                    "unpriced": row["unpriced"],
                    "status": row["status"],
                }
            empty = {key: row for key, row in got.items() if key not in want}
            assert all(row["value"] == (None if row["status"] == "missing" else 0) for row in empty.values())
            agree({key: row for key, row in got.items() if key in want}, want, next(iter(want.values())), (grain, by))


def test_inactive(log: Log) -> None:
    session = log.session
    days = log.coverage.days()
    for k in (1, 7, 28):
        asked = ask_inactive(
            session.engine, session.lake, session.project, session.sources, k=k, start=days[0], end=days[-1]
        )
        want = inactive(log.human, log.coverage, k=k)
        agree(keyed(asked.to_dicts(), "period_start"), want, ("value", "numerator", "denominator", "status"), k)
    last = max(day for day in days if log.coverage.day_status(day) not in ("open", "provisional"))
    expected = automatic_k(log.human, last)
    if expected is not None:
        found = ask_inactive(session.engine, session.lake, session.project, session.sources, k="auto")
        assert found.to_dicts()[0]["k"] == expected


# --- sessions


def session_row(sessions: list[list[Event]]) -> dict[str, Any]:
    lengths = sorted((own[-1].at - own[0].at).total_seconds() for own in sessions)
    pairs: dict[str, list[float]] = {}
    for own in sessions:
        pair = pairs.setdefault(str(own[0].actor), [0.0, 0.0])
        pair[0] += (own[-1].at - own[0].at).total_seconds()
        pair[1] += 1
    ratio = ratio_of_sums([(pair[0], pair[1]) for pair in pairs.values()])
    durations = [(str(own[0].actor), (own[-1].at - own[0].at).total_seconds()) for own in sessions]
    watched = [item.props["amount"] for own in sessions for item in own if item.name == "play"]
    p90 = lengths[0] if len(lengths) == 1 else quantiles(lengths, n=10, method="inclusive")[8] if lengths else None
    return {
        "sessions": len(lengths),
        "session_duration": sum(lengths) / len(lengths) if lengths else None,
        "session_duration_median": median(lengths) if lengths else None,
        "session_duration_p90": p90,
        "watch_seconds": sum(amount for amount in watched if amount is not None),
        "bounds": {
            "session_duration": ratio[1:] if ratio else (None, None),
            "session_duration_median": quantile_bounds(durations, 0.5),
            "session_duration_p90": quantile_bounds(durations, 0.9),
        },
    }


SESSION_METRICS = ("sessions", "session_duration", "session_duration_median", "session_duration_p90", "watch_seconds")


def compare_sessions(log: Log, **rules: Any) -> None:
    zone = ZoneInfo(log.coverage.timezone)
    made = sessions_of(log.acting, day=lambda at: at.astimezone(zone).date(), **rules)
    for grain, by in (("day", None), ("week", "device")):
        values = sorted({text(own[0].props[by]) for own in made}) if by else [None]
        for metric in SESSION_METRICS:
            rows = log.session.measure(metric, grain=grain, by=[by] if by else []).to_dicts()
            got = {(row[by] if by else None, row["period_start"]): row for row in rows}
            want = {}
            for value in values:
                for first in log.coverage.periods(grain):
                    days = set(period_days(first, grain, week_start=log.coverage.week_start))
                    own = [
                        one
                        for one in made
                        if one[0].local_date in days and (by is None or text(one[0].props[by]) == value)
                    ]
                    row = session_row(own)
                    status = log.coverage.period_status(first, grain)
                    low, high = row["bounds"].get(metric, (None, None))
                    want[value, first] = {
                        "value": None if status == "missing" else row[metric],
                        "status": status,
                        "ci_low": low,
                        "ci_high": high,
                    }
            agree(got, want, ("value", "status", "ci_low", "ci_high"), (rules, grain, by, metric))


def test_sessions(log: Log) -> None:
    compare_sessions(log)


RULES: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"timeout": "15m", "split_at_midnight": True}, {"timeout": timedelta(minutes=15), "midnight": True}),
    ({"timeout": "4h", "cap": "6h"}, {"timeout": timedelta(hours=4), "cap": timedelta(hours=6)}),
    ({"timeout": "1h", "split_by": ["device"]}, {"timeout": timedelta(hours=1), "split_by": ("device",)}),
)


@pytest.mark.parametrize(("settings", "rules"), RULES)
def test_other_rules_of_sessions(
    tmp_path_factory: pytest.TempPathFactory, settings: Mapping[str, Any], rules: Mapping[str, Any]
) -> None:
    root = tmp_path_factory.mktemp("rules")
    made = make("by_hand", root / "project", root, SEED + 1, session=dict(settings))
    with made.session:
        compare_sessions(made, **rules)
