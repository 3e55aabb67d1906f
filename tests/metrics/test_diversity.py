"""Shares of a total by hand, and their bounds (METRICS section 13)."""

from __future__ import annotations

from datetime import date, timedelta
from math import exp, log
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tests.metrics.counts import Sites
from tidelake.errors import DefinitionError, UnknownNameError
from tidelake.metrics.diversity import Diversity, diversity

FIRST = date(2025, 3, 3)  # a Monday


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Sites(tmp_path_factory.mktemp("sites")) as made:
        second, fourth = FIRST + timedelta(days=1), FIRST + timedelta(days=3)
        made.count([("a", FIRST, 4), ("b", FIRST, 3), ("c", FIRST, 2), ("ab", FIRST, 1), ("z", FIRST, 0)])
        made.count([("a", second, 7), ("b", fourth, 5), ("c", fourth, 5)])
        made.build()
        yield made


def test_shares_of_four_three_two_one(sites: Sites) -> None:
    """s = .4 .3 .2 .1: hhi .16 + .09 + .04 + .01 = .3; the two largest have .7; a site with 0 has no share."""
    row = sites.ask(diversity, Diversity(metric="views", top_k=2)).to_dicts()[0]
    shannon = -sum(share * log(share) for share in (0.4, 0.3, 0.2, 0.1))
    assert (row["hhi"], row["value"]) == (pytest.approx(0.3), pytest.approx(0.7))
    assert row["effective_number"] == pytest.approx(10 / 3)
    assert (row["shannon"], row["shannon_exponential"]) == (pytest.approx(shannon), pytest.approx(exp(shannon)))
    assert (row["top_k_share"], row["numerator"], row["denominator"], row["n"]) == (pytest.approx(0.7), 7, 10, 4)
    assert (row["ci_low"], row["status"]) == (None, "complete")


def test_one_category_and_equal_categories_are_the_bounds(sites: Sites) -> None:
    """All in one: hhi 1, effective number 1, Shannon 0. Two equal: 1/2, 2, ln 2. A missing day: null."""
    rows = sites.ask(diversity, "views").to_dicts()
    assert [(row["hhi"], row["effective_number"], row["status"]) for row in rows[1:]] == [
        (1, 1, "complete"),
        (None, None, "missing"),
        (0.5, 2, "open"),
    ]
    assert (rows[1]["shannon"], rows[1]["shannon_exponential"], rows[1]["value"]) == (0, 1, 0)
    assert rows[3]["shannon_exponential"] == pytest.approx(2)
    assert (rows[2]["n"], rows[2]["denominator"]) == (None, None)


def test_a_week_is_shares_of_its_sums(sites: Sites) -> None:
    """a 11, b 8, c 7, ab 1 of 27; never a mean of days."""
    (row,) = sites.ask(diversity, "views", grain="week").to_dicts()
    assert row["hhi"] == pytest.approx((121 + 64 + 49 + 1) / 27**2)
    assert row["status"] == "degraded"


def test_shares_within_each_value_of_a_dimension(sites: Sites) -> None:
    """By first letter: a (4) and ab (1) are one project: .64 + .04; b alone: 1."""
    rows = sites.ask(diversity, "views", by=["project"], end=FIRST).to_dicts()
    assert {row["project"]: row["hhi"] for row in rows} == {"a": pytest.approx(0.68), "b": 1, "c": 1}


def test_a_condition_and_what_is_refused(sites: Sites) -> None:
    row = sites.ask(diversity, "views", where="project <> 'a'", end=FIRST).to_dicts()[0]
    assert row["hhi"] == pytest.approx(0.6**2 + 0.4**2)
    with pytest.raises(UnknownNameError, match="grain"):
        sites.ask(diversity, "views", grain="hour")
    with pytest.raises(UnknownNameError, match="dimension"):
        sites.ask(diversity, Diversity(metric="views", of="projekt"))
    with pytest.raises(DefinitionError, match="both"):
        sites.ask(diversity, Diversity(metric="views", of="project"), by=["project"])
    with pytest.raises(DefinitionError, match="no members"):
        sites.ask(diversity, "views", members=True)


def test_events_and_declared_watch_time_over_a_column(tmp_path: Path) -> None:
    """Plays of x, x, y and one of no title; seconds 10 + 20 of x, 30 of y, 0 of the last.

    Events: 2, 1 and 1 of 4: .25 + .0625 + .0625. Seconds: 30 and 30 of 60: one half. Amounts: a refund of y below 0
    has no share: null.
    """
    columns = {"title": pa.string(), "seconds": pa.float64(), "amount": pa.float64()}
    settings = {"watch": {"column": "seconds", "event": "play"}, "measures": {"amount": {"sum": "amount"}}}
    with Tiny(tmp_path, settings, columns=columns) as tiny:
        plays = [("x", 10, 1), ("x", 20, 1), ("y", 30, -5), (None, 0, None)]
        tiny.add(
            {
                "event_time": "2025-03-03 10:00",
                "event_name": "play",
                "title": title,
                "seconds": float(seconds),
                "amount": None if amount is None else float(amount),
            }
            for title, seconds, amount in plays
        )
        tiny.build()

        def hhi(metric: str) -> Any:
            asked = Diversity(metric=metric, of="title")
            (row,) = tiny.ask(diversity, asked).to_dicts()
            return row["hhi"], row["n"]

        for metric in ("events", "watch_seconds", "amount"):
            asked = Diversity(metric=metric, of="title")
            members = tiny.ask(diversity, asked, members=True).to_dicts()
            parts = {row["category"]: row["value"] for row in members}
            assert (
                parts
                == {  # all of them are ann's
                    "events": {"x": 2, "y": 1, "(unknown)": 1},
                    "watch_seconds": {"x": 30, "y": 30, "(unknown)": 0},
                    "amount": {"x": 2, "y": -5, "(unknown)": 0},
                }[metric]
            )
        assert hhi("events") == (pytest.approx(0.375), 3)
        assert hhi("watch_seconds") == (pytest.approx(0.5), 2)
        assert hhi("amount") == (None, None)
        with pytest.raises(DefinitionError, match="does not add up"):
            hhi("dau")


def test_nothing_yet(tmp_path: Path) -> None:
    with Sites(tmp_path) as made:
        assert made.ask(diversity, "views").to_dicts() == []
