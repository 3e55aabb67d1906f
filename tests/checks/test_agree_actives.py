"""Active users, lifecycle, stickiness, the power-user curve and sessions: the product against the naive checks."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from tests.checks.active import by_segment, calendar, daily, rolling, rolling_by_period
from tests.checks.events import WORST_FIRST, Event, default_active, period_days, start_of, text
from tests.checks.intervals import ratio_of_sums, wilson
from tests.checks.lifecycle import lifecycle
from tests.checks.logs import Log, agree, keyed
from tests.checks.power_curve import power_curve
from tests.checks.stickiness import stickiness_avg, stickiness_day


def with_value(events: list[Event], name: str, value: str) -> list[Event]:
    return [item for item in events if text(item.props[name]) == value]


def values_of(events: list[Event], name: str) -> list[str]:
    return sorted({text(item.props[name]) for item in events if item.actor is not None and default_active(item)})


METRICS = {"dau": 1, "wau": 7, "mau": 30, "mau_28": 28}


def naive_active(log: Log, metric: str, grain: str, events: list[Event]) -> dict[date, Any]:
    coverage = log.coverage
    if metric in ("wau_cal", "mau_cal", "active_users") and grain != "day":
        return calendar(events, coverage, grain=grain)
    if metric in ("dau", "active_users") and grain == "day":
        return daily(events, coverage)
    if grain == "day":
        return rolling(events, coverage, length=METRICS[metric])
    found = {}
    for first, row in rolling_by_period(events, coverage, length=METRICS[metric], grain=grain).items():
        if row is None:
            continue
        last = period_days(first, grain, week_start=coverage.week_start)[-1]
        end = start_of(last + timedelta(days=1), coverage.timezone)
        timed = "open" if end > coverage.watermark else "provisional" if end > coverage.observed_until else "complete"
        status = min(row["status"], timed, key=WORST_FIRST.index)
        found[first] = {**row, "status": status}
    return found


ACTIVE = [(metric, grain) for metric in (*METRICS, "active_users") for grain in ("day", "week", "month")]
ACTIVE += [("wau_cal", "week"), ("mau_cal", "month")]


@pytest.mark.parametrize("by", [None, "device"])
def test_active_users(log: Log, by: str | None) -> None:
    for metric, grain in ACTIVE if by is None else ACTIVE[::2]:  # the grains by turns
        rows = log.session.measure(metric, grain=grain, by=[by] if by else []).to_dicts()
        if by is None:
            parts = {None: log.events}
        elif by == "event_name":
            names = sorted({item.name for item in log.events if item.actor is not None and default_active(item)})
            parts = {name: [item for item in log.events if item.name == name] for name in names}
        else:
            parts = {value: with_value(log.events, by, value) for value in values_of(log.events, by)}
        for value, events in parts.items():
            want = naive_active(log, metric, grain, events)
            got = keyed([row for row in rows if by is None or row[by] == value], "period_start")
            got = {first: row for first, row in got.items() if first in want}
            agree(got, want, ("value", "numerator", "denominator", "status"), (metric, grain, by, value))
            assert all(row["n"] == row["value"] and row["ci_low"] is None for row in got.values())


def test_average_dau(log: Log) -> None:
    for grain in ("week", "month"):
        by_day = daily(log.events, log.coverage)
        want = {}
        for first in log.coverage.periods(grain):
            days = period_days(first, grain, week_start=log.coverage.week_start)
            own = [by_day[day]["value"] for day in days if day in by_day and by_day[day]["status"] == "complete"]
            want[first] = {
                "value": sum(own) / len(own) if own else None,
                "status": log.coverage.period_status(first, grain),
            }
        agree(
            keyed(log.session.measure("average_dau", grain=grain).to_dicts(), "period_start"),
            want,
            ("value", "status"),
            grain,
        )


STATES = ("active", "new", "new_or_existing", "returning", "resurrected", "churned")


def lifecycle_rows(log: Log, events: list[Event], **rule: Any) -> dict[Any, dict[str, Any]]:
    found = {}
    for first, row in lifecycle(events, log.coverage, **rule).items():
        is_first = first == log.coverage.periods(rule["grain"])[0]
        both = [row["status"], "partial_left" if is_first else row["previous_status"]]
        needs = min(both, key=WORST_FIRST.index)
        for state in (*STATES, "quick_ratio", "churn_rate"):
            alone = state in ("active", "new", "new_or_existing")
            known = row["status"] != "missing" and (alone or (not is_first and row["previous_status"] != "missing"))
            top, below, interval = row.get(state), None, None
            if state == "churn_rate":
                top, below = row["churned"], row["previous"]
                interval = wilson(top, below)
            if state == "quick_ratio":
                top, below = row["new"] + row["resurrected"], row["churned"]
                found_ratio = ratio_of_sums([(1, 0)] * top + [(0, 1)] * below)
                interval = found_ratio[1:] if found_ratio and row["quick_ratio"] is not None else None
            low, high = interval or (None, None)
            found[first, state] = {
                "value": row[state] if known else None,
                "numerator": top if known else None,
                "denominator": below if known else None,
                "ci_low": low if known else None,
                "ci_high": high if known else None,
                "status": row["status"] if alone else needs,
            }
    return found


COLUMNS = ("value", "numerator", "denominator", "ci_low", "ci_high", "status")


@pytest.mark.parametrize("grain", ["day", "week", "month"])
def test_lifecycle(log: Log, grain: str) -> None:
    for options in ({}, {"warmup": 0}, {"new_by": "signup_date"}, {"new_by": "first_any_event", "warmup": 10}):
        asked = {"warmup_days" if name == "warmup" else name: value for name, value in options.items()}
        rows = log.session.lifecycle(grain=grain, **asked).to_dicts()
        want = lifecycle_rows(log, log.human, grain=grain, signup=log.signups, **options)
        agree(keyed(rows, "period_start", "state"), want, COLUMNS, (grain, options))
    rows = log.session.lifecycle(grain=grain, by="device").to_dicts()
    for value in values_of(log.events, "device"):
        got = keyed([row for row in rows if row["device"] == value], "period_start", "state")
        want = lifecycle_rows(log, with_value(log.human, "device", value), grain=grain, signup=log.signups)
        agree(got, want, COLUMNS, (grain, value))


def edge_value(log: Log, name: str, rule: str) -> dict[str, str]:
    """Each actor's value at its first or last active day: at the first or last event that counts of that date."""
    from tests.checks.events import by_actor

    found = {}
    for actor, own in by_actor(log.human).items():
        days = [item.local_date for item in own if default_active(item)]
        if days:
            day = min(days) if rule == "first" else max(days)
            today = [item for item in own if item.local_date == day]
            found[actor] = text((today[0] if rule == "first" else today[-1]).props[name])
    return found


@pytest.mark.parametrize("rule", ["first", "last"])
def test_lifecycle_and_stickiness_by_one_value_an_actor(log: Log, rule: str) -> None:
    value_of = edge_value(log, "device", rule)
    rows = log.session.lifecycle(grain="week", by="device", segment=rule).to_dicts()
    sticky = log.session.stickiness(by="device", segment=rule).to_dicts()
    for value in sorted(set(value_of.values())):
        own = [item for item in log.human if value_of.get(str(item.actor)) == value]
        want = lifecycle_rows(log, own, grain="week", signup=log.signups)
        agree(keyed([row for row in rows if row["device"] == value], "period_start", "state"), want, COLUMNS, value)
        got = keyed([row for row in sticky if row["device"] == value], "period_start")
        agree(got, sticky_rows(log, own, 28), ("value", "numerator", "denominator", "status"), value)


def sticky_rows(log: Log, events: list[Event], length: int) -> dict[date, dict[str, Any]]:
    """The mean over received days."""
    return stickiness_avg(events, log.coverage, length=length)


def test_stickiness(log: Log) -> None:
    names = ("value", "numerator", "denominator", "status")
    for length in (28, 7):
        rows = log.session.stickiness(window_days=length).to_dicts()
        agree(keyed(rows, "period_start"), sticky_rows(log, log.events, length), names, length)
    rows = log.session.stickiness(method="day").to_dicts()
    want = stickiness_day(log.events, log.coverage)
    want = {day: {**row, "ci": wilson(row["numerator"] or 0, row["denominator"] or 0)} for day, row in want.items()}
    agree(keyed(rows, "period_start"), want, names, "day")
    rows = log.session.stickiness(by="device").to_dicts()
    for value in values_of(log.events, "device"):
        want = sticky_rows(log, with_value(log.events, "device", value), 28)
        agree(keyed([row for row in rows if row["device"] == value], "period_start"), want, names, value)


def test_power_curve(log: Log) -> None:
    complete = [day for day in log.coverage.days() if log.coverage.day_status(day) == "complete"]
    for length in (28, 7, 30):
        for at in (None, complete[len(complete) // 2], complete[3]):
            result = log.session.power_curve(window_days=length, at=at)
            want = power_curve(log.events, log.coverage, length=length, at=at)
            rows = {
                j: {
                    "actors": want["exactly"][j]["value"],
                    "value": want["at_least"][j]["share"],
                    "numerator": want["at_least"][j]["value"],
                    "denominator": want["actives"],
                    "ci_low": (wilson(want["at_least"][j]["value"], want["actives"]) or (None, None))[0],
                    "ci_high": (wilson(want["at_least"][j]["value"], want["actives"]) or (None, None))[1],
                    "period_end": want["days"][-1],
                    "status": want["status"],
                }
                for j in want["exactly"]
            }
            agree(keyed(result.to_dicts(), "active_days"), rows, next(iter(rows.values())), (length, at))


def test_measure_with_conditions_dates_and_two_dimensions(log: Log) -> None:
    """Active users where a condition holds; by two dimensions; their sum and what overlaps."""
    first, last = log.coverage.days()[20], log.coverage.days()[50]
    phone = [item for item in log.events if item.props["device"] == "phone"]
    for metric, grain in (("dau", "day"), ("mau_28", "day"), ("active_users", "week"), ("wau", "month")):
        rows = log.session.measure(metric, grain=grain, where="device = 'phone'", start=first, end=last).to_dicts()
        want = naive_active(log, metric, grain, phone)
        got = {day: row for day, row in keyed(rows, "period_start").items() if day in want}
        agree(got, {day: want[day] for day in got}, ("value", "status"), (metric, grain))
    for metric, grain in (("dau", "day"), ("active_users", "month"), ("wau", "day")):
        result = log.session.measure(metric, grain=grain, by=["device", "version"])
        rows = result.to_dicts()
        for device, version in sorted({(row["device"], row["version"]) for row in rows}):
            own = with_value(with_value(log.events, "device", device), "version", version)
            got = keyed([row for row in rows if (row["device"], row["version"]) == (device, version)], "period_start")
            want = naive_active(log, metric, grain, own)
            got = {day: row for day, row in got.items() if day in want}
            agree(got, {day: want[day] for day in got}, ("value", "status"), (metric, grain, device, version))
    totals = keyed(log.session.measure("active_users", grain="week", by="device").totals.to_pylist(), "period_start")
    for day, row in totals.items():
        days = period_days(day, "week", week_start=log.coverage.week_start)
        told = by_segment(log.events, days, dimension="device")
        if row["total"] is not None:
            assert [row[name] for name in ("total", "sum_of_segments", "overlap")] == [
                told[name] for name in ("total", "sum_of_segments", "overlap")
            ]


def test_lifecycle_where(log: Log) -> None:
    """A condition makes only some events active: the partition is of those."""
    phone = [item for item in log.human if item.props["device"] == "phone"]
    rows = log.session.lifecycle(grain="week", where="device = 'phone'").to_dicts()
    want = lifecycle_rows(log, phone, grain="week", signup=log.signups)
    agree(keyed(rows, "period_start", "state"), want, COLUMNS, "where")


def test_stickiness_of_periods_and_its_interval(log: Log) -> None:
    """A week's value is that of its last complete day; the interval is that of a mean over actors' active days."""
    by_day = log.session.stickiness(window_days=7).to_dicts()
    got = keyed(by_day, "period_start")
    received = [day for day in log.coverage.days() if log.coverage.day_status(day) != "missing"]
    for day, row in got.items():
        window = [one for one in received if 0 <= (day - one).days < 7]
        days_of: dict[str, set[date]] = {}
        for item in log.human:
            if item.actor is not None and default_active(item) and item.local_date in window:
                days_of.setdefault(item.actor, set()).add(item.local_date)
        told = ratio_of_sums([(len(days) / len(window), 1) for days in days_of.values()]) if window else None
        low, high = told[1:] if told else (None, None)
        low, high = (None if low is None else max(0.0, low)), (None if high is None else min(1.0, high))
        for name, bound in (("ci_low", low), ("ci_high", high)):  # where all are alike, sums of squares cancel
            assert row[name] == (None if bound is None else pytest.approx(bound, abs=1e-7)), (day, name)
    weeks = keyed(log.session.stickiness(window_days=7, grain="week").to_dicts(), "period_start")
    for first, row in weeks.items():
        days = period_days(first, "week", week_start=log.coverage.week_start)
        complete = [day for day in days if log.coverage.day_status(day) == "complete"]
        if complete and complete[-1] in got:
            assert (row["value"], row["denominator"]) == tuple(
                got[complete[-1]][name] for name in ("value", "denominator")
            )
