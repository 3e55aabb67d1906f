"""Levels through time: not yet due, then met or missed, judged by the days that count."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from tidelake.analyses.watch.findings import LOOKED, compared, sentence, unwritten
from tidelake.analyses.watch.levels import standing
from tidelake.config import Watch

FIRST = date(2025, 3, 3)
NAN = float("nan")


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def judged(values: list[float], statuses: str, **watch: Any) -> tuple[str, int | None, float | None, str | None]:
    """The state, the position of its day, the number, the day's status; a letter a status."""
    named = {"c": "complete", "p": "provisional", "o": "open", "m": "missing", "d": "degraded", "l": "partial_left"}
    known = [named[letter] for letter in statuses]
    found = standing(np.array(values), known, FIRST, Watch(metric="plays", **watch))
    return found.state, None if found.day is None else (found.day - FIRST).days, found.value, found.day_status


@pytest.mark.parametrize(
    ("values", "statuses", "due", "expected"),
    [
        ([9, 5], "cc", 4, ("not yet due", 1, 5.0, "complete")),
        ([9, 12], "cc", 4, ("not yet due", 1, 12.0, "complete")),  # reached before, but it is the day's own number
        ([9, 5, 6, 8, 11], "ccccc", 4, ("met", 4, 11.0, "complete")),
        ([9, 5, 6, 8, 10], "cccccp"[1:], 4, ("met", 4, 10.0, "provisional")),  # exactly the level
        ([9, 5, 6, 8, 9.99], "ccccc", 4, ("missed", 4, 9.99, "complete")),
        ([9, 5, 6, 8, 3], "cccco", 4, ("not yet due", 3, 8.0, "complete")),  # the day goes on
        ([9, 5, 6, 8, 0], "ccccm", 4, ("not yet due", 3, 8.0, "complete")),  # it did not come
        ([9, 5, 6, 8, 2, 12], "ccccdc", 4, ("met", 5, 12.0, "complete")),  # the next that counts
        ([9, 5, 6, 8, 11, 2], "cccccc", 4, ("met", 4, 11.0, "complete")),  # later days change nothing
        ([9, 5, 6, 8, NAN, 4], "cccccc", 4, ("missed", 5, 4.0, "complete")),  # a ratio of nothing
        ([9, 5], "oo", 4, ("not yet due", None, None, None)),
        ([11, 5], "cc", -3, ("met", 0, 11.0, "complete")),  # a deadline before the data
    ],
)
def test_a_level_with_a_deadline(
    values: list[float], statuses: str, due: int, expected: tuple[str, int | None, float | None, str | None]
) -> None:
    assert judged(values, statuses, at_least=10, by_day=day(due)) == expected


def test_a_level_without_a_deadline_is_that_of_the_newest_day_that_counts() -> None:
    assert judged([12, 11, 3], "cco", at_least=10) == ("met", 1, 11.0, "complete")
    assert judged([12, 9, 30], "cpo", at_least=10) == ("missed", 1, 9.0, "provisional")


def test_at_most_is_the_other_way_round() -> None:
    assert judged([12], "c", at_most=12) == ("met", 0, 12.0, "complete")
    assert judged([12.1], "c", at_most=12) == ("missed", 0, 12.1, "complete")
    assert judged([0.1], "c", at_most=0) == ("missed", 0, 0.1, "complete")


def row(status: str, value: float, at: int) -> dict[str, Any]:
    told = {"metric": "plays", "segment": "region DE", "kind": "at_least", "level": 10.0, "by_day": day(4)}
    seen = {"status": status, "value": value, "day": day(at), "day_status": "complete"}
    return dict.fromkeys(LOOKED.names) | told | seen


def test_a_judgement_is_written_once_and_again_when_it_turns() -> None:
    kept: list[dict[str, Any]] = []
    looks = [("not yet due", 8.0), ("missed", 9.0), ("missed", 9.0), ("met", 10.5), ("met", 10.6), ("missed", 9.5)]
    for build, (status, value) in enumerate(looks, start=1):
        for _ in range(2):  # the second look at the same build adds nothing
            kept += unwritten(compared([row(status, value, 4)], kept, build), kept)
    assert [(one["build"], one["first_build"], one["status"]) for one in kept] == [
        (2, 2, "missed"),
        (4, 2, "met"),
        (6, 2, "missed"),
    ]


def test_words() -> None:
    due = "plays of region DE at least 10 by 7 Mar 2025"
    assert sentence(row("missed", 9.0, 4)) == f"{due}: missed, 9 on 7 Mar 2025 (complete)."
    assert sentence(row("not yet due", 9.0, 1) | {"day": None}) == f"{due}: not yet due, no day counts."
