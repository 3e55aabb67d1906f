"""Retention over tiny tables worked out by hand, from vendors' examples, and against a naive reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny, at
from tidelake.contracts.source import Coverage, source_from
from tidelake.errors import DefinitionError, QueryError, UnknownNameError
from tidelake.metrics.intervals import wilson
from tidelake.metrics.retention import Retention, RetentionResult, retention
from tidelake.metrics.retention_definition import span_words

COLUMNS = {"region": pa.string(), "amount": pa.float64()}


@contextmanager
def made(root: Path, events: Sequence[dict[str, Any]], *, gold: bool = False, **settings: Any) -> Iterator[Tiny]:
    with Tiny(root, {"dimensions": ["region"], **settings}, columns=COLUMNS) as tiny:
        tiny.add(events)
        if gold:
            tiny.build()
        yield tiny


def did(actor: str, *times: str, name: str = "open", **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "actor_id": actor,
            "event_time": time if " " in time else f"{time} 12:00",
            "event_name": name,
            "event_id": f"{actor}-{name}-{time}-{more.get('seq')}",
            **more,
        }
        for time in times
    ]


def ask(tiny: Tiny, *, by: Sequence[str] = (), grain: str | None = None, **settings: Any) -> RetentionResult:
    options = {name: settings.pop(name) for name in ("start", "end", "where", "segment_limit") if name in settings}
    definition = Retention.make(**{"warmup_days": 0, **settings})
    return tiny.ask(retention, definition, by=by, grain=grain, **options)


def cells(result: RetentionResult) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """(numerator, eligible, size, status) by cohort, source where it is not `entry`, segments and period."""
    found = {}
    for row in result.to_dicts():
        source = () if row["cohort_source"] == "entry" else (row["cohort_source"],)
        start = row["cohort_start"].isoformat() if row["cohort_start"] else None
        key = (start, *source, *(row[name] for name in result.by), row["period"])
        found[key] = (row["numerator"], row["eligible"], row["size"], row["status"])
    return found


def ticks(first: str, last: str) -> list[dict[str, Any]]:
    """A row without actor at the start of every day, so that no day is missing; the last is the watermark."""
    day, end = date.fromisoformat(first), date.fromisoformat(last)
    days = [day + timedelta(days=offset) for offset in range((end - day).days + 1)]
    return [{"actor_id": None, "event_time": f"{one} 00:00", "event_id": f"tick-{one}"} for one in days]


def shares(result: RetentionResult, start: str) -> list[tuple[Any, Any]]:
    """(numerator, eligible) of one cohort, period by period."""
    return [(row["numerator"], row["eligible"]) for row in result.to_dicts() if str(row["cohort_start"]) == start]


# --- vendors' examples


def test_amplitudes_day_of_24_hours_is_exact_here(tmp_path: Path) -> None:
    """Entry 1 December 17:59, return 2 December 17:00: 23 h 1 min later, so Day 0.

    Amplitude says Day 1, for it cuts the entry to 17:00 first. At 17:59 exactly the second day begins.
    """
    events = [
        *ticks("2024-12-01", "2024-12-05"),
        *did("amy", "2024-12-01 17:59", "2024-12-02 17:00"),
        *did("ben", "2024-12-01 17:59", "2024-12-02 17:59"),
    ]
    with made(tmp_path, events) as tiny:
        result = ask(tiny, unit="day", anchor="elapsed", periods=(0, 1))
        assert cells(result) == {
            ("2024-12-01", 0): (1, 2, 2, "complete"),
            ("2024-12-01", 1): (1, 2, 2, "complete"),
        }
        named = {row["actor_id"]: row["in_numerator"] for row in result.members(0).to_dicts()}
        assert named == {"amy": True, "ben": False}


def test_mixpanels_calendar_examples(tmp_path: Path) -> None:
    """8 pm Monday to 6 am Tuesday: calendar Day 1, elapsed Day 0. Friday to Monday: calendar Week 1."""
    events = [
        *ticks("2025-01-06", "2025-02-03"),
        *did("amy", "2025-01-06 20:00", "2025-01-07 06:00"),
        *did("ben", "2025-01-10 12:00", "2025-01-13 12:00"),
    ]
    with made(tmp_path, events) as tiny:
        assert shares(ask(tiny, unit="day", periods=(0, 1)), "2025-01-06") == [(0, 1), (1, 1)]
        assert shares(ask(tiny, unit="day", anchor="elapsed", periods=(0, 1)), "2025-01-06") == [(1, 1), (0, 1)]
        assert shares(ask(tiny, unit="week", periods=(0, 1)), "2025-01-06") == [(1, 2), (1, 2)]
        assert shares(ask(tiny, unit="week", anchor="elapsed", periods=(0, 1)), "2025-01-06") == [(2, 2), (0, 2)]


# --- the calendar

WEEKS = [
    *ticks("2024-12-23", "2025-01-15"),  # Monday to Wednesday: the last week is open
    *did("ann", "2024-12-24", "2024-12-31", "2025-01-07"),
    *did("ben", "2024-12-25 09:00", "2024-12-25 10:00"),
    *did("cat", "2025-01-01", "2025-01-07"),
    *did("dan", "2025-01-14"),
    *did("bot", "2025-01-01", "2025-01-07", traffic_class="bot"),
]


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    with made(tmp_path_factory.mktemp("weeks"), WEEKS, gold=True) as tiny:
        yield tiny


def test_weeks_go_over_new_year_and_open_cells_are_null(weeks: Tiny) -> None:
    """Weeks from 23 and 30 December, 6 and 13 January; the last has not ended on the 15th.

    Of ann and ben (23 December) only ben is there twice in the first week; only ann comes in the next two.
    """
    expected = {
        ("2024-12-23", 0): (1, 2, 2, "complete"),
        ("2024-12-23", 1): (1, 2, 2, "complete"),
        ("2024-12-23", 2): (1, 2, 2, "complete"),
        ("2024-12-23", 3): (None, 0, 2, "open"),
        ("2024-12-30", 0): (0, 1, 1, "complete"),
        ("2024-12-30", 1): (1, 1, 1, "complete"),
        ("2024-12-30", 2): (None, 0, 1, "open"),
        ("2024-12-30", 3): (None, 0, 1, "open"),
        **{("2025-01-13", n): (None, 0, 1, "open") for n in range(4)},
    }
    short = ask(weeks, periods=(0, 3))
    assert [source.table for source in short.sources] == ["gold.user_day"]
    assert cells(short) == expected
    long = ask(weeks, periods=(0, 3), where="event_time IS NOT NULL")
    assert [source.table for source in long.sources] == ["silver.app"]
    assert cells(long) == expected
    first = short.to_dicts()[0]
    assert (first["value"], first["ci_low"], first["ci_high"]) == (0.5, *wilson(1, 2))
    assert first["watermark"] == datetime(2025, 1, 15, tzinfo=UTC)
    assert first["is_below_min_n"]


def test_recurring_cohorts_take_an_actor_once_for_each_week_it_enters(weeks: Tiny) -> None:
    """30 December has ann and cat; both come in the week after. 6 January: both, and nobody in week 0 again."""
    expected = {
        ("2024-12-23", 0): (1, 2, 2, "complete"),
        ("2024-12-23", 1): (1, 2, 2, "complete"),
        ("2024-12-30", 0): (0, 2, 2, "complete"),
        ("2024-12-30", 1): (2, 2, 2, "complete"),
        ("2025-01-06", 0): (0, 2, 2, "complete"),
        ("2025-01-06", 1): (None, 0, 2, "open"),
        ("2025-01-13", 0): (None, 0, 1, "open"),
        ("2025-01-13", 1): (None, 0, 1, "open"),
    }
    result = ask(weeks, periods=(0, 1), cohort="recurring")
    assert cells(result) == expected
    assert any("an actor may be in many" in note for note in result.notes)
    assert cells(ask(weeks, periods=(0, 1), cohort="recurring", where="event_time IS NOT NULL")) == expected


def test_averages_are_over_complete_cells_and_say_where_their_cohorts_change(weeks: Tiny) -> None:
    """Week 1: 1 of 2 and 1 of 1, so pooled 2/3 and simple 3/4; week 2 has the first cohort alone."""
    table = ask(weeks, periods=(0, 3)).averages
    assert table is not None
    found = [
        (row["numerator"], row["denominator"], row["simple"], row["cohorts"], row["set_changes"])
        for row in table.to_pylist()
    ]
    assert found == [(1, 3, 0.25, 2, False), (2, 3, 0.75, 2, False), (1, 2, 0.5, 1, True), (0, 0, None, 0, True)]
    assert [row["pooled"] for row in table.to_pylist()] == [1 / 3, 2 / 3, 0.5, None]


def test_pooled_recurring_cohorts_have_the_interval_of_actors(weeks: Tiny) -> None:
    """Week 1 of 23 and 30 December: ann 2 of 2, ben 0 of 1, cat 1 of 1; R = 3/4.

    Residuals y - R x: .5, -.75, .25, squares .25 + .5625 + .0625 = .875; variance 3/2 * .875 / 16.
    """
    table = ask(weeks, periods=(1, 1), cohort="recurring").averages
    assert table is not None
    row = table.to_pylist()[0]
    assert (row["numerator"], row["denominator"], row["pooled"]) == (3, 4, 0.75)
    half = 1.959963984540054 * (1.5 * 0.875 / 16) ** 0.5
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((0.75 - half, 1))  # a share is not above 1


def test_a_cohort_of_several_units_counts_an_actor_that_recurs_by_the_delta_method(weeks: Tiny) -> None:
    """December in weeks: ann enters on the 24th and the 31st, ben on the 25th; week 1 sees ann twice: 2 of 3."""
    result = ask(weeks, periods=(1, 1), cohort="recurring", grain="month")
    assert cells(result)["2024-12-01", 1] == (2, 3, 3, "complete")
    row = result.to_dicts()[0]
    # residuals 2 - 4/3 and -2/3: squares 8/9; variance 2 * 8/9 / 9, so 2/3 - .87 and 2/3 + .87, cut at 0 and 1
    assert (row["ci_low"], row["ci_high"]) == (0, 1)


def test_weeks_can_start_on_sunday_and_months_are_of_the_calendar(tmp_path: Path) -> None:
    """From Sunday 5 January on, the 11th is in the same week, the 12th in the next. January to March is 2 months."""
    events = [
        *ticks("2025-01-01", "2025-04-02"),
        *did("ann", "2025-01-05", "2025-01-11"),
        *did("ben", "2025-01-06", "2025-01-12"),
        *did("cat", "2025-01-31", "2025-03-01"),
    ]
    with made(tmp_path, events, week_start="sunday") as tiny:
        assert shares(ask(tiny, periods=(0, 1)), "2025-01-05") == [(1, 2), (1, 2)]
        months = ask(tiny, unit="month", periods=(0, 2))
        assert shares(months, "2025-01-01") == [(2, 3), (0, 3), (1, 3)]
        # 31 January 12:00 to 1 March 12:00 is 29 days, so within the first 30
        exact = ask(tiny, unit="month", anchor="elapsed", periods=(0, 1))
        assert shares(exact, "2025-01-01") == [(3, 3), (0, 3)]


def test_days_are_local_and_exact_days_have_24_hours_over_a_change_of_the_clock(tmp_path: Path) -> None:
    """In Berlin 30 March 2025 has 23 hours. Entry 29 March 23:30 local, return 31 March 00:10 local.

    Two dates later in the calendar; 23 h 40 min of exact time, so Day 0.
    """
    events = [
        *ticks("2025-03-29", "2025-04-03"),
        *did("ann", "2025-03-29 22:30", "2025-03-30 22:10"),
    ]
    with made(tmp_path, events, timezone="Europe/Berlin") as tiny:
        assert shares(ask(tiny, unit="day", periods=(0, 2)), "2025-03-29") == [(0, 1), (0, 1), (1, 1)]
        exact = ask(tiny, unit="day", anchor="elapsed", periods=(0, 2))
        assert shares(exact, "2025-03-29") == [(1, 1), (0, 1), (0, 1)]


def test_hours_of_a_zone_begin_where_its_clock_says(tmp_path: Path) -> None:
    """In Kolkata (UTC +5:30) 10:00 UTC is 15:30, and 10:40 UTC is the hour after."""
    events = [*ticks("2025-03-01", "2025-03-05"), *did("ann", "2025-03-01 10:00", "2025-03-01 10:40")]
    with made(tmp_path, events, timezone="Asia/Kolkata") as tiny:
        assert shares(ask(tiny, unit="hour", periods=(0, 1)), "2025-03-01") == [(0, 1), (1, 1)]
        exact = ask(tiny, unit="hour", anchor="elapsed", periods=(0, 1))
        assert shares(exact, "2025-03-01") == [(1, 1), (0, 1)]


# --- order and censoring


def test_a_return_comes_after_the_entry_by_time_seq_and_id(tmp_path: Path) -> None:
    """At one instant: ann's play has the later seq, ben's the earlier; cat's seq is unknown and her ids say it."""
    together = "2025-03-03 10:00"
    events = [
        *ticks("2025-03-03", "2025-03-12"),
        *did("ann", together, name="login", seq=1),
        *did("ann", together, name="play", seq=2),
        *did("ben", together, name="login", seq=2),
        *did("ben", together, name="play", seq=1),
        *did("cat", together, name="login", event_id="c1"),
        *did("cat", together, name="play", event_id="c2"),
    ]
    with made(tmp_path, events) as tiny:
        for more in ({}, {"anchor": "elapsed"}, {"cohort": "recurring"}):
            result = ask(tiny, **{"entry": "login", "return": "play", "periods": (0, 0), **more})
            assert {row["actor_id"] for row in result.members().to_dicts() if row["in_numerator"]} == {"ann", "cat"}
        same = ask(tiny, entry="login", periods=(0, 0))  # any event: of ben only the play, which came before
        assert shares(same, "2025-03-03") == [(2, 3)]
        other = ask(tiny, **{"entry": "play", "return": "login", "periods": (0, 0)})
        assert {row["actor_id"] for row in other.members().to_dicts() if row["in_numerator"]} == {"ben"}


def test_censoring_is_per_member(tmp_path: Path) -> None:
    """W is Wednesday 12 March 00:00. Week 0 of exact time has ended for ann (Monday), not for ben (Sunday).

    Both came back in it: ann counts, ben is in what there is so far.
    """
    events = [
        *ticks("2025-03-03", "2025-03-12"),
        *did("ann", "2025-03-03", "2025-03-04"),
        *did("ben", "2025-03-09", "2025-03-10"),
    ]
    with made(tmp_path, events) as tiny:
        result = ask(tiny, anchor="elapsed", periods=(0, 1))
        assert cells(result) == {
            ("2025-03-03", 0): (1, 1, 2, "partial_cohort"),
            ("2025-03-03", 1): (None, 0, 2, "open"),
        }
        assert [row["numerator_so_far"] for row in result.to_dicts()] == [1, 0]
        assert result.averages is not None
        assert result.averages.to_pylist()[0]["cohorts"] == 0
        late = {"lateness": "3d"}
    with made(tmp_path / "late", events, **late) as tiny:  # W' is 9 March: nothing of it has ended
        assert cells(ask(tiny, periods=(0, 0)))["2025-03-03", 0] == (None, 0, 2, "open")


def test_days_that_were_not_received_are_no_zeros(tmp_path: Path) -> None:
    """5 March is missing and so is the return on it; its week is degraded where a file was expected."""
    events = [
        *ticks("2025-03-03", "2025-03-04"),
        *ticks("2025-03-06", "2025-03-18"),
        *did("ann", "2025-03-04"),
    ]
    with made(tmp_path, events) as tiny:
        days = ask(tiny, unit="day", periods=(0, 2))
        assert cells(days) == {
            ("2025-03-04", 0): (0, 1, 1, "complete"),
            ("2025-03-04", 1): (None, 1, 1, "missing"),
            ("2025-03-04", 2): (0, 1, 1, "complete"),
        }
        assert [row["value"] for row in days.to_dicts()] == [0, None, 0]
        assert cells(ask(tiny, periods=(0, 1)))["2025-03-03", 0] == (0, 1, 1, "complete")
        expected = tiny.sources["app"].model_copy(update={"complete": Coverage(by="daily_file")})
        tiny.sources["app"] = expected
        assert cells(ask(tiny, periods=(0, 1)))["2025-03-03", 0] == (0, 1, 1, "degraded")


# --- criteria


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    """Entered 3 March 12:00; xia comes on days 1, 2 and 4, yan 72 h 0 min 0 s later, zoe a microsecond after that."""
    events = [
        *ticks("2025-03-03", "2025-03-09"),
        *did("xia", "2025-03-03", "2025-03-04", "2025-03-05", "2025-03-07"),
        *did("yan", "2025-03-03", "2025-03-06"),
        *did("zoe", "2025-03-03", "2025-03-06 12:00:00.000001"),
    ]
    with made(tmp_path_factory.mktemp("days"), events, gold=True) as tiny:
        yield tiny


def numerators(result: RetentionResult) -> list[int | None]:
    return [row["numerator"] for row in result.to_dicts()]


@pytest.mark.parametrize("path", [{}, {"where": "event_time IS NOT NULL"}], ids=["gold", "silver"])
def test_each_criterion_counts_its_units(days: Tiny, path: dict[str, str]) -> None:
    """Returns by day: xia 1, 2, 4; yan and zoe 3. Day 5 is the last that has ended (W = 9 March 00:00)."""
    day = {"unit": "day", "periods": (0, 5), **path}
    assert numerators(ask(days, **day)) == [0, 1, 1, 2, 1, 0]
    after = ask(days, **day, criterion="on_or_after", horizon=5)
    assert numerators(after) == [3, 3, 3, 3, 1, 0]
    assert not after.to_dicts()[0]["is_biased"]
    assert numerators(ask(days, **{**day, "periods": (2, 3)}, criterion="on_or_after", horizon=3)) == [3, 2]
    assert numerators(ask(days, **day, criterion="on_or_after", horizon=6)) == [None] * 6  # day 6 has not ended
    endless = ask(days, **day, criterion="on_or_after", horizon="inf")
    assert numerators(endless) == [3, 3, 3, 3, 1, 0]
    assert endless.to_dicts()[0]["is_biased"]
    assert numerators(ask(days, **day, criterion="on_or_before")) == [0, 1, 1, 3, 3, 3]
    assert numerators(ask(days, **day, criterion="bracket", brackets=[(1, 2), (3, 5), (4, 6)])) == [1, 3, None]
    assert numerators(ask(days, **day, criterion="streak")) == [1, 1, 0, 0, 0]


def test_within_is_exact_and_open_at_its_beginning(days: Tiny) -> None:
    """(0, 72 h] has xia and yan; (72 h, 96 h] has zoe and xia, whose last is 96 h later; (24 h, 48 h] xia alone."""
    hours = [(timedelta(hours=low), timedelta(hours=high)) for low, high in ((0, 72), (72, 96), (24, 48))]
    result = ask(days, unit="day", criterion="within", within=hours)
    assert numerators(result) == [2, 2, 1]
    assert [row["status"] for row in result.to_dicts()] == ["complete"] * 3
    far = ask(days, criterion="within", within=[("0h", "6d")], grain="all")
    assert cells(far) == {(None, 0): (None, 0, 3, "open")}  # ends 9 March 12:00
    again = ask(days, unit="day", criterion="within", within=hours, cohort="recurring")
    assert cells(again)["2025-03-04", 0][:3] == (1, 1, 1)


def test_sessions_can_be_entries_and_returns(days: Tiny) -> None:
    """Every event is a session of its own: within 72 h of the first, xia and yan have another."""
    result = ask(days, fact="session", unit="day", criterion="within", within=[("0h", "72h")], grain="all")
    assert cells(result) == {(None, 0): (2, 3, 3, "complete")}
    by = ask(days, fact="session", unit="day", periods=(1, 1), by=["region"])
    assert cells(by) == {("2025-03-03", "(unknown)", 1): (1, 3, 3, "complete")}
    with pytest.raises(DefinitionError, match="no event name"):
        ask(days, fact="session", entry="open")


# --- cohorts


def test_an_entry_soon_after_the_start_of_history_may_not_be_the_first(weeks: Tiny) -> None:
    """History begins 23 December; ten days later, 2 January, only dan had not come yet."""
    result = ask(weeks, periods=(1, 1), warmup_days=10)
    found = cells(result)
    assert found["2024-12-23", "new_or_existing", 1] == (1, 2, 2, "complete")
    assert found["2024-12-30", "new_or_existing", 1] == (1, 1, 1, "complete")
    assert found["2025-01-13", 1] == (None, 0, 1, "open")
    assert any("start of history" in note for note in result.notes)


def test_cohorts_can_be_bounded_without_changing_whose_first_entry_it_was(weeks: Tiny) -> None:
    """From 1 January: the week of 30 December as a whole. ann's first entry was before, so she is not in it."""
    result = cells(ask(weeks, periods=(1, 1), start=date(2025, 1, 1), end=date(2025, 1, 1)))
    assert result == {("2024-12-30", 1): (1, 1, 1, "complete")}
    again = cells(ask(weeks, periods=(1, 1), start=date(2025, 1, 1), end=date(2025, 1, 1), cohort="recurring"))
    assert again == {("2024-12-30", 1): (2, 2, 2, "complete")}


def test_a_breakdown_is_frozen_at_entry(tmp_path: Path) -> None:
    """ann enters in the north and comes back in the south only; ben comes back in his south; cat has no region."""
    events = [
        *ticks("2025-03-03", "2025-03-14"),
        *did("ann", "2025-03-03", region="north"),
        *did("ann", "2025-03-11", region="south"),
        *did("ben", "2025-03-04", "2025-03-12", region="south"),
        *did("cat", "2025-03-05", "2025-03-05 12:01"),
    ]
    with made(tmp_path, events) as tiny:
        result = ask(tiny, by=["region"], periods=(0, 1))
        assert cells(result) == {
            ("2025-03-03", "(unknown)", 0): (1, 1, 1, "complete"),
            ("2025-03-03", "(unknown)", 1): (None, 0, 1, "open"),
            ("2025-03-03", "north", 0): (0, 1, 1, "complete"),
            ("2025-03-03", "north", 1): (None, 0, 1, "open"),
            ("2025-03-03", "south", 0): (0, 1, 1, "complete"),
            ("2025-03-03", "south", 1): (None, 0, 1, "open"),
        }
        assert {row["region"]: row["numerator_so_far"] for row in result.to_dicts() if row["period"]} == {
            "(unknown)": 0,
            "north": 1,
            "south": 1,
        }
        matched = ask(tiny, by=["region"], unit="day", periods=(0, 8), match_on_return=True)
        assert cells(matched)["2025-03-03", "north", 8][0] == 0
        assert cells(matched)["2025-03-04", "south", 8][0] == 1
        assert cells(matched)["2025-03-05", "(unknown)", 0][0] == 1
        few = ask(tiny, by=["region"], unit="day", periods=(8, 8), segment_limit=1, grain="all")
        assert cells(few) == {
            (None, "(other)", 8): (2, 2, 2, "complete"),
            (None, "(unknown)", 8): (0, 1, 1, "complete"),
        }
        assert "region has 3 values" in few.notes[0]


USERS = source_from({"name": "users", "path": "x", "fact": "dimension", "key": ["user_id"], "mapping": {}})


def with_users(tiny: Tiny, signups: dict[str, date | datetime | None], kind: pa.DataType) -> None:
    rows = [{"user_id": name, "signup_date": day} for name, day in signups.items()]
    schema = pa.schema([("user_id", pa.string()), ("signup_date", kind)])
    tiny.engine.write(pa.Table.from_pylist(rows, schema=schema), "silver.users", "overwrite")
    tiny.sources["users"] = USERS


def test_weeks_since_signup_by_month_of_signup(tmp_path: Path) -> None:
    """Exact weeks from midnight of the date of signup (the recipe of `shop`); W = 20 February 00:00.

    ann: signup Tuesday 28 January, active on the day (week 0), 3 February 23:59 (6 d 23:59 h: week 0 still) and 4
    February 00:00 (week 1). ben signed up on 30 January and never came. cat signed up in February; her event of
    January lies before. dan has no date: his first entry, 10 February. eve has neither date nor event.
    """
    events = [
        *ticks("2025-01-20", "2025-02-20"),
        *did("ann", "2025-01-28 08:00", "2025-02-03 23:59", "2025-02-04 00:00"),
        *did("cat", "2025-01-29", "2025-02-06 00:00"),
        *did("dan", "2025-02-10", "2025-02-10 13:00"),
    ]
    signups = {
        "ann": date(2025, 1, 28),
        "ben": date(2025, 1, 30),
        "cat": date(2025, 2, 6),
        "dan": None,
        "eve": None,
        "old": date(2025, 1, 8),
    }
    with made(tmp_path, events) as tiny:
        with_users(tiny, signups, pa.date32())
        asked = {"cohort_by": "signup_date", "anchor": "elapsed", "periods": (0, 3), "grain": "month"}
        result = ask(tiny, **asked)
        rows = result.to_dicts()
        found = {
            (row["cohort_source"], row["cohort_start"].month, row["period"]): (
                row["numerator"],
                row["eligible"],
                row["size"],
                row["status"],
            )
            for row in rows
            if row["cohort_start"]
        }
        # `old` signed up on the 8th: his weeks 0 and 1 (to the 22nd) lie before or on the start of history
        assert [found["signup_date", 1, n] for n in range(4)] == [
            (1, 2, 3, "partial_left"),
            (1, 2, 3, "partial_left"),
            (0, 3, 3, "complete"),
            (0, 1, 3, "partial_cohort"),
        ]
        assert [found["signup_date", 2, n] for n in (0, 1)] == [
            (1, 1, 1, "partial_cohort"),
            (0, 1, 1, "partial_cohort"),
        ]
        assert found["first_seen", 2, 0] == (1, 1, 1, "partial_cohort")  # February goes on
        outside = [row for row in rows if row["cohort_source"] == "(no cohort)"]
        assert [(row["size"], row["value"], row["cohort_start"]) for row in outside] == [(1, None, None)]
        assert cells(ask(tiny, **{**asked, "cohort_by": "users.signup_date"})) == cells(result)
        calendar = ask(tiny, cohort_by="signup_date", unit="week", periods=(0, 1), start=date(2025, 1, 27))
        assert shares(calendar, "2025-01-27") == [(1, 2), (1, 2)]
        with pytest.raises(DefinitionError, match="column of no dimensions"):
            ask(tiny, cohort_by="signed_up")
        with pytest.raises(UnknownNameError, match="user'"):
            ask(tiny, cohort_by="user.signup_date")


def test_cohorts_by_signup_have_the_values_of_the_first_entry_and_of_the_user(tmp_path: Path) -> None:
    """All signed up on Monday 3 March. ann entered in the north, then came in the south; ben only a week later, in the
    south; cat never did. Of users it is said that ann pays and that ben and cat do not."""
    events = [
        *ticks("2025-03-03", "2025-03-20"),
        *did("ann", "2025-03-04", region="north"),
        *did("ann", "2025-03-11", region="south"),
        *did("ben", "2025-03-12", region="south"),
    ]
    said = [("ann", "paid"), ("ben", "free"), ("cat", "free")]
    with made(tmp_path, events) as tiny:
        rows = [{"a": name, "signup_date": date(2025, 3, 3), "plan": plan} for name, plan in said]
        tiny.engine.write(pa.Table.from_pylist(rows), "silver.people", "overwrite")
        given = {"name": "people", "path": "x", "fact": "dimension", "key": ["a"], "mapping": {}}
        tiny.sources["people"] = source_from(given)
        asked: dict[str, Any] = {"cohort_by": "signup_date", "periods": (0, 1), "end": date(2025, 3, 9)}
        by_region = {key[2:]: found[:3] for key, found in cells(ask(tiny, by=["region"], **asked)).items()}
        assert by_region == {
            ("north", 0): (1, 1, 1),
            ("north", 1): (1, 1, 1),
            ("south", 0): (0, 1, 1),
            ("south", 1): (1, 1, 1),
            ("(unknown)", 0): (0, 1, 1),
            ("(unknown)", 1): (0, 1, 1),
        }
        both = ask(tiny, by=["people.plan", "region"], **asked)
        assert {key[2:4] for key in cells(both)} == {("paid", "north"), ("free", "south"), ("free", "(unknown)")}
        plans = {key[2:]: found[:3] for key, found in cells(ask(tiny, by=["people.plan"], **asked)).items()}
        assert plans == {("free", 0): (0, 2, 2), ("free", 1): (1, 2, 2), ("paid", 0): (1, 1, 1), ("paid", 1): (1, 1, 1)}
        members = both.members(1).to_dicts()
        assert {row["actor_id"]: row["region"] for row in members} == {
            "ann": "north",
            "ben": "south",
            "cat": "(unknown)",
        }


def test_an_instant_of_signup_is_not_its_own_return(tmp_path: Path) -> None:
    """ann's only event of week 0 is at the instant of her signup; ben's comes a second later."""
    events = [
        *ticks("2025-03-03", "2025-03-12"),
        *did("ann", "2025-03-03 10:00:00"),
        *did("ben", "2025-03-03 10:00:01"),
    ]
    with made(tmp_path, events) as tiny:
        both = at("2025-03-03 10:00:00")
        with_users(tiny, {"ann": both, "ben": both}, pa.timestamp("us", "UTC"))
        assert shares(ask(tiny, cohort_by="signup_date", periods=(0, 0)), "2025-03-03") == [(1, 2)]
        assert shares(ask(tiny, cohort_by="signup_date", anchor="elapsed", periods=(0, 0)), "2025-03-03") == [(1, 2)]


def test_a_signup_that_is_no_date_is_refused(tmp_path: Path) -> None:
    with made(tmp_path, ticks("2025-03-03", "2025-03-04")) as tiny:
        with_users(tiny, {}, pa.string())
        with pytest.raises(DefinitionError, match="string, not a date"):
            ask(tiny, cohort_by="signup_date")


# --- members, errors, nothing


def test_members_add_up_to_the_numbers(weeks: Tiny) -> None:
    for more in ({}, {"cohort": "recurring"}, {"anchor": "elapsed"}, {"by": ["region"]}, {"warmup_days": 10}):
        result = ask(weeks, periods=(0, 2), **more)
        for period in range(3):
            counted: dict[tuple[Any, ...], list[int]] = {}
            for row in result.members(period).to_dicts():
                key = (row["cohort_start"], row["cohort_source"], *(row[name] for name in result.by))
                held = counted.setdefault(key, [0, 0, 0])
                held[0] += row["in_numerator"]
                held[1] += row["in_denominator"]
                held[2] += 1
            for row in result.to_dicts():
                if row["period"] == period:
                    key = (row["cohort_start"], row["cohort_source"], *(row[name] for name in result.by))
                    assert counted[key] == [row["numerator"] or 0, row["eligible"], row["size"]]
    with pytest.raises(DefinitionError, match="no period 7"):
        result.members(7)


def test_wrong_questions_say_what_is_wrong(weeks: Tiny) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"criterion": "on_or_after"}, "needs a horizon"),
        ({"criterion": "on_or_after", "horizon": 3}, "before the last period 7"),
        ({"horizon": 9}, "no other criterion has one"),
        ({"brackets": [(0, 1)]}, "go together"),
        ({"criterion": "bracket"}, "go together"),
        ({"criterion": "bracket", "brackets": [(3, 1)]}, "a bracket is"),
        ({"criterion": "within", "within": [("72h", "72h")]}, "from below to"),
        ({"criterion": "within", "within": [("0h", "three")]}, "not a duration"),
        ({"criterion": "streak", "periods": (0, 0)}, "begins in period 1"),
        ({"periods": (3, 1)}, "periods 3:1"),
        ({"unit": "year"}, "unit: Input should be"),
        ({"cohort": "recurring", "cohort_by": "signup_date"}, "signs up again"),
        ({"units": "day"}, "Unknown setting 'units'"),
        ({"entry": ""}, "says no event"),
        ({"start": date(2025, 2, 1), "end": date(2025, 1, 1)}, "lies after the last"),
        ({"by": ["region", "region"]}, "named twice"),
    ]
    for settings, message in wrong:
        with pytest.raises(DefinitionError, match=message):
            ask(weeks, **settings)
    with pytest.raises(UnknownNameError, match="'regoin'"):
        ask(weeks, by=["regoin"])
    with pytest.raises(UnknownNameError, match="'opne'") as caught:
        ask(weeks, entry="opne")
    assert "open" in (caught.value.hint or "")
    with pytest.raises(UnknownNameError, match="'quarter'"):
        ask(weeks, grain="quarter")
    with pytest.raises((QueryError, UnknownNameError)):
        ask(weeks, where="nowhere = 1")


def test_a_project_without_rows_answers_with_none(tmp_path: Path) -> None:
    with Tiny(tmp_path, columns=COLUMNS) as tiny:
        result = ask(tiny)
        assert len(result) == 0
        assert "no rows" in result.notes[0]
        with pytest.raises(DefinitionError, match="no members"):
            result.members()


def test_a_span_is_named_as_it_is_asked() -> None:
    assert span_words(timedelta(), timedelta(hours=72)) == "within 72h"
    assert span_words(timedelta(hours=24), timedelta(hours=72)) == "24h to 72h"
    assert span_words(timedelta(), timedelta(days=30)) == "within 30d"
    assert span_words(timedelta(minutes=30), timedelta(minutes=90)) == "30m to 90m"
    asked = Retention.make(fact="session", criterion="within", within=(("0h", "72h"),))
    assert asked.words() == "Retention, sessions: within 72h, elapsed"
