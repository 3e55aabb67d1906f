"""The naive checks against tables worked out on paper, vendors' golden examples among them."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import log, log1p, sqrt

import pytest

from tests.checks import activation, adoption, bounce, dropoff, revenue, spikes, weekdays
from tests.checks.active import (
    actives_of,
    average_daily,
    by_segment,
    calendar,
    daily,
    events_without_actor,
    only_by,
    rolling,
    rolling_by_period,
    window_days,
)
from tests.checks.diversity import diversity, diversity_by_period, sums
from tests.checks.entities import entity_days
from tests.checks.events import (
    Coverage,
    Event,
    any_event,
    default_active,
    event,
    period_first,
    period_index,
    start_of,
)
from tests.checks.funnels import Exclusion, funnel
from tests.checks.intervals import ratio_of_sums, wilson
from tests.checks.lifecycle import lifecycle
from tests.checks.power_curve import power_curve
from tests.checks.retention import NEW_OR_EXISTING, NO_COHORT, common_cohorts, pooled, retention
from tests.checks.stickiness import stickiness_avg, stickiness_day
from tests.checks.streaks import Streak, kaplan_meier_median, streak_lengths, streaks

FAR = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NEW_YORK = "America/New_York"


def day(text: str) -> date:
    return date.fromisoformat(text)


def upto(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def covered(first: str, end: str, **changes: object) -> Coverage:
    """History from a date up to, and without, another one: all of it received."""
    return Coverage(**{"first": day(first), "watermark": upto(end), **changes})  # type: ignore[arg-type]


def visits(plan: str, *, first: str = "2025-01-01") -> list[Event]:
    """`a: 0 1 4` a line: actor a is active on days 0, 1 and 4 after the first, at noon."""
    found = []
    for line in plan.split(";"):
        actor, _, offsets = line.partition(":")
        for offset in offsets.split():
            at = datetime.fromisoformat(first) + timedelta(days=int(offset), hours=12)
            found.append(event(actor.strip(), at.isoformat()))
    return found


# Calendars and statuses


def test_weeks_are_counted_by_date_arithmetic_across_new_year() -> None:
    assert period_index(day("2025-12-29"), "week") == period_index(day("2026-01-04"), "week")  # ISO 2026-W01
    assert period_index(day("2026-01-05"), "week") - period_index(day("2025-12-28"), "week") == 2
    assert period_first(period_index(day("2026-01-01"), "week"), "week") == day("2025-12-29")
    sunday = period_first(period_index(day("2026-01-01"), "week", week_start="sunday"), "week", week_start="sunday")
    assert sunday == day("2025-12-28")
    assert period_index(day("2026-01-31"), "month") - period_index(day("2025-12-01"), "month") == 1
    assert period_first(period_index(day("2026-02-10"), "month"), "month") == day("2026-02-01")


def test_local_days_last_23_and_25_hours_at_the_change_of_clocks() -> None:
    spring = start_of(day("2025-03-10"), NEW_YORK) - start_of(day("2025-03-09"), NEW_YORK)
    autumn = start_of(day("2025-11-03"), NEW_YORK) - start_of(day("2025-11-02"), NEW_YORK)
    assert (spring, autumn) == (23 * HOUR, 25 * HOUR)


def test_status_is_the_first_that_applies() -> None:
    coverage = Coverage(
        first=day("2025-01-02"),
        watermark=upto("2025-01-06T12:00"),
        lateness=timedelta(hours=24),
        missing=frozenset({day("2025-01-03")}),
        degraded=frozenset({day("2025-01-03"), day("2025-01-04")}),
    )
    days = [day(f"2025-01-0{number}") for number in range(1, 7)]
    assert [coverage.day_status(one) for one in days] == [
        "partial_left",
        "complete",
        "missing",
        "degraded",
        "provisional",  # ended at 6 January 0:00, within the lateness of W
        "open",
    ]
    assert coverage.window_status(days[:2]) == "partial_left"
    assert coverage.window_status(days) == "missing"
    assert coverage.period_status(day("2024-12-30"), "week") == "degraded"


def test_last_day_of_the_default_watermark_is_open() -> None:
    coverage = Coverage.of(visits("a: 0 2"))
    assert [coverage.day_status(one) for one in coverage.days()] == ["complete", "missing", "open"]
    assert covered("2025-01-01", "2025-01-03").last == day("2025-01-02")


# Active users


def test_daily_rolling_and_calendar_actives() -> None:
    events = visits("a: 0 1 7; b: 1; c: 8")
    coverage = covered("2025-01-01", "2025-01-10")  # 1 January 2025 was a Wednesday
    assert [row["value"] for row in daily(events, coverage).values()] == [1, 2, 0, 0, 0, 0, 0, 1, 1]
    weekly = rolling(events, coverage, length=7)
    assert [row["value"] for row in weekly.values()] == [1, 2, 2, 2, 2, 2, 2, 2, 2]
    assert [row["status"] for row in weekly.values()] == ["partial_left"] * 6 + ["complete"] * 3
    weeks = calendar(events, coverage, grain="week")
    assert {first: (row["value"], row["status"]) for first, row in weeks.items()} == {
        day("2024-12-30"): (2, "partial_left"),
        day("2025-01-06"): (2, "open"),
    }
    assert average_daily(events, coverage)["value"] == 5 / 9


def test_calendar_week_crosses_months_and_years() -> None:
    events = visits("a: 0 2; b: 3", first="2025-12-30")
    coverage = covered("2025-12-29", "2026-01-05")
    assert calendar(events, coverage, grain="week")[day("2025-12-29")]["value"] == 2
    months = calendar(events, coverage, grain="month")
    assert [row["value"] for row in months.values()] == [1, 2]


def test_missing_day_is_null_and_marks_windows_that_still_show_their_value() -> None:
    events = visits("a: 0 2; b: 2")
    coverage = covered("2025-01-01", "2025-01-04", missing=frozenset({day("2025-01-02")}))
    assert [row["value"] for row in daily(events, coverage).values()] == [1, None, 2]
    row = rolling(events, coverage, length=2)[day("2025-01-03")]
    assert (row["value"], row["status"]) == (2, "missing")
    assert average_daily(events, coverage) == {"value": 1.5, "numerator": 3, "denominator": 2}


def test_rolling_at_week_grain_is_the_last_complete_day() -> None:
    events = visits("a: 0; b: 5; c: 12; d: 14", first="2025-01-06")
    coverage = covered("2025-01-06", "2025-01-20T12:00")
    rows = rolling_by_period(events, coverage, length=7, grain="week")
    first, second, third = rows.values()
    assert first is not None
    assert second is not None
    assert (first["value"], first["day"], first["status"]) == (2, day("2025-01-12"), "complete")
    assert (second["value"], second["day"]) == (1, day("2025-01-19"))  # 13 to 19 January: c
    assert third is None  # its only day is open


def test_activity_rule_and_null_actor() -> None:
    events = [
        event("a", "2025-01-01T10:00", traffic_class="bot"),
        event("b", "2025-01-01T10:00", interactive=False),
        event("c", "2025-01-01T10:00", interactive=None, traffic_class=None),
        event(None, "2025-01-01T10:00"),
    ]
    assert actives_of(events, [day("2025-01-01")]) == {"c"}
    assert actives_of(events, [day("2025-01-01")], any_event) == {"a", "b", "c"}
    assert events_without_actor(events) == 1
    beats = [event("a", "2025-01-01", "heartbeat"), event("b", "2025-01-01", "play"), *events[2:3]]
    assert only_by(beats, "heartbeat") == {"value": 1 / 3, "numerator": 1, "denominator": 3}


def test_date_is_local() -> None:
    late = event("a", "2025-01-01T23:30", zone=NEW_YORK)
    assert (late.at, late.local_date) == (upto("2025-01-02T04:30"), day("2025-01-01"))


def test_segments_any_overlap_first_and_last_add_up() -> None:
    events = [
        event("a", "2025-01-01T10:00", region="N"),
        event("a", "2025-01-01T11:00", region="S"),
        event("b", "2025-01-01T10:00", region="S"),
        event("c", "2025-01-01T10:00"),
    ]
    days = [day("2025-01-01")]
    assert by_segment(events, days, dimension="region") == {
        "segments": {"N": 1, "S": 2, "(unknown)": 1},
        "total": 3,
        "sum_of_segments": 4,
        "overlap": 1,
    }
    assert by_segment(events, days, dimension="region", rule="first")["segments"] == {"N": 1, "S": 1, "(unknown)": 1}
    assert by_segment(events, days, dimension="region", rule="last")["segments"] == {"S": 2, "(unknown)": 1}
    kept = by_segment(events, days, dimension="region", keep={"S"})
    assert kept["segments"] == {"(other)": 2, "S": 2}


@pytest.mark.parametrize("seed", range(5))
def test_invariants_of_actives_stickiness_and_power_curve(seed: int) -> None:
    draw = random.Random(seed)
    events = visits(";".join(f"u{i}: {' '.join(str(draw.randrange(70)) for _ in range(9))}" for i in range(12)))
    coverage = covered("2025-01-01", "2025-03-12")
    by_day, weekly = daily(events, coverage), rolling(events, coverage, length=7)
    monthly, month28 = rolling(events, coverage, length=30), rolling(events, coverage, length=28)
    for one in coverage.days()[30:]:
        days = [by_day[other]["value"] for other in window_days(one, 7)]
        assert max(days) <= weekly[one]["value"] <= sum(days)
        assert by_day[one]["value"] <= weekly[one]["value"] <= monthly[one]["value"]
    last = coverage.days()[-1]
    curve = power_curve(events, coverage)
    assert sum(row["value"] for row in curve["exactly"].values()) == month28[last]["value"] == curve["actives"]
    in_28 = sum(by_day[one]["value"] for one in window_days(last, 28))
    assert sum(j * row["value"] for j, row in curve["exactly"].items()) == in_28
    assert curve["mean"] / 28 == pytest.approx(stickiness_avg(events, coverage)[last]["value"])


def test_stickiness_of_two_actors() -> None:
    events = visits(f"a: {' '.join(map(str, range(28)))}; b: 27")
    coverage = covered("2025-01-01", "2025-01-29")
    last = day("2025-01-28")
    row = stickiness_avg(events, coverage)[last]
    assert row["value"] == pytest.approx((28 + 1) / 28 / 2)  # mean of 28/28 and 1/28
    assert (row["denominator"], row["active_days"], row["status"]) == (2, 29, "complete")
    assert stickiness_day(events, coverage, length=28)[last]["value"] == 1.0
    assert stickiness_day(events, coverage, length=28)[day("2025-01-27")]["value"] == 1.0
    quiet = covered("2025-01-01", "2025-03-01")
    assert stickiness_avg(events, quiet)[day("2025-02-28")]["value"] is None  # nobody in 28 days


def test_power_curve_counts_days_not_events_and_stops_at_the_last_complete_day() -> None:
    events = visits("a: 0 0 1 2; b: 2; c: 3")
    coverage = covered("2025-01-01", "2025-01-04T12:00")
    curve = power_curve(events, coverage, length=3)
    assert {j: row["value"] for j, row in curve["exactly"].items()} == {1: 1, 2: 0, 3: 1}
    assert {k: row["value"] for k, row in curve["at_least"].items()} == {1: 2, 2: 1, 3: 1}
    assert curve["days"][-1] == day("2025-01-03")
    assert curve["status"] == "complete"
    assert power_curve(events, coverage, length=28)["status"] == "partial_left"


def test_power_curve_around_a_missing_day() -> None:
    events = visits("a: 0 1 3; b: 3")
    coverage = covered("2025-01-01", "2025-01-05", missing=frozenset({day("2025-01-03")}))
    near = power_curve(events, coverage, length=3)
    assert (near["status"], near["exactly"][2]["value"], near["exactly"][1]["value"]) == ("missing", 1, 1)
    far = power_curve(events, coverage, length=3, consecutive=False)
    assert (far["status"], far["exactly"][3]["value"], far["exactly"][1]["value"]) == ("complete", 1, 1)


# Lifecycle


def test_lifecycle_of_four_actors_over_five_weeks() -> None:
    #  weeks of 6, 13, 20, 27 January, 3 February 2025
    events = visits("a: 0 7 14 21 28; b: 0 14; c: 7 8 28; d: 28", first="2025-01-06")
    coverage = covered("2025-01-06", "2025-02-10")
    rows = list(lifecycle(events, coverage, grain="week", warmup=7).values())
    names = ("new", "new_or_existing", "returning", "resurrected", "churned")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (0, 2, 0, 0, 0),  # a, b: within the warm-up
        (1, 0, 1, 0, 1),  # c new, a returning, b churned
        (0, 0, 1, 1, 1),  # a returning, b resurrected, c churned
        (0, 0, 1, 0, 1),  # a; b churned
        (1, 0, 1, 1, 0),  # d new, a returning, c resurrected
    ]
    assert [row["quick_ratio"] for row in rows] == [None, 1.0, 1.0, 0.0, None]
    assert [row["churn_rate"] for row in rows] == [None, 0.5, 0.5, 0.5, 0.0]
    assert {row["status"] for row in rows} == {"complete"}


def test_warmup_is_28_days_half_open_and_a_signup_date_within_history_ends_the_doubt() -> None:
    """Older signed up half a year before the data begin and was seen on their first day: it is not new."""
    events = visits("early: 27; late: 28; known: 0; older: 0")
    coverage = covered("2025-01-01", "2025-03-01")
    signup = {"known": day("2025-01-01"), "older": day("2024-06-01")}
    january, february = lifecycle(events, coverage, grain="month", signup=signup).values()
    assert (january["new"], january["new_or_existing"]) == (2, 2)  # late, known; early, older
    assert (february["churned"], february["active"]) == (4, 0)
    by_signup = lifecycle(events, coverage, grain="month", signup=signup, new_by="signup_date")
    first = by_signup[day("2025-01-01")]
    assert (first["new"], first["new_or_existing"]) == (1, 3)  # known; of early and late no signup is known
    assert first["quick_ratio"] is None


def test_first_any_event_moves_only_the_split() -> None:
    events = [
        event("a", "2025-01-02T10:00", interactive=False),
        event("a", "2025-02-10T10:00"),
    ]
    coverage = covered("2025-01-01", "2025-03-01")
    for new_by, kind in (("first_activity", "new"), ("first_any_event", "new_or_existing")):
        january, february = lifecycle(events, coverage, grain="month", new_by=new_by).values()
        assert (january["active"], february["active"], february[kind]) == (0, 1, 1)


# Retention


def golden(entry: str, back: str, **rule: object) -> list[object]:
    """The units in which one return counts."""
    events = [event("a", entry), event("a", back)]
    coverage = covered("2024-01-01", "2027-01-01")
    rows = retention(events, coverage, warmup=0, numbers=range(40), **rule)  # type: ignore[arg-type]
    return [key[1] for key, row in rows.items() if row["value"]]


def test_amplitude_24_hours_is_day_0_by_exact_elapsed_time() -> None:
    assert golden("2024-12-01T17:59", "2024-12-02T17:00", unit="day", anchor="elapsed") == [0]
    # Amplitude cuts to the hour, 17:00 to 17:00, and says day 1.
    assert golden("2024-12-01T17:00", "2024-12-02T17:00", unit="day", anchor="elapsed") == [1]


def test_mixpanel_monday_evening_to_tuesday_morning() -> None:
    monday, tuesday = "2025-01-06T20:00", "2025-01-07T06:00"
    assert golden(monday, tuesday, unit="day", anchor="calendar") == [1]
    assert golden(monday, tuesday, unit="day", anchor="elapsed") == [0]


def test_mixpanel_friday_to_monday_is_calendar_week_1() -> None:
    friday, monday = "2025-01-10T12:00", "2025-01-13T12:00"
    assert golden(friday, monday, unit="week", anchor="calendar") == [1]
    assert golden(friday, monday, unit="week", anchor="elapsed") == [0]
    assert golden("2025-12-26T12:00", "2026-01-02T12:00", unit="week", anchor="calendar") == [1]  # over New Year


def test_elapsed_units_are_hours_and_calendar_units_dates() -> None:
    assert golden("2025-01-31T12:00", "2025-02-28T12:00", unit="month", anchor="calendar") == [1]
    assert golden("2025-01-31T12:00", "2025-03-02T11:59", unit="month", anchor="elapsed") == [0]
    assert golden("2025-01-31T12:00", "2025-03-02T12:00", unit="month", anchor="elapsed") == [1]
    assert golden("2025-01-31T12:59", "2025-01-31T13:00", unit="hour", anchor="calendar") == [1]
    assert golden("2025-01-31T12:59", "2025-01-31T13:58", unit="hour", anchor="elapsed") == [0]


def test_date_arithmetic_survives_the_short_day() -> None:
    """8 March 23:30 to 10 March 0:15 in New York: 23 h 45 min, and two dates, for the night has 23 hours."""
    events = [event("a", "2025-03-08T23:30", zone=NEW_YORK), event("a", "2025-03-10T00:15", zone=NEW_YORK)]
    coverage = covered("2025-01-01", "2026-01-01", timezone=NEW_YORK)
    cohort = day("2025-03-01")
    assert retention(events, coverage, warmup=0)[cohort, 2]["value"] == 1
    assert retention(events, coverage, warmup=0, anchor="elapsed")[cohort, 0]["value"] == 1


def test_a_return_stands_after_the_entry_and_day_0_counts_it() -> None:
    once = [event("a", "2025-01-01T10:00", seq=1)]
    coverage = covered("2025-01-01", "2025-02-01")
    cohort = day("2025-01-01")
    assert retention(once, coverage, warmup=0)[cohort, 0]["value"] == 0
    twice = [*once, event("a", "2025-01-01T10:00", seq=2)]
    assert retention(twice, coverage, warmup=0)[cohort, 0]["value"] == 1
    before = [event("a", "2025-01-01T10:00", "play", seq=1), event("a", "2025-01-01T10:00", "open", seq=2)]
    assert retention(before, coverage, warmup=0, entry="open", return_="play")[cohort, 0]["value"] == 0


def test_criteria_on_one_table() -> None:
    """Returns by days after the entry: a on 1, 2 and 5; b on 2; c never; d on 1, 2 and 3."""
    events = visits("a: 0 1 2 5; b: 0 2; c: 0; d: 0 1 2 3")
    coverage = covered("2025-01-01", "2025-02-01")
    cohort = day("2025-01-01")

    def numerators(**rule: object) -> list[int]:
        rows = retention(events, coverage, warmup=0, numbers=range(7), **rule)  # type: ignore[arg-type]
        return [row["numerator"] for row in rows.values()]

    assert numerators(criterion="on") == [0, 2, 3, 1, 0, 1, 0]
    assert numerators(criterion="on_or_after", horizon=4) == [3, 3, 3, 1, 0, 0, 0]
    assert numerators(criterion="on_or_after") == [3, 3, 3, 2, 1, 1, 0]
    assert numerators(criterion="on_or_before") == [0, 2, 3, 3, 3, 3, 3]
    assert numerators(criterion="streak") == [4, 2, 2, 1, 0, 0, 0]
    assert numerators(criterion="bracket", brackets=[(1, 1), (3, 6), (6, 9)]) == [2, 2, 0]
    unbounded = retention(events, coverage, warmup=0, criterion="on_or_after")[cohort, 1]
    assert unbounded["biased"]


def test_within_is_an_exact_duration_that_counts_its_end() -> None:
    events = [
        *(event("exact", at) for at in ("2025-01-01T10:00", "2025-01-04T10:00")),
        *(event("late", at) for at in ("2025-01-01T10:00", "2025-01-04T10:00:00.000001")),
        *(event("same", at, seq=n) for n, at in enumerate(("2025-01-01T10:00", "2025-01-01T10:00"))),
        event("censored", "2025-01-02T00:00:00.000001"),
    ]
    coverage = covered("2025-01-01", "2025-01-05")
    within = (timedelta(0), 72 * HOUR)
    row = retention(events, coverage, warmup=0, criterion="within", within=within)[day("2025-01-01"), within]
    assert (row["numerator"], row["eligible"], row["size"], row["status"]) == (1, 3, 4, "partial_cohort")


def test_right_censoring_is_per_member() -> None:
    """Elapsed days up to 4 January 0:00: the entry at noon of the 1st has two whole days, that of the 2nd one."""
    events = visits("a: 0 1 2; b: 1 2; c: 1")
    coverage = covered("2025-01-01", "2025-01-04")
    rows = retention(events, coverage, warmup=0, anchor="elapsed", numbers=range(4))
    cells = [(row["value"], row["eligible"], row["size"], row["status"]) for row in rows.values()]
    assert cells == [
        (0.0, 3, 3, "complete"),
        (1.0, 1, 3, "partial_cohort"),
        (None, 0, 3, "open"),
        (None, 0, 3, "open"),
    ]
    one = rows[day("2025-01-01"), 1]
    assert (one["numerator"], one["returned_not_eligible"], one["numerator_so_far"]) == (1, 1, 2)
    late = covered("2025-01-01", "2025-01-04", lateness=12 * HOUR)
    assert retention(events, late, warmup=0, anchor="elapsed")[day("2025-01-01"), 1]["eligible"] == 1
    later = covered("2025-01-01", "2025-01-04", lateness=13 * HOUR)
    assert retention(events, later, warmup=0, anchor="elapsed")[day("2025-01-01"), 1]["eligible"] == 0


def test_calendar_unit_of_a_monthly_cohort_ends_by_each_members_own_day() -> None:
    events = visits("a: 0; b: 2 3")
    coverage = covered("2025-01-01", "2025-01-04")
    rows = retention(events, coverage, warmup=0, numbers=range(3))
    assert [row["eligible"] for row in rows.values()] == [2, 1, 1]
    row = rows[day("2025-01-01"), 1]  # the day after b's, the 4th, has not ended
    assert (row["numerator"], row["numerator_so_far"]) == (0, 1)


def test_unbounded_and_bracket_wait_for_their_end() -> None:
    events = visits("a: 0 1")
    coverage = covered("2025-01-01", "2025-01-05")
    cohort = day("2025-01-01")
    assert retention(events, coverage, warmup=0, criterion="on_or_after", horizon=3)[cohort, 1]["value"] == 1
    assert retention(events, coverage, warmup=0, criterion="on_or_after", horizon=4)[cohort, 1]["value"] is None
    rows = retention(events, coverage, warmup=0, criterion="bracket", brackets=[(1, 3), (1, 4)])
    assert [row["status"] for row in rows.values()] == ["complete", "open"]


def test_recurring_puts_an_actor_in_every_period_of_an_entry() -> None:
    events = visits("a: 0 1 31 33; b: 0")
    coverage = covered("2025-01-01", "2025-04-01")
    first = retention(events, coverage, warmup=0, numbers=[1, 2])
    assert [row["numerator"] for row in first.values()] == [1, 0]
    rows = retention(events, coverage, warmup=0, numbers=[1, 2], cohort="recurring")
    assert {key: (row["numerator"], row["size"]) for key, row in rows.items()} == {
        (day("2025-01-01"), 1): (1, 2),
        (day("2025-01-01"), 2): (0, 2),
        (day("2025-02-01"), 1): (0, 1),
        (day("2025-02-01"), 2): (1, 1),
    }


def test_signup_cohort_counts_elapsed_weeks_from_signup() -> None:
    signup = {"a": day("2024-12-30"), "silent": day("2024-12-30")}
    events = visits("a: 0 6 13; b: 2")
    coverage = covered("2024-12-01", "2025-03-01")
    rows = retention(
        events, coverage, cohort_by="signup_date", signup=signup, unit="week", anchor="elapsed", numbers=range(3)
    )
    a = [rows[day("2024-12-01"), number]["numerator"] for number in range(3)]
    assert a == [1, 1, 1]  # 2.5, 8.5 and 15.5 days after signup
    assert rows[day("2024-12-01"), 0]["sources"] == ["signup_date"]
    assert rows[day("2024-12-01"), 0]["size"] == 2
    assert rows[day("2025-01-01"), 0]["sources"] == ["first_seen"]
    assert rows[day("2025-01-01"), 0]["numerator"] == 0


def test_actors_without_entry_and_before_history() -> None:
    events = [*visits("a: 0 1; b: 40 41"), event("c", "2025-01-05", "other")]
    coverage = covered("2025-01-01", "2025-04-01")
    rows = retention(events, coverage, entry="open", return_="open", numbers=[1])
    assert rows[NO_COHORT] == {"size": 1}
    assert rows[day("2025-01-01"), 1]["new_or_existing"] == 1
    assert rows[day("2025-02-01"), 1]["new_or_existing"] == 0
    apart = retention(events, coverage, entry="open", return_="open", numbers=[1], truncated="separate")
    assert set(apart) == {(NEW_OR_EXISTING, 1), (day("2025-02-01"), 1), NO_COHORT}


def test_breakdown_is_frozen_at_entry() -> None:
    events = [
        event("a", "2025-01-01T10:00", device="phone"),
        event("a", "2025-01-02T10:00", device="tv"),
        event("b", "2025-01-01T10:00"),
    ]
    coverage = covered("2025-01-01", "2025-02-01")
    cohort = day("2025-01-01")
    rows = retention(events, coverage, warmup=0, numbers=[1], segment="device")
    assert {key: row["value"] for key, row in rows.items()} == {(cohort, 1, "phone"): 1, (cohort, 1, "(unknown)"): 0}
    strict = retention(events, coverage, warmup=0, numbers=[1], segment="device", match_on_return=True)
    assert strict[cohort, 1, "phone"]["value"] == 0


def test_pooled_curve_takes_complete_cells_and_a_common_set() -> None:
    events = visits("a: 0 1; b: 0; c: 1 2; d: 2; e: 2 3", first="2025-01-06")
    coverage = covered("2025-01-06", "2025-01-10")
    rows = retention(events, coverage, warmup=0, cohort_grain="day", numbers=[1, 2])
    curve = pooled(rows)
    assert (curve[1]["numerator"], curve[1]["denominator"]) == (3, 5)  # 1/2, 1/1, 1/2
    assert curve[1]["simple"] == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert curve[2]["cohorts"] == [day("2025-01-06"), day("2025-01-07")]
    common = common_cohorts(rows, [1, 2])
    assert (pooled(rows, cohorts=common)[1]["value"], common) == (2 / 3, [day("2025-01-06"), day("2025-01-07")])


# Intervals


def test_wilson_and_ratio_by_hand() -> None:
    low, high = wilson(5, 10) or (0, 0)
    assert (round(low, 4), round(high, 4)) == (0.2366, 0.7634)  # Brown, Cai and DasGupta 2001 give the formula
    assert wilson(0, 0) is None
    # Actors (1 of 1) and (0 of 1): ratio 1/2, residuals ±1/2, variance 1/2, error sqrt(1/2/2)/1 = 1/2.
    ratio, below, above = ratio_of_sums([(1, 1), (0, 1)]) or (0, 0, 0)
    assert ratio == 0.5
    assert (above - below) / 2 == pytest.approx(1.959964 * 0.5, rel=1e-6)


# Sessions and bounce


def minutes(*groups: int, actor: str = "a", start: str = "2025-01-06T23:35") -> list[Event]:
    begin = datetime.fromisoformat(start)
    return [
        event(actor, (begin + timedelta(minutes=one)).isoformat(), "view", event_id=f"{actor}{one}") for one in groups
    ]


def lengths(sessions: list[list[Event]]) -> list[float]:
    return [(session[-1].at - session[0].at).total_seconds() / 60 for session in sessions]


def test_mixpanel_sessions_of_10_and_35_minutes() -> None:
    assert lengths(bounce.sessions_of(minutes(0, 5, 10, 45, 60, 80, start="2025-01-06T10:00"))) == [10, 35]


def test_mixpanel_session_over_midnight() -> None:
    night = minutes(0, 20, 35, 40)  # 23:35, 23:55, 0:10, 0:15
    assert lengths(bounce.sessions_of(night)) == [40]
    split = bounce.sessions_of(night, midnight=True)
    assert lengths(split) == [20, 5]
    assert [session[0].local_date for session in split] == [day("2025-01-06"), day("2025-01-07")]


def test_a_gap_of_exactly_the_timeout_stays() -> None:
    assert len(bounce.sessions_of(minutes(0, 30))) == 1
    assert len(bounce.sessions_of([*minutes(0), event("a", "2025-01-07T00:05:00.001", event_id="x")])) == 2


def view(at: str, name: str = "view", **props: object) -> Event:
    return event("a", f"2025-01-01T{at}", name, event_id=at + name, **props)


def test_bounce_rules_differ_on_the_same_sessions() -> None:
    sessions = [
        [view("10:00:00")],  # one view
        [view("11:00:00"), view("11:00:05", "heart")],  # one view and an interactive event, 5 s
        [view("12:00:00"), view("12:00:11", "ping", interactive=False)],  # one view, 11 s
        [view("13:00:00"), view("13:00:05")],  # two views
        [view("14:00:00"), view("14:00:10", "ping", interactive=False)],  # exactly 10 s
        [view("15:00:00"), view("15:00:01", "buy")],  # key event
        [view("16:00:00", "ping", interactive=False)],  # no view
    ]
    plausible = bounce.single_view(view="view", interactive=default_active)
    posthog = bounce.single_view(view="view", interactive=default_active, shorter_than=timedelta(seconds=10))
    ga4 = bounce.not_engaged(view="view", key_event=lambda item: item.name == "buy")
    snowplow = bounce.not_engaged_snowplow(view="view", heartbeat="ping", conversion=lambda item: item.name == "buy")
    assert [plausible(session) for session in sessions] == [True, False, True, False, True, False, False]
    assert [posthog(session) for session in sessions] == [True, False, False, False, False, False, False]
    assert [ga4(session) for session in sessions] == [True, True, False, False, True, False, True]
    assert [snowplow(session) for session in sessions] == [True, True, True, False, True, False, True]
    row = bounce.bounce(sessions, ga4)["all"]
    assert (row["numerator"], row["denominator"]) == (4, 7)
    assert bounce.engagement_rate(row) == pytest.approx(3 / 7)


def test_bounce_by_session_and_by_user_day_are_two_numbers() -> None:
    names = ("app_open", "app_close", "app_open", "video_play", "app_close")
    events = [event("a", f"2025-01-01T10:0{n}", name, event_id=str(n)) for n, name in enumerate(names)]
    events += [event("b", "2025-01-01T10:00", "app_open", event_id="b0"), event("c", "2025-01-01", "video_play")]
    sessions = bounce.bracketed_of(events, start="app_open", end="app_close")
    by_session = bounce.bounce_session(sessions, event="video_play")[day("2025-01-01")]
    assert (by_session["numerator"], by_session["denominator"]) == (2, 3)
    by_day = bounce.opened_not(events, opened="app_open", event="video_play")[day("2025-01-01")]
    assert (by_day["numerator"], by_day["denominator"]) == (1, 2)  # a played that day; c did not open


# Funnels


def steps(*moments: str, actor: str = "u", date_: str = "2025-01-01") -> list[Event]:
    """`A 1:00` and so on, in order."""
    found = []
    for number, moment in enumerate(moments):
        name, clock = moment.split()
        hour, rest = clock.split(":", 1)
        found.append(event(actor, f"{date_}T{int(hour):02d}:{rest}", name, seq=number, event_id=f"{actor}{number}"))
    return found


def depth(events: list[Event], names: str = "ABC", **rule: object) -> int:
    rows = funnel(events, steps=list(names), **{"observed_until": FAR, "window": HOUR, **rule})  # type: ignore[arg-type]
    return sum(row["numerator"] for row in rows.values())


MIXPANEL = ("A 1:00", "A 1:30", "B 1:45", "C 2:15")


def test_mixpanel_example_is_2_deep_by_first_and_3_by_best_attempt() -> None:
    assert depth(steps(*MIXPANEL), attempt="first") == 2
    assert depth(steps(*MIXPANEL), attempt="best") == 3
    rows = funnel(steps(*MIXPANEL), steps=list("ABC"), observed_until=FAR, window=HOUR)
    assert rows[3]["seconds"] == [45 * 60]
    assert rows[3]["value"] == 1


def test_window_counts_its_end() -> None:
    assert depth(steps("A 1:00", "B 2:00"), "AB") == 2
    assert depth(steps("A 1:00", "B 2:00:00.000001"), "AB") == 1


def test_one_instance_fills_one_step() -> None:
    assert depth(steps("A 1:00"), "AA") == 1
    assert depth(steps("A 1:00", "A 1:01"), "AA") == 2


def test_equal_times_go_by_seq_unless_a_tolerance_is_set() -> None:
    wrong = steps("B 1:00", "A 1:00")
    assert depth(wrong, "AB") == 1
    assert depth(wrong, "AB", simultaneity=timedelta(seconds=1)) == 2
    assert depth(steps("A 1:00", "B 1:00"), "AB") == 2
    assert depth(steps("B 1:00:00", "A 1:00:02"), "AB", simultaneity=timedelta(seconds=1)) == 1


def test_strict_allows_no_other_event_between() -> None:
    events = steps("A 1:00", "X 1:05", "B 1:10", "C 1:20")
    assert depth(events, order_="strict") == 1
    assert depth(events, order_="strict", tracked=lambda item: item.name in "ABC") == 3
    again = [*events, *steps("A 1:30", "B 1:40", actor="u")]
    assert depth(again, "AB", order_="strict") == 2


def test_any_order_takes_the_steps_as_they_come() -> None:
    events = steps("C 1:00", "A 1:20", "B 1:50")
    assert depth(events) == 2  # A, B
    assert depth(events, order_="any") == 3
    assert depth(steps("C 1:00", "A 1:20", "B 2:01"), order_="any") == 2
    assert depth(steps("A 1:00", "B 1:30"), "AAB", order_="any") == 2


def test_exclusion_ends_the_attempt_at_the_step_before() -> None:
    bought = steps("A 1:00", "X 1:10", "B 1:20", "C 1:30")
    assert depth(bought, exclusions=[Exclusion(1, 2, "X")]) == 1
    assert depth(bought, exclusions=[Exclusion(2, 3, "X")]) == 3
    later = steps("A 1:00", "B 1:10", "X 1:20", "C 1:30")
    assert depth(later, exclusions=[Exclusion(1, 2, "X")]) == 3
    assert depth(later, exclusions=[Exclusion(1, 3, "X")]) == 2  # where it was when X came
    second = steps("A 1:00", "B 1:10", "X 1:20", "B 1:25", "C 1:30")
    assert depth(second, exclusions=[Exclusion(2, 3, "X")]) == 2  # the attempt was at B already
    again = [*bought, *steps("A 2:00", "B 2:10")]
    assert depth(again, exclusions=[Exclusion(1, 2, "X")]) == 2  # the second entry


def test_open_entry_is_left_out_and_not_its_actor() -> None:
    events = steps("A 1:00", "B 3:00", "A 4:30", "B 4:40")
    rows = funnel(events, steps=["A", "B"], observed_until=upto("2025-01-01T05:00"), window=HOUR)
    assert (rows[1]["numerator"], rows[2]["numerator"], rows[2]["open_entries"]) == (1, 0, 1)
    done = funnel(events, steps=["A", "B"], observed_until=upto("2025-01-01T05:30"), window=HOUR)
    assert (done[2]["value"], done[2]["open_entries"]) == (1, 0)


def test_entry_in_range_and_later_steps_outside() -> None:
    events = [*steps("A 23:30"), *steps("B 0:15", date_="2025-01-02")]
    first = day("2025-01-01")
    assert depth(events, "AB", in_range=lambda item: item.local_date == first) == 2
    assert depth(events, "AB", in_range=lambda item: item.local_date > first) == 0


def test_constant_key_and_breakdown() -> None:
    events = [
        event("u", "2025-01-01T01:00", "A", seq=1, item="x", device="phone"),
        event("u", "2025-01-01T01:10", "B", seq=2, item="y", device="tv"),
        event("v", "2025-01-01T01:00", "A", seq=1, item="x", device="tv"),
        event("v", "2025-01-01T01:10", "B", seq=2, item="x", device="phone"),
    ]
    assert depth(events, "AB") == 4
    assert depth(events, "AB", hold_constant=["item"]) == 3
    rule = {"steps": ["A", "B"], "observed_until": FAR, "window": HOUR, "breakdown": "device"}
    at_entry = {key: row["numerator"] for key, row in funnel(events, **rule).items()}  # type: ignore[arg-type]
    assert at_entry == {("phone", 1): 1, ("phone", 2): 1, ("tv", 1): 1, ("tv", 2): 1}
    at_second = funnel(events, breakdown_by=2, **rule)  # type: ignore[arg-type]
    assert {key: sorted(row["actors"]) for key, row in at_second.items() if key[1] == 2} == {
        ("phone", 2): ["v"],
        ("tv", 2): ["u"],
    }


@pytest.mark.parametrize("seed", range(20))
def test_funnels_never_widen_and_orders_nest(seed: int) -> None:
    draw = random.Random(seed)
    events = []
    for actor in "uvwx":
        times = sorted(draw.randrange(120) for _ in range(9))
        events += steps(*(f"{draw.choice('ABCX')} {at // 60 + 1}:{at % 60:02d}" for at in times), actor=actor)
    rule = {"steps": list("ABC"), "observed_until": FAR, "window": timedelta(minutes=40)}
    last = {kind: funnel(events, order_=kind, **rule)[3]["numerator"] for kind in ("strict", "ordered", "any")}  # type: ignore[arg-type]
    assert last["strict"] <= last["ordered"] <= last["any"]
    slow, quick = funnel(events, **rule), funnel(events, quick=True, **rule)  # type: ignore[arg-type]
    assert slow == quick
    first = funnel(events, attempt="first", **rule)  # type: ignore[arg-type]
    assert all(first[number]["numerator"] <= slow[number]["numerator"] for number in (1, 2, 3))


# Activation, adoption, drop-off


def test_activation_counts_new_actors_observed_long_enough() -> None:
    day_1 = timedelta(days=1)
    events = [
        *visits("old: 0; yes: 30; no: 30; late: 58"),
        event("yes", "2025-02-01T12:00", "play"),  # exactly one day later
        event("no", "2025-02-01T12:00:01", "play"),
        event("late", "2025-02-28T13:00", "play"),
    ]
    coverage = covered("2025-01-01", "2025-03-01")
    rows = activation.activation(events, coverage, criterion=activation.does("play"), within=day_1)
    everyone = rows["all"]
    assert (everyone["numerator"], everyone["denominator"], everyone["size"]) == (1, 2, 3)
    assert everyone["new_or_existing"] == 1
    assert (rows[day("2025-02-01")]["value"], rows[day("2025-02-01")]["size"]) == (None, 1)


def test_activation_by_watch_time_of_the_first_session() -> None:
    events = [
        *(view(at, "watch", seconds=15) for at in ("10:00", "10:20", "11:00")),
        *(event("b", f"2025-01-01T{at}", "watch", seconds=29.5) for at in ("10:00", "12:00")),
        event("c", "2025-01-01T23:50", "watch", seconds=60),
    ]

    def first_session(own: list[Event]) -> tuple[list[Event], datetime]:
        session = bounce.sessions_of(own)[0]
        return session, session[-1].at + timedelta(minutes=30)

    row = activation.activation(
        events,
        covered("2025-01-01", "2025-01-02"),
        criterion=activation.sums_to("seconds", 30),
        within=None,
        first_session=first_session,  # type: ignore[arg-type]
        warmup=0,
    )["all"]
    assert (row["numerator"], row["denominator"], row["size"]) == (1, 2, 3)


def test_adoption_depth_eligibility_and_time() -> None:
    events = [
        event("a", "2025-01-06T10:00", app_version="1.9"),
        event("b", "2025-01-06T10:00", app_version="1.10"),
        event("b", "2025-01-07T10:00", "search", app_version="1.10"),
        event("b", "2025-01-07T11:00", "search", app_version="1.10"),
        event("b", "2025-01-16T10:00", "search", app_version="1.10"),
        event("c", "2025-01-06T10:00", app_version="2.0"),
    ]
    coverage = covered("2025-01-06", "2025-01-27")
    rows = adoption.adoption(events, coverage, feature="search")
    first, second, third = rows.values()
    assert (first["numerator"], first["denominator"], first["depth"]) == (1, 3, 2)
    assert first["is_default_eligibility"]
    assert second["value"] == 1
    assert third["value"] is None
    able = adoption.adoption(events, coverage, feature="search", eligible=adoption.version_at_least("1.10"))
    assert able[day("2025-01-06")]["denominator"] == 2
    assert adoption.time_to_adopt(events, feature="search")["value"] == 24 * 3600
    assert adoption.retained_adoption(events, coverage, feature="search", weeks=1)["value"] == 1
    assert adoption.retained_adoption(events, coverage, feature="search", weeks=2)["denominator"] == 0


def test_dropoff_counts_sessions_without_watching() -> None:
    watched = dropoff.WatchedSession
    sessions = [
        watched("a", None, {"os": "iOS", "version": "1"}),
        watched("a", 9.99, {"os": "iOS", "version": "1"}),
        watched("b", 10, {"os": "iOS", "version": "1"}),
        watched("c", 50, {"os": "Android", "version": "1"}),
        watched("d", 3, {"os": "Android", "version": "2"}),
    ]
    rows = dropoff.dropoff(sessions, by="os", stratify_by="version")
    assert (rows["iOS"]["numerator"], rows["iOS"]["denominator"]) == (2, 3)
    assert rows["iOS"]["without_watch"] == pytest.approx(1 / 3)
    # Version 2 has Android alone; in version 1 it is 2/3 against 0/1.
    assert rows["iOS"]["difference"] == pytest.approx(2 / 3)
    assert rows["Android"]["difference"] == pytest.approx(-2 / 3)
    assert rows["Android"]["verdict"] == "cannot be told"


def test_dropoff_difference_weighs_its_strata() -> None:
    """Strata of (3 inside, 1 outside) and (2, 2): weights 3/4 and 1; differences 1/3 − 0 and 1/2 − 1/2."""
    plan = [("1", "x", d) for d in (1, 0, 0)] + [("1", "y", 0)]
    plan += [("2", "x", d) for d in (1, 0)] + [("2", "y", d) for d in (1, 0)]
    sessions = [
        dropoff.WatchedSession(f"u{n}", 0 if dropped else 60, {"os": os, "version": version})
        for n, (version, os, dropped) in enumerate(plan)
    ]
    row = dropoff.dropoff(sessions, by="os", stratify_by="version")["x"]
    assert row["difference"] == pytest.approx((0.75 / 3) / 1.75)


def test_benjamini_hochberg_and_verdicts() -> None:
    assert dropoff.benjamini_hochberg([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert dropoff.verdict(0.05, 0.02, (0.001, 0.04)) == "abnormal"
    assert dropoff.verdict(0.01, 0.019, (0.01, 0.03)) == "no difference"
    assert dropoff.verdict(0.01, -0.2, (-0.3, -0.1)) == "abnormal"  # to the other side: its sign says so
    assert dropoff.verdict(0.06, -0.2, (-0.3, -0.1)) == "cannot be told"
    assert dropoff.verdict(0.9, 0.0, (-0.05, 0.05)) == "no difference"
    assert dropoff.verdict(None, None, None) == "cannot be told"


def test_heterogeneity_of_a_table_by_hand() -> None:
    """10 of 20 against 5 of 20: Pearson 40·(10·15 − 5·10)² / (15·25·20·20) = 8/3."""
    sessions = [
        dropoff.WatchedSession(f"{os}{n}", 0 if n < bad else 60, {"os": os})
        for os, bad in (("x", 10), ("y", 5))
        for n in range(20)
    ]
    found = dropoff.heterogeneity(sessions, by="os")
    assert found["pearson"] == pytest.approx(8 / 3)
    # Wald: (1/4)² / (.5·.5/20 + .25·.75/20), with 40/39 for the number of actors.
    assert found["wald"] == pytest.approx(0.0625 / (0.0125 + 0.009375) * 39 / 40)
    assert found["degrees_of_freedom"] == 1


# Revenue


def test_revenue_prices_each_sale_by_its_own_time() -> None:
    products = [
        revenue.ProductRow("p", None, Decimal(10), "toys"),
        revenue.ProductRow("p", upto("2025-01-15"), Decimal(12), "games"),
        revenue.ProductRow("q", upto("2025-02-01"), Decimal(5), "books"),
    ]
    events = [
        event("a", "2025-01-10", product_id="p"),  # 1 × 10, toys
        event("a", "2025-01-15", product_id="p", quantity=2),  # 2 × 12, games, from its first instant
        event("a", "2025-01-20", product_id="p", quantity=-1),  # a refund
        event("a", "2025-01-20", product_id="p", price=0.1, quantity=3),  # the event's own price
        event("a", "2025-01-20", product_id="q"),  # before its history: the current price, flagged
        event("a", "2025-01-20", product_id="z", price=7),
        event("a", "2025-01-20", product_id="z"),
        event("a", "2025-02-20", product_id="z", price=7, currency="EUR"),
    ]
    sales = revenue.priced(events, products)
    rows = revenue.revenue(sales, covered("2025-01-01", "2025-02-25"))
    january, february = day("2025-01-01"), day("2025-02-01")
    assert {key: row["value"] for key, row in rows.items()} == {
        (january, "toys", None): Decimal(10),
        (january, "games", None): Decimal("12.3"),
        (january, "books", None): Decimal(5),
        (january, "(unknown)", None): Decimal(7),
        (february, "(unknown)", "EUR"): Decimal(7),
    }
    assert rows[january, "games", None]["refunds"] == 12
    assert rows[january, "books", None]["current_price"] == 1
    assert rows[january, "(unknown)", None]["unpriced"] == 1
    assert rows[february, "(unknown)", "EUR"]["status"] == "open"
    assert len(sales) == len(events)


# Count facts


def test_diversity_of_shares() -> None:
    even = diversity([5, 5, 5, 5], k=1)
    assert (even["hhi"], even["effective_number"], even["top_k_share"]) == (0.25, 4, 0.25)
    assert even["shannon"] == pytest.approx(log(4))
    assert even["exp_shannon"] == pytest.approx(4)
    skewed = diversity([3, 1, 0, None])
    assert skewed["hhi"] == 0.625
    assert skewed["diversity"] == 0.375
    assert skewed["shannon"] == pytest.approx(-(0.75 * log(0.75) + 0.25 * log(0.25)))
    assert diversity([0, None])["hhi"] is None


def test_sums_with_a_missing_day_are_degraded() -> None:
    counts = [("x", day("2025-01-06"), 3), ("y", day("2025-01-06"), 1), ("x", day("2025-01-08"), 1)]
    coverage = covered("2025-01-06", "2025-01-13", missing=frozenset({day("2025-01-07")}))
    by_day = sums(counts, coverage)
    assert [row["value"] for row in by_day.values()] == [4, None, 1, 0, 0, 0, 0]
    week = sums(counts, coverage, grain="week")[day("2025-01-06")]
    assert (week["value"], week["status"]) == (5, "degraded")
    assert diversity_by_period(counts, coverage, grain="week")[day("2025-01-06")]["hhi"] == pytest.approx(17 / 25)


def test_streaks_end_at_zero_at_missing_days_and_at_the_edge() -> None:
    first, last = day("2025-01-01"), day("2025-01-12")
    seen = {1: 2, 2: 2, 4: 1, 5: 1, 6: 1, 9: 1, 11: 3, 12: 4}
    missing = {day("2025-01-07")}
    counts = [("x", date(2025, 1, number), value) for number, value in seen.items()]
    days = {one: row for (_, one), row in entity_days(counts, first=first, last=last, missing=missing).items()}
    found = streaks(days, first=first, last=last)
    assert found == [
        Streak(day("2025-01-01"), 2, False, True),
        Streak(day("2025-01-04"), 3, True, False),
        Streak(day("2025-01-09"), 1, False, False),
        Streak(day("2025-01-11"), 2, True, False),
    ]
    assert streak_lengths(found) == {
        "n": 4,
        "censored": 2,
        "mean": 2,
        "median": 2,
        "mean_uncensored": 1.5,
        "median_uncensored": 1.5,
        "kaplan_meier_median": 2,  # 1 − 1/4 = .75 at 1; .75·(1 − 1/3) = .5 at 2
    }
    assert [one.length for one in streaks(days, first=first, last=last, threshold=2)] == [2]
    assert weekdays.gaps(days, first=first, last=last) == {
        "zero_days": 3,
        "missing_days": 1,
        "longest_zero": 1,
        "longest_missing": 1,
        "longest_gap": 2,  # 7 and 8 January
    }


def test_kaplan_meier_median() -> None:
    assert kaplan_meier_median([(1, False), (2, False), (3, False)]) == 2
    assert kaplan_meier_median([(1, False), (2, True), (3, True)]) is None
    assert kaplan_meier_median([]) is None


def test_spike_against_eight_same_weekdays() -> None:
    monday = day("2025-01-06")
    values: dict[date, float | None] = {monday + timedelta(days=7 * week): 99 for week in range(8)}
    values[monday + timedelta(days=56)] = 199
    values[monday + timedelta(days=63)] = 99
    values[monday + timedelta(days=57)] = 10**6  # a Tuesday, with nothing before it
    found = spikes.spikes(values)
    row = found[monday + timedelta(days=56)]
    assert row["scale"] == pytest.approx(0.1)  # MAD 0, so the floor 1/√(99 + 1)
    assert row["z"] == pytest.approx(log(2) / 0.1)
    assert row["is_spike"]
    assert not found[monday + timedelta(days=63)]["is_spike"]
    assert found[monday + timedelta(days=63)]["z"] == pytest.approx(0)
    assert found[monday + timedelta(days=57)]["z"] is None
    assert [one["n"] for one in found.values()][:3] == [0, 1, 2]


def test_spike_scale_is_the_mad_of_logarithms_where_that_is_wider() -> None:
    monday = day("2025-01-06")
    history = [0, 0, 0, 0, 20_000, 20_000, 20_000, 20_000]
    values: dict[date, float | None] = {monday + timedelta(days=7 * n): value for n, value in enumerate(history)}
    values[monday + timedelta(days=56)] = 0
    half = log1p(20_000) / 2
    row = spikes.spikes(values)[monday + timedelta(days=56)]
    assert (row["median"], row["mad"]) == (pytest.approx(half), pytest.approx(half))
    assert row["scale"] == pytest.approx(1.4826 * half)
    assert 1 / sqrt(10_001) < row["scale"]


def test_a_missing_day_is_no_value_of_the_history() -> None:
    monday = day("2025-01-06")
    values: dict[date, float | None] = {monday + timedelta(days=7 * n): 3 for n in range(10)}
    values[monday + timedelta(days=14)] = None
    found = spikes.spikes(values)
    assert found[monday + timedelta(days=56)]["n"] == 7
    assert found[monday + timedelta(days=63)]["n"] == 8


def test_weekday_profile_of_complete_weeks() -> None:
    monday = day("2025-01-06")
    weeks = [[1, 1, 1, 1, 1, 1, 8], [2, 2, 2, 2, 2, 2, 2], [9, None, 9, 9, 9, 9, 9], [0] * 7]
    values = {
        monday + timedelta(days=7 * week + offset): value
        for week, row in enumerate(weeks)
        for offset, value in enumerate(row)
    }
    found = weekdays.weekday_profile(values)
    assert found[1] == {"value": pytest.approx((0.5 + 1) / 2), "weeks": 2}
    assert found[7]["value"] == pytest.approx((4 + 1) / 2)
    assert sum(row["value"] for row in found.values()) == pytest.approx(7)
    shifted = weekdays.weekday_profile(values, week_start="sunday")
    assert shifted[1]["weeks"] == 2  # 12 to 18 January, and 26 January to 1 February with 9 and six zeros
