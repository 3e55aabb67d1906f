"""Real sets: a build of the same files holds what the loaders read, published numbers come out, and actives agree.

The source of the cohort numbers: Online Retail (UCI 352), December 2010 to June 2011.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import tidelake
from tests.checks.active import average_daily, calendar, daily, rolling, rolling_by_period
from tests.checks.events import WORST_FIRST, Coverage, Event, by_actor, period_days, start_of
from tests.checks.lifecycle import lifecycle
from tests.checks.power_curve import power_curve
from tests.checks.real import REAL_SETS, RealSet, read_online_retail, read_streampro_signups
from tests.checks.retention import retention
from tests.checks.stickiness import stickiness_avg
from tests.projects import TinyProject

Shared = Callable[[str], Path]
DECEMBER = date(2010, 12, 1)


@pytest.fixture(scope="module", params=REAL_SETS, ids=lambda one: one.archive)
def real(request: pytest.FixtureRequest, shared_data: Shared) -> tuple[RealSet, list[Event], Coverage]:
    """A set with its events and what is known of how complete they are."""
    one: RealSet = request.param
    events = one.read(shared_data(one.archive))
    return one, events, one.coverage(events)


@pytest.fixture(scope="module")
def built(
    real: tuple[RealSet, list[Event], Coverage], shared_data: Shared, tmp_path_factory: pytest.TempPathFactory
) -> TinyProject:
    """A project over the same files, built."""
    one = real[0]
    project = TinyProject(one.write(shared_data(one.archive), tmp_path_factory.mktemp("real") / one.archive))
    project.build()
    return project


@pytest.fixture(scope="module")
def retail(shared_data: Shared) -> list[Event]:
    return read_online_retail(shared_data("online_retail_uci"))


def cohort_of_december(events: list[Event]) -> list[int]:
    coverage = Coverage.of(events, timezone="Europe/London")
    rows = retention(events, coverage, unit="month", numbers=range(7), warmup=0)
    cells = [rows[DECEMBER, number] for number in range(7)]
    assert [row["status"] for row in cells] == ["complete"] * 6 + ["open"]
    assert {row["size"] for row in cells} == {cells[0]["size"]}
    return [cells[0]["size"], *(row["numerator"] for row in cells[1:6]), cells[6]["numerator_so_far"]]


def test_online_retail_cohort_of_december(retail: list[Event]) -> None:
    """948 customers, and 362, 317, 367, 341, 376 of them in January to May (319 by 26 June, which is not over).

    Exactly this comes of: every line with a customer, cancellations included (a customer whose only line of a month is
    a cancellation was active). Lines without a customer have no actor. Prices of 0 and countries do not matter. The
    history begins with the cohort, so these customers need not be new: `warmup` is 0.
    """
    assert cohort_of_december(retail) == [948, 362, 317, 367, 341, 376, 319]
    priced = [item for item in retail if item.props["UnitPrice"] > 0]
    assert cohort_of_december(priced) == [948, 362, 317, 367, 341, 376, 319]
    bought = [item for item in retail if item.name == "purchase"]
    assert cohort_of_december(bought) == [885, 324, 286, 340, 321, 352, 284]
    british = [item for item in retail if item.props["Country"] == "United Kingdom"]
    assert cohort_of_december(british) == [871, 322, 291, 329, 308, 345, 287]


def test_default_warmup_says_that_the_december_cohort_may_be_older(retail: list[Event]) -> None:
    coverage = Coverage.of(retail, timezone="Europe/London")
    row = retention(retail, coverage, unit="month", numbers=[1])[DECEMBER, 1]
    assert (row["size"], row["new_or_existing"]) == (948, 948)  # all came before 29 December
    december, january, *_ = lifecycle(retail, coverage, grain="month").values()
    assert (december["new"], december["new_or_existing"], december["active"]) == (0, 948, 948)
    assert (january["returning"], january["churned"]) == (362, 948 - 362)


def test_loaders_read_every_line(real: tuple[RealSet, list[Event], Coverage]) -> None:
    one, events, _ = real
    lines, actors, without = {
        "collegemsg": (59_835, 1_350, 0),
        "online_retail_uci": (240_007, len({item.actor for item in events} - {None}), 67_225),
        "streampro_events": (6_688, 300, 0),
    }[one.archive]
    assert len(events) == lines
    assert len(by_actor(events)) == actors
    assert sum(item.actor is None for item in events) == without


def test_streampro_signups_are_of_its_users(shared_data: Shared) -> None:
    folder = shared_data("streampro_events")
    events = next(one for one in REAL_SETS if one.archive == "streampro_events").read(folder)
    assert set(by_actor(events)) <= set(read_streampro_signups(folder))


def test_curve_and_stickiness_of_real_actives_agree(real: tuple[RealSet, list[Event], Coverage]) -> None:
    """Section 3: `Σ n_j = MAU_28`, `Σ j·n_j = Σ DAU`, `mean(L28)/28 = stickiness_avg`, of received days."""
    _, events, coverage = real
    curve = power_curve(events, coverage)
    last = curve["days"][-1]
    row = stickiness_avg(events, coverage)[last]
    assert sum(one["value"] for one in curve["exactly"].values()) == row["denominator"]
    assert sum(j * one["value"] for j, one in curve["exactly"].items()) == row["active_days"]
    received = sum(coverage.first <= day and coverage.day_status(day) != "missing" for day in curve["days"])
    assert curve["mean"] / received == pytest.approx(row["value"])


def test_a_build_holds_the_same_events(real: tuple[RealSet, list[Event], Coverage], built: TinyProject) -> None:
    one, events, _ = real
    silver = Counter((row["actor_id"], row["event_time"]) for row in built.rows(f"silver.{one.source}"))
    assert silver == Counter((item.actor, item.at) for item in events)


def test_measured_actives_agree(real: tuple[RealSet, list[Event], Coverage], built: TinyProject) -> None:
    """Values and statuses of `measure`, row by row."""
    _, events, coverage = real
    thin = list({(item.actor, item.local_date): item for item in events}.values())
    naive: dict[tuple[str, str], Mapping[date, Mapping[str, Any]]] = {
        ("dau", "day"): daily(thin, coverage),
        ("wau", "day"): rolling(thin, coverage, length=7),
        ("mau", "day"): rolling(thin, coverage, length=30),
        ("mau_28", "day"): rolling(thin, coverage, length=28),
        ("wau_cal", "week"): calendar(thin, coverage, grain="week"),
        ("mau_cal", "month"): calendar(thin, coverage, grain="month"),
    }
    with tidelake.open(built.root) as session:
        for (metric, grain), expected in naive.items():
            rows = session.measure(metric, grain=grain).to_dicts()
            got = {row["period_start"]: (row["value"], row["status"]) for row in rows}
            assert got == {key: (row["value"], row["status"]) for key, row in expected.items()}, (metric, grain)
        average = session.measure("average_dau", grain="month").to_dicts()
    row = average_daily(events, coverage)
    assert sum(one["numerator"] or 0 for one in average) == row["numerator"]
    assert sum(one["denominator"] or 0 for one in average) == row["denominator"]


def test_measured_rolling_actives_of_periods_agree(
    real: tuple[RealSet, list[Event], Coverage], built: TinyProject
) -> None:
    """A rolling metric of weeks and months: the window's status, and `open` while the period goes on.

    Only periods with a complete day: of others the definition does not speak.
    """
    _, events, coverage = real
    with tidelake.open(built.root) as session:
        for metric, length in (("wau", 7), ("mau_28", 28)):
            for grain in ("week", "month"):
                expected = rolling_by_period(events, coverage, length=length, grain=grain)
                rows = session.measure(metric, grain=grain).to_dicts()
                got = {row["period_start"]: (row["value"], row["status"]) for row in rows}
                compared = 0
                for first, row in expected.items():
                    if row is None:
                        continue
                    compared += 1
                    end = start_of(period_days(first, grain)[-1] + timedelta(days=1), coverage.timezone)
                    timed = "open" if end > coverage.observed_until else "complete"
                    status = min(row["status"], timed, key=WORST_FIRST.index)
                    assert got[first] == (row["value"], status), (metric, grain, first)
                assert compared
