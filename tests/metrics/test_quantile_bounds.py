"""Bounds of medians and other quantiles: published tables of ranks, and sessions worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gold.tiny import Tiny
from tests.metrics.asking import ask, row_of
from tidelake.metrics.intervals import quantile_places


def independent(share: float, rows: int) -> tuple[int | None, int | None]:
    """The places for one row an actor, of which as many as the share says lie below."""
    below = round(share * rows)
    return quantile_places(share, rows, rows, below, below, below, rows)


@pytest.mark.parametrize(
    ("rows", "low", "high"),
    # M. J. Campbell, M. J. Gardner, BMJ 296 (1988), 1454-1456, and the tables of the sign test: 95 % for a median.
    [(6, 1, 6), (9, 2, 8), (10, 2, 9), (20, 6, 15), (30, 10, 21), (50, 18, 33), (100, 40, 61)],
)
def test_the_ranks_of_a_median_are_those_of_the_tables(rows: int, low: int, high: int) -> None:
    assert independent(0.5, rows) == (low, high)


def test_too_few_rows_bound_nothing() -> None:
    """Of five rows all lie above the median in 1/32 of cases, which is more than 2.5 %: no row bounds it.

    Of 28 rows all lie below the 90 % point in .9^28 = 5 % of cases; of 36 in 2.3 %.
    """
    assert independent(0.5, 5) == (None, None)
    assert independent(0.9, 28)[1] is None
    assert independent(0.9, 36)[1] == 36
    assert quantile_places(0.5, 40, 1, 20, 400, 800, 1600) == (None, None)  # one actor


def test_copies_of_rows_say_nothing_new() -> None:
    """Ten actors of three equal rows each: the bounds are the second and the ninth actor's, as of ten rows."""
    low, high = quantile_places(0.5, 30, 10, 15, 45, 45, 90)  # five actors have all three below, five none
    assert low is not None
    assert high is not None
    assert ((low - 1) // 3 + 1, (high - 1) // 3 + 1) == (2, 9)


def test_where_all_rows_are_alike_each_actor_counts_once() -> None:
    """Eight actors of five rows, none above the quantile: as many as eight rows, of which 1 and 8 bound a median."""
    assert quantile_places(0.5, 40, 8, 40, 200, 200, 200) == (5, 36)


def sessions(times: int) -> list[dict[str, Any]]:
    """Actor n of ten has so many sessions of n minutes, an hour apart."""
    return [
        {
            "actor_id": f"a{number}",
            "event_time": f"2025-03-03 {8 + time:02d}:{minute:02d}",
            "event_id": f"{number}-{time}-{minute}",
        }
        for number in range(1, 11)
        for time in range(times)
        for minute in (0, number)
    ]


def test_durations_have_their_bounds(tmp_path: Path) -> None:
    """1 to 10 minutes: the median 5.5 lies between the 2nd and the 9th, 2 and 9 minutes.

    The 90 % point is 9.1; fewer than 7 of 10 lie below it in 1.3 % of cases, fewer than 8 in 7 %, so the 7th bounds
    it, and above nothing does: all ten lie below in 35 %.
    """
    with Tiny(tmp_path) as tiny:
        tiny.add([*sessions(1), {"actor_id": None, "event_time": "2025-03-04 00:00", "event_id": "tick"}])
        tiny.build()
        row = row_of(tiny, "session_duration_median")
        assert (row["value"], row["ci_low"], row["ci_high"], row["n"]) == (330, 120, 540, 10)
        row = row_of(tiny, "session_duration_p90")
        assert (row["value"], row["ci_low"], row["ci_high"]) == (pytest.approx(546), 420, None)


def test_more_sessions_of_the_same_actors_do_not_narrow_them(tmp_path: Path) -> None:
    """The same ten actors with three sessions each, all of one length, by their device and as a whole."""
    with Tiny(tmp_path, {"dimensions": ["event_name"]}) as tiny:
        tiny.add([*sessions(3), {"actor_id": None, "event_time": "2025-03-04 00:00", "event_id": "tick"}])
        tiny.build()
        row = row_of(tiny, "session_duration_median", where="duration_seconds < 3000")
        assert (row["value"], row["ci_low"], row["ci_high"], row["n"]) == (330, 120, 540, 30)
        (cut,) = ask(tiny, "session_duration_median", by=["event_name"], start=None).to_dicts()[:1]
        assert (cut["event_name"], cut["ci_low"], cut["ci_high"]) == ("click", 120, 540)
