"""Data faults: hand-worked days, the simulator's stories, and the daily tables as a lake gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.analyses.change.streams import FIRST, LAST, ONSET, days_of, events_of, people_away
from tests.session.lakes import build, event, events_with, lines, make_project
from tidelake import session as tl
from tidelake.analyses.change.fault_tables import source_days
from tidelake.analyses.change.faults import Fault, SourceDays, faults, verdict
from tidelake.gold.context import open_gold
from tidelake.sources.simulate.planted import PLANTS

DAYS = [FIRST + timedelta(days=at) for at in range(14)]
NONE = pa.table({"day": pa.array([], pa.date32())})


def table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows])


def given(**parts: Any) -> SourceDays:
    """A source of which only some parts are known; 990 rows a day before the onset, 700 after."""
    counts = table({"day": day, "event_name": "click", "events": 990 if day < ONSET else 700} for day in DAYS)
    known = {"counts": counts, "actors": NONE, "pairs": NONE, "files": NONE, "fields": NONE, "statuses": {}, **parts}
    return SourceDays(source="app", **known)


def found(days: SourceDays) -> tuple[Fault, ...]:
    return faults(days, first=FIRST, onset=ONSET, last=LAST)


# --- days


def test_no_complete_day_after_the_change_is_a_verdict() -> None:
    (fault,) = found(given(statuses={day: "open" if day >= ONSET else "complete" for day in DAYS}))
    assert (fault.kind, fault.first_day, fault.last_day, fault.number) == ("open", ONSET, LAST, 7)
    assert fault.is_verdict
    assert fault.evidence.startswith(
        "2025-11-17 to 2025-11-23 has not ended by what the source has told; no complete day"
    )


def test_single_bad_days_are_said_and_left_out() -> None:
    """Two missing days before are one span, a degraded one after another; neither explains the other six days."""
    bad = {DAYS[2]: "missing", DAYS[3]: "missing", DAYS[9]: "degraded"}
    one, two = found(given(statuses={day: bad.get(day, "complete") for day in DAYS}))
    assert (one.kind, one.first_day, one.last_day, one.is_verdict) == ("missing", DAYS[2], DAYS[3], False)
    assert (two.kind, two.first_day, two.number) == ("degraded", DAYS[9], 1)
    assert verdict([one, two]) is None


# --- refused rows


def files(after: Mapping[str, int]) -> pa.Table:
    """1,000 rows a day of which 10 wait in quarantine; after the onset as said."""
    usual = {"read": 1000, "quarantined": 10, "duplicate": 0}
    return table({"day": day, **(usual if day < ONSET else {**usual, **after})} for day in DAYS)


def test_rows_that_went_to_quarantine_are_the_rows_that_are_missing() -> None:
    """30 % of 7,000 rows wait, 1 % is usual: 2,030 more; 7 x (990 - 700) = 2,030 are missing."""
    (fault,) = found(given(files=files({"quarantined": 300})))
    assert (fault.kind, fault.first_day, fault.last_day) == ("quarantined", ONSET, LAST)
    assert (fault.number, fault.is_verdict) == (pytest.approx(1), True)
    assert "2,100 of 7,000 rows (30.0 %)" in fault.evidence
    assert "2,030 more than usual, where 2,030 rows are missing" in fault.evidence


def test_a_jump_that_explains_little_is_no_verdict() -> None:
    """5 % wait: 280 more than usual, of 2,030 missing."""
    (fault,) = found(given(files=files({"quarantined": 50})))
    assert (fault.number, fault.is_verdict) == (pytest.approx(280 / 2030), False)


def test_more_duplicates_where_nothing_is_missing_are_no_verdict() -> None:
    """A client that sends twice: 1,400 rows, 400 of them duplicates, as many events as before."""
    counts = table({"day": day, "event_name": "click", "events": 990} for day in DAYS)
    (fault,) = found(given(counts=counts, files=files({"read": 1400, "duplicate": 400})))
    assert (fault.kind, fault.is_verdict) == ("duplicates", False)
    (fault,) = found(given(files=files({"duplicate": 290})))  # and one whose ids began anew: its events are refused
    assert (fault.kind, fault.number, fault.is_verdict) == ("duplicates", pytest.approx(1), True)


def test_usual_spread_of_refused_rows_is_no_jump() -> None:
    assert found(given(files=files({"quarantined": 18}))) == ()


# --- fields


def test_fields_that_vanish_and_come() -> None:
    def rows(name: str, before: int, after: int) -> list[dict[str, Any]]:
        return [{"day": day, "field": name, "rows": 1000, "filled": before if day < ONSET else after} for day in DAYS]

    both = [*rows("region", 1000, 20), *rows("model", 0, 900), *rows("device", 1000, 800), *rows("notes", 0, 0)]
    new, gone = found(given(fields=table(both)))
    assert (new.kind, new.first_day, new.evidence) == (
        "field_new",
        ONSET,
        "field model is first filled on 2025-11-17: 90.0 % of rows since, none before",
    )
    assert (gone.kind, gone.number, gone.is_verdict) == ("field_vanished", pytest.approx(0.02), False)
    assert gone.evidence == "field region is filled in 2.0 % of rows, 100.0 % before"


# --- all events at once


def steady(factor: Mapping[str, float], *, actors: float, alike: int, pairs: bool = True) -> SourceDays:
    """Four types of 1,000 a day, 500 actors a day; from the onset on times their factors."""
    names = ("close", "open", "pause", "play")
    counts = [
        {"day": day, "event_name": name, "events": round(1000 * (factor[name] if day >= ONSET else 1))}
        for day in DAYS
        for name in names
    ]
    people = [{"day": day, "actors": round(500 * (actors if day >= ONSET else 1))} for day in DAYS]
    whole = [
        {
            "day": day,
            "first": "close",
            "second": "open",
            "actor_days": 500,
            "alike": alike + at % 2 if day >= ONSET else 480 + at % 2,
        }
        for at, day in enumerate(DAYS)
    ]
    return given(counts=table(counts), actors=table(people), pairs=table(whole) if pairs else NONE)


ALL = dict.fromkeys(("close", "open", "pause", "play"), 0.7)


def test_lost_logs_are_a_verdict() -> None:
    """All types by 30 %, actors by 2 %, and closes no longer match opens: 96 % of actors' days before, 60 % after."""
    (fault,) = found(steady(ALL, actors=0.98, alike=300))
    assert (fault.kind, fault.is_verdict, fault.number) == ("all_events", True, pytest.approx(-0.3))
    assert fault.evidence == (
        "all events changed by -30.0 %, every type alike (-30.0 % to -30.0 %), daily actors by -2.0 %; "
        "close and open are as many on 60 % of actors' days, 96 % before: "
        "a part of the logs is lost, and nothing can be said of what people did"
    )


@pytest.mark.parametrize(
    ("days", "says"),
    [
        (steady(ALL, actors=0.7, alike=480), "people stayed away, or all that some of them sent is lost"),
        (steady(ALL, actors=0.98, alike=480), "people did less of everything, or whole sessions are lost"),
        (steady(ALL, actors=0.98, alike=300, pairs=False), "no two event types go together here"),
        (steady({**ALL, "play": 0.4}, actors=0.98, alike=300), "something else happened as well"),
    ],
)
def test_what_cannot_be_told_is_said_without_a_verdict(days: SourceDays, says: str) -> None:
    (fault,) = found(days)
    assert not fault.is_verdict
    assert says in fault.evidence


@pytest.mark.parametrize(
    "days",
    [
        steady({**ALL, "play": 0.4}, actors=0.98, alike=480),  # plays fell most, and pairs are whole
        steady({**ALL, "open": 1.0}, actors=0.98, alike=300),  # a crash: opens as before, and no close
        steady(dict.fromkeys(ALL, 1.0), actors=1.0, alike=480),
        steady(dict.fromkeys(ALL, 1.3), actors=1.0, alike=480),
    ],
)
def test_a_fall_of_some_types_is_no_fault_of_the_data(days: SourceDays) -> None:
    assert found(days) == ()


@pytest.mark.parametrize("plant", PLANTS)
def test_stories_of_the_simulator(plant: str) -> None:
    check_story(plant, seed=61)


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS)
def test_stories_of_the_simulator_on_many_seeds(plant: str) -> None:
    for seed in range(200, 220):
        check_story(plant, seed=seed)


def check_story(plant: str, *, seed: int) -> None:
    """Only the lost batches are a verdict; other stories change what people do."""
    told = verdict(found(days_of(events_of(plant, users=300, seed=seed))))
    assert (told is not None) == (plant == "tracking_loss"), (plant, seed, told)


@pytest.mark.slow
def test_lost_batches_beside_people_who_stay_away_on_many_seeds() -> None:
    """A third of the actors' days gone is never a verdict; a fifth of the batches is one in most tries."""
    told = 0
    for seed in range(300, 320):
        away = people_away(events_of("nothing", users=300, seed=seed), 1 / 3, seed=seed)
        assert verdict(found(days_of(away))) is None
        told += verdict(found(days_of(events_of("nothing", users=300, seed=seed, lost=0.2)))) is not None
    assert told >= 16


# --- from a lake


def test_daily_tables_of_a_lake(tmp_path: Path) -> None:
    """1 March: ann opens and plays, bob opens; 2 March: ann opens twice (one sent again), one line has no id."""

    def row(number: int, day: int, user: str, name: str, **more: Any) -> dict[str, Any]:
        return event(number, ts=f"2024-03-0{day}T10:00:{number:02d}Z", received=..., user=user, event=name, **more)

    source = events_with(complete="daily_file")
    root = make_project(tmp_path, {"app": source})
    first = [row(1, 1, "ann", "open"), row(2, 1, "ann", "play"), row(3, 1, "bob", "open", country=None)]
    second = [
        row(4, 2, "ann", "open"),
        row(5, 2, "ann", "open"),
        row(5, 2, "ann", "open"),
        row(6, 2, "ann", "x", id=None),
    ]
    (root / "data" / "day_2024-03-01.jsonl").write_text(lines(first), encoding="utf-8")
    (root / "data" / "day_2024-03-02.jsonl").write_text(lines(second), encoding="utf-8")
    build(root)
    one, two, three = (date(2024, 3, day) for day in (1, 2, 3))
    with tl.open(root) as session:
        gold = open_gold(session.engine, session.lake, session.project, session.sources)
        days = source_days(gold, "app", first=one, last=three)
    assert days.counts.to_pylist() == [
        {"day": one, "event_name": "open", "events": 2},
        {"day": one, "event_name": "play", "events": 1},
        {"day": two, "event_name": "open", "events": 2},
    ]
    assert days.actors.to_pylist() == [{"day": one, "actors": 2}, {"day": two, "actors": 1}]
    assert days.pairs.to_pylist() == [
        {"day": one, "first": "open", "second": "play", "actor_days": 2, "alike": 1},
        {"day": two, "first": "open", "second": "play", "actor_days": 1, "alike": 0},
    ]
    assert days.files.to_pylist() == [
        {"day": one, "read": 3, "quarantined": 0, "duplicate": 0},
        {"day": two, "read": 4, "quarantined": 1, "duplicate": 1},
    ]
    filled = {(row["day"], row["field"]): (row["rows"], row["filled"]) for row in days.fields.to_pylist()}
    assert filled[one, "country"][0] == 3
    assert filled[one, "actor_id"] == (3, 3)
    assert days.statuses[one] == "complete"
    assert list(days.statuses.values()) == ["complete", "complete", "open"]


def test_a_source_without_a_build_has_empty_tables(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    with tl.open(root) as session:
        gold = open_gold(session.engine, session.lake, session.project, session.sources)
        days = source_days(gold, "app", first=FIRST, last=LAST)
    assert [days.counts.num_rows, days.actors.num_rows, days.pairs.num_rows, days.files.num_rows] == [0, 0, 0, 0]
    assert verdict(found(replace(days, statuses={}))) is None
