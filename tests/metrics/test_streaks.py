"""Streaks of days by hand, and against a plain loop (METRICS section 13)."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gold.tiny import Tiny
from tests.metrics.counts import Sites
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.metrics.answer import defined
from tidelake.metrics.kinds.runs import kaplan_meier_median
from tidelake.metrics.streaks import Streaks, lengths_summary, streaks

FIRST = date(2025, 1, 1)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def each(sites: Sites, **options: Any) -> list[tuple[Any, ...]]:
    found = sites.ask(streaks, Streaks(metric="views", **options), by=["entity"], each=True).to_dicts()
    return sorted(
        (
            row["entity"],
            (row["first_date"] - FIRST).days,
            row["value"],
            not row["is_start_known"],
            not row["is_end_known"],
        )
        for row in found
    )


def test_the_median_of_lengths_that_were_seen_in_part() -> None:
    """Ends after 1, 3 and 4 days, one run seen for 2 days: survival is 3/4 after day 1, then of two at risk one ends
    on day 3: 3/8, no more than half. Without the censored run the median is 3 too, with it as an end 2.5.
    """
    assert kaplan_meier_median({1: 1, 3: 1, 4: 1}, {2: 1}) == 3
    assert kaplan_meier_median({2: 1, 5: 1}, {}) == 2  # exactly half outlast 2 days
    assert kaplan_meier_median({1: 1}, {9: 2}) is None  # two of three were seen to outlast everything
    assert kaplan_meier_median({2: 1}, {2: 1}) == 2  # at one length the end comes before the censoring: 1/2
    assert kaplan_meier_median({}, {3: 2}) is None
    assert kaplan_meier_median({}, {}) is None


def test_published_remission_times_have_the_published_median() -> None:
    """Weeks of remission under 6-mercaptopurine (Freireich and others, 1963): the median in textbooks is 23."""
    ended = {6: 3, 7: 1, 10: 1, 13: 1, 16: 1, 22: 1, 23: 1}
    censored = {6: 1, 9: 1, 10: 1, 11: 1, 17: 1, 19: 1, 20: 1, 25: 1, 32: 2, 34: 1, 35: 1}
    assert kaplan_meier_median(ended, censored) == 23


def test_summary_with_and_without_the_censored_ones() -> None:
    """Whole 1, 3, 4 and censored 2: mean 10/4 and 8/3, median (2 + 3)/2 and 3."""
    found = lengths_summary({1: 1, 3: 1, 4: 1}, {2: 1})
    assert (found["n"], found["censored"], found["longest_days"]) == (4, 1, 4)
    assert (found["mean_days"], found["mean_days_whole"]) == (2.5, pytest.approx(8 / 3))
    assert (found["median_days"], found["median_days_whole"], found["value"]) == (2.5, 3, 3)
    assert lengths_summary({}, {})["value"] is None


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Days 0 to 9; day 5 missing for all; day 9 is open (its file's last row says no more).

    a: 3 2 0 0 1 - 0 4 4 1     b (from day 2 on): 1 1 1 - 1 0 0 2
    """
    with Sites(tmp_path_factory.mktemp("sites")) as made:
        made.series("a", FIRST, [3, 2, 0, 0, 1, None, 0, 4, 4, 1])
        made.series("b", day(2), [1, 1, 1, None, 1, 0, 0, 2])
        made.build()
        yield made


def test_streaks_end_at_zeros_missing_days_and_the_edges(sites: Sites) -> None:
    """a: 0-1 from the data's edge; 4 into the missing day; 7-9 to the edge. b: begins on day 2, which is known."""
    assert each(sites) == [
        ("a", 0, 2, True, False),
        ("a", 4, 1, False, True),
        ("a", 7, 3, False, True),
        ("b", 2, 3, False, True),
        ("b", 6, 1, True, False),
        ("b", 9, 1, False, True),
    ]


def test_a_threshold_must_be_passed(sites: Sites) -> None:
    """More than 1: a has 3 2, then 4 4, whose next day, the last, is open: it may still grow."""
    assert each(sites, threshold=1) == [("a", 0, 2, True, False), ("a", 7, 2, False, True), ("b", 9, 1, False, True)]


def test_one_row_an_entity_with_zero_and_missing_days_and_the_longest_gap(sites: Sites) -> None:
    """a: zeros on days 2, 3 and 6; the gap 2-3 is whole. b: zeros on 7 and 8, whole.
    a: streaks 2+, 1+, 3+ all censored: no median. b: 3+, 1+, 1+ likewise.
    """
    rows = {row["entity"]: row for row in sites.ask(streaks, "views", by=["entity"]).to_dicts()}
    a = rows["a"]
    assert (a["value"], a["n"], a["censored"], a["mean_days"], a["mean_days_whole"]) == (None, 3, 3, 2, None)
    assert (a["zero_days"], a["missing_days"], a["longest_gap_days"], a["is_gap_censored"]) == (3, 1, 2, False)
    b = rows["b"]
    assert (b["zero_days"], b["missing_days"], b["longest_gap_days"], b["is_gap_censored"]) == (2, 1, 2, False)
    assert b["status"] == "degraded"


def test_a_zero_of_an_open_day_is_none_yet(tmp_path: Path) -> None:
    """a: 1 0 0, and day 2 is open: one day of 0 is known, and the gap may go on."""
    with Sites(tmp_path) as made:
        made.series("a", FIRST, [1, 0, 0])
        made.series("b", FIRST, [1, 1, 1])
        made.build()
        row = made.ask(streaks, "views", by=["entity"]).to_dicts()[0]
    assert (row["entity"], row["zero_days"], row["longest_gap_days"], row["is_gap_censored"]) == ("a", 1, 1, True)


def test_dates_asked_for_are_edges(sites: Sites) -> None:
    found = sites.ask(streaks, "views", by=["entity"], each=True, start=day(7), end=day(8)).to_dicts()
    assert [(row["entity"], row["value"], row["is_censored"]) for row in found] == [("a", 2, True)]


def test_the_metric_as_a_whole(sites: Sites) -> None:
    """a + b: 3 2 1 1 2 - 1 4 4 3: two streaks, cut by the missing day."""
    (row,) = sites.ask(streaks, "views").to_dicts()
    assert (row["n"], row["censored"], row["longest_days"], row["mean_days"]) == (2, 2, 5, 4.5)
    assert (row["zero_days"], row["missing_days"]) == (0, 1)


def test_a_closed_entity_has_ended_its_streak(tmp_path: Path) -> None:
    """`old` is seen on days 0 and 1, then not for 28 received days: its streak starts at the edge, its end is known."""
    with Sites(tmp_path) as made:
        made.series("old", FIRST, [1, 1])
        made.series("en", FIRST, [1] * 31)
        made.build()
        assert each(made)[1] == ("old", 0, 2, True, False)
        row = made.ask(streaks, "views", by=["entity"]).to_dicts()[1]
        assert (row["entity"], row["zero_days"], row["missing_days"], row["longest_gap_days"]) == ("old", 0, 0, 0)


def test_events_have_streaks_too(tmp_path: Path) -> None:
    """Clicks on 1, 2 and 4 March, the last open; nothing came on the 3rd: missing, not 0."""
    with Tiny(tmp_path) as tiny:
        tiny.add([{"event_time": f"2025-03-0{number} 10:00"} for number in (1, 2, 4)])
        tiny.build()
        found = tiny.ask(streaks, "events", each=True).to_dicts()
    assert [(row["first_date"].day, row["value"], row["is_censored"]) for row in found] == [(1, 2, True), (4, 1, True)]


def test_nothing_yet_and_wrong_names(tmp_path: Path) -> None:
    with Sites(tmp_path) as made:
        assert made.ask(streaks, "views", by=["entity"]).to_dicts() == []
        with pytest.raises(UnknownNameError):
            made.ask(streaks, "vews")
        with pytest.raises(DefinitionError, match="threshold"):
            defined(Streaks, {"metric": "views", "threshold": float("nan")})


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_streaks_equal_a_plain_loop(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = random.Random(seed)
    length = rng.choice([3, 12, 25])
    missing = {n for n in range(1, length - 1) if rng.random() < 0.15}
    values = {entity: [None if n in missing else rng.randrange(3) for n in range(length)] for entity in ("a", "b", "c")}
    with Sites(tmp_path_factory.mktemp("loop")) as made:
        for entity, row in values.items():
            made.series(entity, FIRST, row)
        made.build()
        threshold = rng.choice([0, 1])
        found = each(made, threshold=threshold)
    expected = []
    for entity, row in values.items():
        known = [n for n in range(length - 1) if n not in missing]  # the last day is open
        start = None
        for n in range(length + 1):
            value = row[n] if n < length else None
            if value is not None and value > threshold:
                start = n if start is None else start
            elif start is not None:
                expected.append((entity, start, n - start, start - 1 not in known, n not in known))
                start = None
    assert found == sorted(expected)


def test_the_session_and_the_command_ask_the_same(tmp_path: Path, capsys: Any) -> None:
    """Events of users on 1 to 5 March 2024, from u0 to u6: no whole week; the command prints the same rows."""
    from tests.session.lakes import build, event, lines, make_project
    from tidelake import session as tl
    from tidelake.cli import main

    root = make_project(tmp_path, watch={"column": "amount", "event": "play"})
    (root / "data" / "a.jsonl").write_text(lines(event(number) for number in range(40)))
    build(root)
    with tl.open(root) as session:
        answers = {
            "diversity": session.diversity("plays", of="country", grain="month"),
            "streaks": session.streaks("events", each=True, end="2024-03-05"),
            "spikes": session.spikes("events", by=["country"]),
            "weekdays": session.weekdays("events"),
            "dropoff": session.dropoff(by=["country"], threshold_seconds=2),
        }
    assert {name: len(rows) for name, rows in answers.items()} == {
        "diversity": 1,
        "streaks": 1,
        "spikes": 0,
        "weekdays": 0,
        "dropoff": 3,
    }
    for verb, words in {
        "diversity": ["plays", "--of", "country", "--grain", "month"],
        "streaks": ["events", "--each", "--to", "2024-03-05"],
        "spikes": ["events", "--by", "country"],
        "weekdays": ["events"],
        "dropoff": ["--by", "country", "--below", "2"],
    }.items():
        assert main([verb, *words, "--format", "csv", "--project", str(root)]) == 0
        assert len(capsys.readouterr().out.splitlines()) == len(answers[verb]) + 1
