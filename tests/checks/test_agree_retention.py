"""Retention with every criterion, anchor, unit and cohort: the product against the naive check, on the same logs."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.checks.bounce import sessions_of
from tests.checks.events import Choice, Event, by_actor, default_active, period_days, start_of
from tests.checks.intervals import wilson
from tests.checks.lifecycle import first_kind
from tests.checks.logs import SEED, Log, agree, keyed
from tests.checks.retention import pooled, retention

HOURS = timedelta(hours=1)
CRITERIA: dict[str, dict[str, Any]] = {
    "on": {},
    "on_or_before": {},
    "on_or_after": {"horizon": 7},
    "streak": {},
    "bracket": {"brackets": [(0, 0), (1, 3), (2, 6), (5, 5)]},
}
WITHIN = [(0 * HOURS, 72 * HOURS), (24 * HOURS, 48 * HOURS), (0 * HOURS, HOURS / 4), (HOURS, 30 * 24 * HOURS)]
NAMES = ("value", "numerator", "denominator", "size", "numerator_so_far", "ci_low", "ci_high", "n", "status")


def naive(events: list[Event], log: Log, *, grain: str, by: str | None = None, **asked: Any) -> dict[Any, Any]:
    """Rows of the check by (first date of the cohort, number of the cell[, segment])."""
    places = {"bracket": asked.get("brackets"), "within": asked.get("within")}.get(asked["criterion"])
    if asked["criterion"] == "within":
        found = {}
        for place, span in enumerate(asked["within"]):
            rows = retention(
                events, log.coverage, cohort_grain=grain, segment=by, warmup=0, **{**asked, "within": span}
            )
            found |= {(key[0], place, *key[2:]): row for key, row in rows.items() if isinstance(key, tuple)}
    else:
        numbers = range(1 if asked["criterion"] == "streak" else 0, 8)
        rows = retention(events, log.coverage, cohort_grain=grain, segment=by, numbers=numbers, warmup=0, **asked)
        found = {
            (key[0], places.index(key[1]) if places else key[1], *key[2:]): row
            for key, row in rows.items()
            if isinstance(key, tuple)
        }
    rows = {}
    for key, row in found.items():
        low, high = row["interval"] or (None, None)
        if asked.get("cohort") == "recurring" and row["value"] is not None:
            low, high = wilson(row["numerator"], row["eligible"]) or (None, None)  # once in each of its cohorts
        is_known = row["value"] is not None
        rows[key] = {
            **row,
            "n": row["eligible"],
            "numerator": row["numerator"] if is_known else None,
            "numerator_so_far": row["returned_not_eligible"],
            "ci_low": low if is_known else None,
            "ci_high": high if is_known else None,
            "status": row["status"],
        }
    return rows


def is_growing(log: Log, first: Any, grain: str) -> bool:
    """Whether the cohort's own period runs."""
    last = period_days(first, grain, week_start=log.coverage.week_start)[-1]
    return start_of(last + timedelta(days=1), log.coverage.timezone) > log.coverage.observed_until


def compare(log: Log, events: list[Event], *, by: str | None = None, source: str = "entry", **asked: Any) -> None:
    options = {name: value for name, value in asked.items() if name not in ("entry", "return_")}
    entry, return_ = asked.get("entry", "*"), asked.get("return_", "*")
    grain = options.pop("grain", "week")
    given = {**options, "warmup_days": options.pop("warmup", 0), "entry": entry, "return": return_, "grain": grain}
    given.pop("warmup", None)
    if options["criterion"] == "within":
        given |= {"within": options["within"]}
    result = log.session.retention(by=[by] if by else [], **given)
    rows = [row for row in result.to_dicts() if row["cohort_source"] == source]
    got = keyed(rows, "cohort_start", "period", *([by] if by else []))
    choices: dict[str, Choice] = {"*": default_active}
    want = naive(
        events,
        log,
        grain=grain,
        by=by,
        **{**options, "entry": choices.get(entry, entry), "return_": choices.get(return_, return_)},
    )
    for key, row in want.items():
        if is_growing(log, key[0], grain) and row["status"] == "complete":
            row["status"] = "partial_cohort"  # more members may come
        if key in got and got[key]["status"] == "missing":  # no day of the cell was received: a zero is none
            assert (row["numerator"] or 0, got[key]["value"]) == (0, None), key
            want[key] = {**row, **{name: got[key][name] for name in NAMES}}
    agree(got, want, NAMES, (by, given))


def questions() -> list[dict[str, Any]]:
    """Every criterion with every unit and anchor, of both kinds of cohorts, by none and by one dimension."""
    found = []
    events = (("*", "*"), ("open", "play"), ("play", "play"), ("open", "*"))
    for number, (unit, anchor, criterion, cohort) in enumerate(
        product(("hour", "day", "week", "month"), ("calendar", "elapsed"), CRITERIA, ("first", "recurring"))
    ):
        entry, return_ = events[number % 4]
        grain = ("day" if unit == "hour" else unit) if cohort == "recurring" else ("day", "week", "month")[number % 3]
        if unit == "hour" and cohort == "recurring":
            continue  # cohorts by hour have no date of their own
        asked = {"unit": unit, "anchor": anchor, "criterion": criterion, "cohort": cohort, **CRITERIA[criterion]}
        found.append(
            {**asked, "entry": entry, "return_": return_, "grain": grain, "by": (None, None, "device")[number % 3]}
        )
    return found


def test_every_criterion(log: Log) -> None:
    """Many of the questions of the log by hand, some of the others; other seeds choose others."""
    every = questions()
    asked = random.Random(f"{SEED} {log.name}").sample(every, 32 if log.name == "by_hand" else 6)
    for one in asked:
        compare(log, log.human, **one)


def test_within(log: Log) -> None:
    for entry, return_ in (("*", "*"), ("open", "play"), ("play", "play")):
        for by in (None, "version"):
            compare(
                log, log.human, criterion="within", within=WITHIN, entry=entry, return_=return_, grain="week", by=by
            )


def adjusted(log: Log, rows: dict[Any, Any], got: dict[Any, Any], grain: str) -> dict[Any, Any]:
    """The check's rows, with what the page says of cohorts that grow and of cells that were not received."""
    return {
        key: {**row, "status": "partial_cohort"}
        if row["status"] == "complete" and is_growing(log, key[0], grain)
        else {**row, "status": "missing"}
        if got[key]["status"] == "missing"
        else row
        for key, row in rows.items()
        if isinstance(key, tuple)
    }


@pytest.mark.parametrize("cohort", ["first", "recurring"])
def test_averages(log: Log, cohort: str) -> None:
    """Over complete cells: pooled with its interval, and simple."""
    for unit, anchor, grain in (("week", "calendar", "week"), ("day", "elapsed", "day")):
        asked = {"unit": unit, "anchor": anchor, "cohort": cohort, "entry": "open", "return": "play", "grain": grain}
        result = log.session.retention(warmup_days=0, **asked)
        got = keyed(result.to_dicts(), "cohort_start", "period")
        rows = retention(
            log.human,
            log.coverage,
            unit=unit,
            anchor=anchor,
            cohort=cohort,
            cohort_grain=grain,
            warmup=0,
            entry="open",
            return_="play",
        )
        averages = keyed(result.averages.to_pylist(), "period")
        want = {}
        for number, row in pooled(adjusted(log, rows, got, grain)).items():
            both = wilson(row["numerator"], row["denominator"])
            if cohort == "recurring":
                both = (row["interval"] or (None, None, None))[1:]
            low, high = both or (None, None)
            low, high = (None if low is None else max(0.0, low)), (None if high is None else min(1.0, high))
            want[number] = {
                **row,
                "pooled": row["value"],
                "cohorts": len(row["cohorts"]),
                "ci_low": low,
                "ci_high": high,
            }
        names = ("pooled", "simple", "numerator", "denominator", "cohorts", "ci_low", "ci_high")
        agree(averages, want, names, asked)


def test_early_entries_stand_apart(log: Log) -> None:
    """Whose first entry lies within the warmup is `new_or_existing`, the others are `entry`."""
    is_early = {}
    for actor, own in by_actor(log.human).items():
        entries = [item for item in own if item.name == "open"]
        if entries:
            kind = first_kind(entries, log.coverage, warmup=28, active=lambda _: True)
            is_early[actor] = kind == "new_or_existing"
    for source, early in (("entry", False), ("new_or_existing", True)):
        events = [item for item in log.human if is_early.get(str(item.actor)) is early]
        if events:
            compare(
                log,
                events,
                source=source,
                unit="week",
                criterion="on",
                entry="open",
                return_="*",
                grain="week",
                anchor="calendar",
                warmup=28,
            )


def test_by_signup(log: Log) -> None:
    """Cohorts that begin within the history; before it nothing could be seen of anybody."""
    for unit, anchor, criterion, grain in (
        ("week", "elapsed", "on", "month"),
        ("day", "calendar", "on_or_before", "week"),
        ("week", "calendar", "streak", "week"),
        ("month", "elapsed", "on", "week"),
    ):
        asked = {"unit": unit, "anchor": anchor, "criterion": criterion}
        result = log.session.retention(cohort_by="users.signup_date", grain=grain, warmup_days=0, **asked)
        for source in ("signup_date", "first_seen"):
            is_signup = source == "signup_date"
            events = [item for item in log.human if (item.actor in log.signups) is is_signup]
            want = naive(
                events, log, grain=grain, cohort_by="signup_date", signup=log.signups if is_signup else {}, **asked
            )
            want = {key: row for key, row in want.items() if key[0] >= log.coverage.first}
            got = keyed([row for row in result.to_dicts() if row["cohort_source"] == source], "cohort_start", "period")
            got = {key: row for key, row in got.items() if key[0] >= log.coverage.first}
            for key, row in want.items():
                if is_growing(log, key[0], grain) and row["status"] == "complete":
                    row["status"] = "partial_cohort"
                if key in got and got[key]["status"] == "missing":
                    want[key] = {**row, **{name: got[key][name] for name in NAMES}}
            if want or got:
                agree(got, want, NAMES, (source, asked))


def test_return_with_the_value_of_the_entry(log: Log) -> None:
    for unit, anchor in (("day", "calendar"), ("week", "elapsed"), ("week", "calendar")):
        for entry, return_ in (("open", "play"), ("*", "*")):
            compare(
                log,
                log.human,
                by="device",
                unit=unit,
                anchor=anchor,
                criterion="on",
                match_on_return=True,
                entry=entry,
                return_=return_,
                grain="month",
            )


def test_another_session(log: Log) -> None:
    """`fact: session`: an entry and a return are sessions."""
    zone = ZoneInfo(log.coverage.timezone)
    made = sessions_of(log.acting, day=lambda at: at.astimezone(zone).date())
    events = [replace(own[0], name="session", seq=None, event_id=None) for own in made]
    asked: dict[str, Any] = {"criterion": "within", "within": WITHIN}
    want = naive(events, log, grain="week", entry="session", return_="session", **asked)
    rows = log.session.retention(fact="session", grain="week", warmup_days=0, **asked).to_dicts()
    for key, row in want.items():
        if is_growing(log, key[0], "week") and row["status"] == "complete":
            row["status"] = "partial_cohort"
    got = keyed(rows, "cohort_start", "period")
    for key, row in got.items():
        if row["status"] == "missing" and key in want:
            want[key] = {**want[key], **{name: row[name] for name in NAMES}}
    agree(got, want, NAMES, "sessions")


def test_conditions_and_dates(log: Log) -> None:
    """`where` chooses the events, `start` and `end` the cohorts."""
    phone = [item for item in log.human if item.props["device"] == "phone"]
    first, last = date(2024, 11, 4), date(2024, 12, 8)
    for cohort in ("first", "recurring"):
        asked: dict[str, Any] = {"unit": "day", "anchor": "calendar", "criterion": "on", "cohort": cohort}
        rows = log.session.retention(
            where="device = 'phone'", start=first, end=last, grain="day", warmup_days=0, **asked
        ).to_dicts()
        want = naive(phone, log, grain="day", entry=default_active, return_=default_active, **asked)
        want = {key: row for key, row in want.items() if first <= key[0] <= last}
        got = keyed(rows, "cohort_start", "period")
        for key, row in got.items():
            if row["status"] == "missing" and key in want:
                want[key] = {**want[key], **{name: row[name] for name in NAMES}}
        agree(got, want, NAMES, asked)
