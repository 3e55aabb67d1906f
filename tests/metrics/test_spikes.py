"""Spikes by hand: the same weekday's eight values before, median, MAD and the floor of Poisson noise (section 13)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from math import log, log1p, sqrt
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.metrics.counts import Sites
from tidelake.errors import DefinitionError
from tidelake.metrics.answer import defined
from tidelake.metrics.spikes import Spikes, spikes

MONDAY = date(2025, 1, 6)


def plain(before: Sequence[float], value: float) -> float:
    """The rule as METRICS says it, by the standard library."""
    logs = [log1p(one) for one in before]
    middle = median(logs)
    scale = max(1.4826 * median(abs(one - middle) for one in logs), 1 / sqrt(median(before) + 1))
    return (log1p(value) - middle) / scale


def test_a_steady_weekday_has_the_noise_of_a_count_as_scale(tmp_path: Path) -> None:
    """Eight Mondays of 99 and one of 199: MAD 0, floor 1/sqrt(100) = .1, z = (ln 200 - ln 100) / .1 = 6.93.

    Other days have 9: floor 1/sqrt(10) = .316; the Tuesday with 24 has z = ln(2.5) / .316 = 2.9, no spike, and the
    Wednesday with 0 has z = -ln(10) / .316 = -7.28, one that points down.
    """
    with Sites(tmp_path) as sites:
        mondays = [99 if n % 7 == 0 else 9 for n in range(56)]
        sites.series("en", MONDAY, [*mondays, 199, 24, 0, 9, 9])
        sites.build()
        result = sites.ask(spikes, "views", by=["entity"])
    rows = [(row["period_start"], row["value"], row["direction"], row["n"]) for row in result.to_dicts()]
    assert rows == [(MONDAY + timedelta(days=56), 199, "up", 8), (MONDAY + timedelta(days=58), 0, "down", 8)]
    assert [row["z"] for row in result.to_dicts()] == [
        pytest.approx(log(2) / 0.1),
        pytest.approx(-log(10) * sqrt(10)),
    ]
    assert result.to_dicts()[0]["expected"] == pytest.approx(99)
    assert "4 values judged; 56 not" in result.notes[-1]  # the 61st day is open


def test_values_that_differ_set_the_scale_by_their_median_deviation(tmp_path: Path) -> None:
    """Mondays 1000 to 8000 by thousands: the median of ln(1 + v) is that between 4000 and 5000; z by plain arithmetic.

    A spike in the history hardly moves it: with 8,000,000 in the place of 8000 neither median nor MAD change.
    """
    before = [1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000]
    for last in (8000, 8_000_000):
        history = [*before[:-1], last]
        with Sites(tmp_path / str(last)) as sites:
            values = [value for one in [*history, 200_000] for value in (one, *[50] * 6)]
            sites.series("en", MONDAY, values)
            sites.build()
            found = sites.ask(spikes, Spikes(metric="views", z=0.01), start=MONDAY + timedelta(days=56)).to_dicts()
        assert found[0]["value"] == 200_000
        assert found[0]["z"] == pytest.approx(plain(history, 200_000))
        assert found[0]["z"] == pytest.approx(plain(before, 200_000))


def test_missing_days_are_no_history_and_zeros_are(tmp_path: Path) -> None:
    """Nine Mondays of which the second is missing: the tenth is the first with eight values before it.

    `de` is absent from received Mondays: its eight values are 0, and 40 lies ln(41) / 1 = 3.71 away: no spike at 5.
    """
    with Sites(tmp_path) as sites:
        weeks = [None if week == 1 else 99 for week in range(9)]
        values = [value for one in weeks for value in (one, *[9] * 6)]
        sites.series("en", MONDAY, [*values, 999, 9])
        sites.count([("de", MONDAY, 0), ("de", MONDAY + timedelta(days=63), 40)])
        sites.build()
        found = sites.ask(spikes, "views", by=["entity"]).to_dicts()
        assert [(row["period_start"] - MONDAY).days for row in found] == [63]
        assert (found[0]["entity"], found[0]["z"]) == ("en", pytest.approx(log(10) * 10))
        low = sites.ask(spikes, Spikes(metric="views", z=3), by=["entity"]).to_dicts()
    assert [(row["entity"], pytest.approx(row["z"])) for row in low] == [("en", log(10) * 10), ("de", log(41))]


def test_an_odd_history_has_one_value_in_its_middle(tmp_path: Path) -> None:
    history = [10, 400, 90]
    with Sites(tmp_path) as sites:
        values = [value for one in [*history, 4000] for value in (one, *[50] * 6)]
        sites.series("en", MONDAY, [*values, 1])
        sites.build()
        asked = Spikes(metric="views", history=3, z=0.5)
        found = sites.ask(spikes, asked, start=MONDAY + timedelta(days=21), end=MONDAY + timedelta(days=21)).to_dicts()
    assert [row["z"] for row in found] == [pytest.approx(plain(history, 4000))]


def test_what_cannot_be_is_refused_and_nothing_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="z: input should be greater than 0"):
        defined(Spikes, {"metric": "views", "z": 0})
    with Sites(tmp_path) as sites:
        result: Any = sites.ask(spikes, "views")
        assert len(result) == 0
        assert "no rows" in result.notes[-1]
