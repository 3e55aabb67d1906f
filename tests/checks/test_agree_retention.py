"""Retention with every criterion, anchor, unit and cohort: the product against the naive check, on the same logs."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from tests.checks.events import Choice, Event, by_actor, default_active, period_days, start_of
from tests.checks.intervals import wilson
from tests.checks.lifecycle import first_kind
from tests.checks.logs import LOGS, Log, agree, keyed, open_log
from tests.checks.retention import retention

SEED = int(os.environ.get("AGREE_SEED", "1"))


@pytest.fixture(scope="module", params=LOGS)
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    made = open_log(request, SEED)
    with made.session:
        yield made


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
        rows = retention(
            events, log.coverage, cohort_grain=grain, segment=by, numbers=numbers, warmup=0, **asked
        )
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
            assert row["numerator"] in (0, None) and got[key]["value"] is None, key
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
        found.append({**asked, "entry": entry, "return_": return_, "grain": grain, "by": (None, None, "device")[number % 3]})
    return found


def test_every_criterion(log: Log) -> None:
    """All questions of the log by hand, some of them of the others."""
    every = questions()
    asked = every if log.name == "by_hand" else random.Random(SEED).sample(every, 14)
    for one in asked:
        compare(log, log.human, **one)


def test_within(log: Log) -> None:
    for entry, return_ in (("*", "*"), ("open", "play"), ("play", "play")):
        for by in (None, "version"):
            compare(log, log.human, criterion="within", within=WITHIN, entry=entry, return_=return_, grain="week", by=by)
