"""Lifecycle: by hand, against sets in plain Python, and its two identities."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gold.tiny import Tiny
from tests.metrics.user_base import COLUMNS, SETTINGS, active_on, events_of, period_of, random_activity, states_of
from tidelake.contracts.source import source_from
from tidelake.errors import DefinitionError, LedgerError, QueryError, UnknownNameError
from tidelake.metrics.kinds.lifecycle import Counts, checked, counts_sql, placed_sql
from tidelake.metrics.lifecycle import STATES, LifecycleResult, lifecycle, lifecycle_members

COUNTED = STATES[:6]


def ask(tiny: Tiny, **options: Any) -> LifecycleResult:
    return tiny.ask(lifecycle, **options)


def table(result: LifecycleResult, *by: str) -> dict[Any, dict[str, float | None]]:
    """The values by period (and segment) and state."""
    found: dict[Any, dict[str, float | None]] = {}
    for row in result.to_dicts():
        key = (row["period_start"], *(row[name] for name in by)) if by else row["period_start"]
        found.setdefault(key, {})[row["state"]] = row["value"]
    return found


def seen(actor: str, *days: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"event_time": f"{day} 10:00", "actor_id": actor, "event_id": f"{actor}{day}{len(more)}", **more}
        for day in days
    ]


# Weeks that begin on Monday 23 and 30 December 2024, 6 and 13 January 2025.
WEEKS = [date(2024, 12, 23), date(2024, 12, 30), date(2025, 1, 6), date(2025, 1, 13)]
ACTORS = [
    *seen("ann", "2024-12-23", "2024-12-31", "2025-01-07", "2025-01-13"),
    *seen("bob", "2024-12-29", "2025-01-12"),
    *seen("cyd", "2024-12-31", "2025-01-01"),  # two days, one week over New Year
    *seen("dan", "2025-01-12", "2025-01-18"),
    *seen("eve", "2025-01-07", traffic_class="bot"),
    *seen("eve", "2025-01-13"),
]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as made:
        made.add([*ACTORS, *_passive("2024-12-23", "2025-01-19")])
        made.build()
        yield made


def _passive(first: str, last: str) -> list[dict[str, Any]]:
    """An event of nobody on every date, so that each was received."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    days = [date.fromordinal(number) for number in range(start.toordinal(), end.toordinal() + 1)]
    return [{"event_time": f"{day} 23:00", "event_id": f"n{day}", "actor_id": None} for day in days]


def test_weeks_over_new_year_by_hand(tiny: Tiny) -> None:
    """Warmup 7: ann and bob came in the first week of the data, so whether they are new cannot be known.

    Week 2 (30 December): ann returns, cyd is new, bob is gone: churn 1 of 2, quick ratio (1 + 0) / 1.
    Week 3: ann returns, bob is back, dan is new, cyd is gone: churn 1 of 2, quick ratio (1 + 1) / 1.
    Week 4: ann and dan return, eve (a bot before) is new, bob is gone: 1 of 3, (1 + 0) / 1; it has not ended.
    """
    result = ask(tiny, warmup_days=7)
    rows = table(result)
    names = ("active", "new", "new_or_existing", "returning", "resurrected", "churned", "quick_ratio", "churn_rate")
    assert [tuple(rows[week][name] for name in names) for week in WEEKS] == [
        (2, 0, 2, None, None, None, None, None),
        (2, 1, 0, 1, 0, 1, 1, 0.5),
        (3, 1, 0, 1, 1, 1, 2, 0.5),
        (3, 1, 0, 2, 0, 1, 1, pytest.approx(1 / 3)),
    ]
    statuses = {(row["period_start"], row["state"]): row["status"] for row in result.to_dicts()}
    assert statuses[WEEKS[0], "new"] == "complete"
    assert statuses[WEEKS[0], "churned"] == "partial_left"
    assert statuses[WEEKS[1], "churned"] == "complete"
    assert statuses[WEEKS[3], "churned"] == "open"  # the data end on Sunday at 23:00


def test_churn_rate_has_wilsons_interval(tiny: Tiny) -> None:
    """1 of 2: z = 1.96, middle (.5 + z²/4) / (1 + z²/2) = .5, half z sqrt(1/8 + z²/16) / (1 + z²/2) = .4055."""
    row = next(
        r for r in ask(tiny, warmup_days=7, start=WEEKS[1], end=WEEKS[1]).to_dicts() if r["state"] == "churn_rate"
    )
    assert (row["numerator"], row["denominator"], row["n"]) == (1, 2, 2)
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(0.0945, abs=1e-4), pytest.approx(0.9055, abs=1e-4))


def test_the_period_asked_for_knows_what_came_before(tiny: Tiny) -> None:
    whole, part = table(ask(tiny)), table(ask(tiny, start=WEEKS[2], end=WEEKS[2]))
    assert part == {WEEKS[2]: whole[WEEKS[2]]}


def test_quick_ratio_is_null_while_new_ones_may_be_old(tiny: Tiny) -> None:
    """With a warmup of 28 days cyd may have come before the data begin."""
    row = table(ask(tiny))[WEEKS[1]]
    assert (row["new"], row["new_or_existing"], row["quick_ratio"], row["churn_rate"]) == (0, 1, None, 0.5)


def test_weeks_from_sunday(tmp_path: Path) -> None:
    """From Sunday 29 December bob's first day lies in ann's second week: bob is a first of it, and nobody is gone."""
    with Tiny(tmp_path, {**SETTINGS, "week_start": "sunday"}, columns=COLUMNS) as tiny:
        tiny.add([*ACTORS, *_passive("2024-12-23", "2025-01-19")])
        tiny.build()
        rows = table(ask(tiny, warmup_days=6))
        assert list(rows)[:2] == [date(2024, 12, 22), date(2024, 12, 29)]
        row = rows[date(2024, 12, 29)]
        assert (row["active"], row["new"], row["returning"], row["churned"]) == (3, 2, 1, 0)
        assert row["quick_ratio"] is None  # nobody churned
        first = next(r for r in ask(tiny).to_dicts() if r["state"] == "active")
        assert first["status"] == "partial_left"


def test_a_missing_week_is_never_zero_and_hides_what_needs_it(tmp_path: Path) -> None:
    """Nothing came from 30 December to 5 January: who was there the week before is not known of 6 January."""
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add([*seen("ann", "2024-12-23", "2025-01-07"), *_passive("2024-12-23", "2024-12-29")])
        tiny.add([*seen("bob", "2025-01-08"), *_passive("2025-01-06", "2025-01-14")])
        tiny.build()
        result = ask(tiny, warmup_days=7)
        rows = table(result)
        assert set(rows[WEEKS[1]].values()) == {None}
        assert (rows[WEEKS[2]]["active"], rows[WEEKS[2]]["new"]) == (2, 1)
        assert {rows[WEEKS[2]][name] for name in STATES[3:]} == {None}
        statuses = {(row["period_start"], row["state"]): row["status"] for row in result.to_dicts()}
        assert statuses[WEEKS[2], "active"] == "complete"
        assert statuses[WEEKS[2], "returning"] == "missing"


def test_a_week_that_waits_for_a_build_is_open_and_has_no_number(tiny: Tiny) -> None:
    """A late event of the third week: that week and what needs it are not known until gold has it."""
    tiny.add(seen("fay", "2025-01-08"))
    result = ask(tiny, warmup_days=7)
    rows = table(result)
    assert set(rows[WEEKS[2]].values()) == {None}
    assert (rows[WEEKS[1]]["active"], rows[WEEKS[3]]["active"], rows[WEEKS[3]]["churned"]) == (2, 3, None)
    statuses = {(row["period_start"], row["state"]): row["status"] for row in result.to_dicts()}
    assert statuses[WEEKS[2], "active"] == "open"
    tiny.build()
    assert table(ask(tiny, warmup_days=7))[WEEKS[2]]["active"] == 4


def test_local_days_of_a_zone_where_the_clock_changes(tmp_path: Path) -> None:
    """Berlin, Sunday 30 March 2025, has 23 hours: 22:30 UTC on the 29th is still the 29th, on the 30th it is the 31st.

    By day: ann on the 29th and the 31st, bob on the 30th: on the 31st ann is back (resurrected) and bob gone.
    """
    with Tiny(tmp_path, {**SETTINGS, "timezone": "Europe/Berlin"}, columns=COLUMNS) as tiny:
        times = [("ann", "2025-03-29 22:30"), ("bob", "2025-03-30 12:00"), ("ann", "2025-03-30 22:30")]
        tiny.add({"actor_id": who, "event_time": at, "event_id": at} for who, at in times)
        tiny.build()
        row = table(ask(tiny, grain="day", warmup_days=0))[date(2025, 3, 31)]
        assert (row["active"], row["resurrected"], row["returning"], row["churned"]) == (1, 1, 0, 1)


def test_nobody_before_gives_no_rate(tmp_path: Path) -> None:
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add([*seen("ann", "2025-01-07"), *_passive("2024-12-23", "2025-01-14")])
        tiny.build()
        row = table(ask(tiny, warmup_days=7))[WEEKS[2]]
        assert (row["new"], row["churned"], row["churn_rate"], row["quick_ratio"]) == (1, 0, None, None)


def test_an_empty_project_has_no_rows(tmp_path: Path) -> None:
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add([])
        tiny.build()
        result = ask(tiny, where="actor_id = 'ann'")
        assert len(result) == 0
        assert "no events" in str(result)


def test_signup_dates_and_passive_events_decide_only_the_split(tiny: Tiny) -> None:
    """ann signed up in the history, bob long before, cyd in it, dan and eve nowhere.

    first_activity, warmup 7: ann is new by her signup, bob is not. signup_date: dan and eve are not known to be new.
    first_any_event, warmup 21 (to 13 January): eve was seen as a bot on the 7th, but bots do not count, so that her
    first event is that of the 13th; dan of the 12th is not told.
    """
    tiny.sources["people"] = source_from(
        {"name": "people", "path": "x", "fact": "dimension", "key": ["user"], "contract": {"fields": {}}}
    )
    signups = {"ann": date(2024, 12, 23), "bob": date(2020, 1, 1), "cyd": date(2024, 12, 30), "dan": None}
    people = pa.table({"user": list(signups), "signup_date": pa.array(signups.values(), pa.date32())})
    tiny.engine.write(people, "silver.people", "overwrite")

    def split(**options: Any) -> list[tuple[float | None, float | None]]:
        rows = table(ask(tiny, **options))
        return [(rows[week]["new"], rows[week]["new_or_existing"]) for week in WEEKS]

    assert split(warmup_days=7) == [(1, 1), (1, 0), (1, 0), (1, 0)]
    assert split(new_by="signup_date") == [(1, 1), (1, 0), (0, 1), (0, 1)]
    assert split(new_by="signup_date", signup="people.signup_date") == split(new_by="signup_date")
    assert split(new_by="first_any_event", warmup_days=21) == [(1, 1), (1, 0), (0, 1), (1, 0)]
    whole = [table(ask(tiny, new_by=choice)) for choice in ("first_activity", "signup_date", "first_any_event")]
    for name in ("active", "returning", "resurrected", "churned", "churn_rate"):
        assert len({tuple(rows[week][name] for week in WEEKS) for rows in whole}) == 1
    with pytest.raises(UnknownNameError, match="signup_dat"):
        ask(tiny, signup="people.signup_dat")
    with pytest.raises(DefinitionError, match="not a date"):
        ask(tiny, signup="people.user")


def test_wrong_questions_say_what_next(tiny: Tiny) -> None:
    with pytest.raises(UnknownNameError, match="weak") as caught:
        ask(tiny, grain="weak")
    assert "week" in (caught.value.hint or "")
    with pytest.raises(UnknownNameError, match="regoin"):
        ask(tiny, by="regoin")
    with pytest.raises(UnknownNameError, match="region,country") as caught:
        ask(tiny, by="region,country")
    assert "--by region --by country" in (caught.value.hint or "")
    with pytest.raises(UnknownNameError, match="'regoin'"):
        ask(tiny, where="regoin = 'north'")
    with pytest.raises(QueryError):
        ask(tiny, where="SELECT 1")
    with pytest.raises(DefinitionError, match="named twice"):
        ask(tiny, by=["region", "region"])
    with pytest.raises(DefinitionError, match="No source says"):
        ask(tiny, new_by="signup_date")
    with pytest.raises(DefinitionError, match="warmup days -1"):
        ask(tiny, warmup_days=-1)
    with pytest.raises(UnknownNameError, match="churn"):
        tiny.ask(lifecycle_members, "churn")


# --- against sets in plain Python


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tiny, Any]]:
    activity = random_activity(7)
    with Tiny(tmp_path_factory.mktemp("base"), SETTINGS, columns=COLUMNS) as made:
        made.add(events_of(activity))
        made.build()
        yield made, activity


@pytest.mark.parametrize("grain", ["day", "week", "month"])
@pytest.mark.parametrize("rule", [None, "any", "first", "last"])
def test_the_numbers_are_those_of_sets(base: tuple[Tiny, Any], grain: str, rule: str | None) -> None:
    tiny, activity = base
    options = {} if rule is None else {"by": ["region"], "segment": rule}
    result = ask(tiny, grain=grain, **options)
    rows = table(result, *(["region"] if rule else []))
    for value, active in active_on(activity, rule).items():
        for number, (period, states) in enumerate(states_of(active, grain).items()):
            found = rows[(period, value) if rule else period]
            for state in COUNTED[:3] if number == 0 else COUNTED:
                assert found[state] == len(states[state]), (period, value, state)
    if rule in ("first", "last"):  # each actor has one value: every state adds up to the total
        whole = table(ask(tiny, grain=grain))
        for period, states_found in whole.items():
            for state in COUNTED:
                parts = [found[state] for key, found in rows.items() if key[0] == period]
                assert sum(part or 0 for part in parts) == (states_found[state] or 0)
    if rule == "any":
        assert result.totals is not None
        for total in result.totals.to_pylist():
            parts = [found["active"] for key, found in rows.items() if key[0] == total["period_start"]]
            assert total["sum_of_segments"] == sum(part or 0 for part in parts)
            assert total["overlap"] == total["sum_of_segments"] - total["total"] >= 0


@pytest.mark.parametrize("rule", ["any", "first", "last"])
def test_a_condition_reads_silver_and_answers_the_same(base: tuple[Tiny, Any], rule: str) -> None:
    tiny, _ = base
    gold, silver = (ask(tiny, by="region", segment=rule, where=where) for where in (None, "actor_id <> 'nobody'"))
    assert table(gold, "region") == table(silver, "region")
    assert [source.table for source in silver.sources] == ["silver.app"]
    twice = ask(tiny, by=["region", "event_name"], segment=rule)
    assert {key[:2]: row for key, row in table(twice, "region", "event_name").items()} == table(gold, "region")


@pytest.mark.parametrize("rule", [None, "any"])
def test_members_are_as_many_as_the_number(base: tuple[Tiny, Any], rule: str | None) -> None:
    tiny, activity = base
    options: dict[str, Any] = {} if rule is None else {"by": "region"}
    reference = {value: states_of(active, "week") for value, active in active_on(activity, rule).items()}
    numbers = {}
    for row in ask(tiny, **options).to_dicts():
        numbers[row["period_start"], row.get("region", ""), row["state"]] = row
    for state in STATES:
        found = tiny.ask(lifecycle_members, state, **options).to_dicts()
        for (period, value, of), row in numbers.items():
            own = [m for m in found if of == state and m["period_start"] == period and m.get("region", "") == value]
            if of != state or row["value"] is None:
                continue
            top = {member["actor_id"] for member in own if member["is_in_numerator"]}
            assert len(top) == row["numerator"]
            if state in COUNTED:
                assert top == reference[value].get(period, {}).get(state, top)
            else:
                assert sum(member["is_in_denominator"] for member in own) == row["denominator"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    days=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60)), min_size=1, max_size=60),
    grain=st.sampled_from(["day", "week", "month"]),
)
def test_both_identities_hold_for_any_activity(base: tuple[Tiny, Any], days: Any, grain: str) -> None:
    tiny, _ = base
    start = date(2024, 12, 2).toordinal()
    active: dict[str, set[date]] = {}
    for actor, offset in days:
        active.setdefault(f"a{actor}", set()).add(date.fromordinal(start + offset))
    rows = [(day, actor) for actor, own in active.items() for day in own]
    facts = pa.table({"day": pa.array([r[0] for r in rows], pa.date32()), "actor_id": [r[1] for r in rows]})
    tiny.engine.write(facts, "temp.facts_of_test", "overwrite")
    placed = placed_sql(
        "SELECT * FROM temp.facts_of_test",
        [],
        grain=grain,
        week_start="monday",
        is_new="first_day >= DATE '2024-12-30'",
    )
    found = {row.pop("period_start"): Counts(**row) for row in tiny.query(counts_sql(placed, []))}
    reference = states_of(active, grain)
    checked(found, list(reference))
    for period, states in reference.items():
        now = found.get(period, Counts())
        assert [getattr(now, state) for state in COUNTED[:5]] == [len(states[state]) for state in COUNTED[:5]]


@pytest.mark.parametrize(
    "second",
    [
        Counts(active=3, new=1, returning=1, resurrected=0),  # one too few
        Counts(active=2, new=1, returning=1, resurrected=0),  # 2 + 1 - 0 is not 2
    ],
    ids=["partition", "growth"],
)
def test_a_broken_identity_stops_the_run(second: Counts) -> None:
    weeks = WEEKS[:2]
    with pytest.raises(LedgerError, match="2024-12-30") as caught:
        checked({weeks[0]: Counts(active=2, new=2), weeks[1]: second}, weeks)
    assert caught.value.exit_code == 3


def test_a_period_that_is_none_of_the_calendar_stops_the_run() -> None:
    with pytest.raises(LedgerError, match="begins no period"):
        checked({date(2024, 12, 24): Counts(active=1, new=1)}, WEEKS)


def test_printed_it_has_a_row_a_period(tiny: Tiny) -> None:
    lines = str(ask(tiny, warmup_days=7)).splitlines()
    assert lines[2].split() == ["period_start", *STATES, "status"]
    assert lines[5].split()[:9] == ["2024-12-30", "2", "1", "0", "1", "0", "1", "1", "50.0%"]
    assert period_of(date(2024, 12, 31), "week") == WEEKS[1]
