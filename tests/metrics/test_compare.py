"""Periods beside earlier ones: weekdays aligned, only complete ones, nothing from missing ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tests.metrics.asking import ask, own
from tidelake.errors import DefinitionError, UnknownNameError

# Monday 3 March 2025 is 364 days after Monday 4 March 2024, across a leap year's end of February.
FIRST, LAST = date(2024, 2, 26), date(2025, 3, 12)


def count_on(day: date) -> int:
    """Actors of a day: its day of the month modulo 5, but one on 1 March 2025 at least."""
    return day.day % 5 + 1


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    days = [FIRST + timedelta(days=offset) for offset in range(25)]
    days += [date(2025, 2, 24) + timedelta(days=offset) for offset in range((LAST - date(2025, 2, 24)).days + 1)]
    with Tiny(tmp_path_factory.mktemp("compare"), {"dimensions": ["region"]}, columns={"region": pa.string()}) as made:
        made.add(
            {
                "event_time": f"{day} 10:00",
                "actor_id": f"u{number}",
                "event_id": f"{day}-{number}",
                "region": "new" if day >= date(2025, 3, 10) else "old",
            }
            for day in days
            for number in range(count_on(day))
        )
        made.build()
        yield made


def compared(tiny: Tiny, metric: str, how: str, **options: Any) -> dict[Any, tuple[Any, ...]]:
    rows = ask(tiny, metric, compare=how, **options).to_dicts()
    names = ("compared_start", "value", "compared_value", "difference", "relative_difference")
    by = options.get("by", ())
    return {(row["period_start"], *(row[key] for key in by)): tuple(row[name] for name in names) for row in rows}


def test_a_day_stands_beside_the_same_weekday_of_the_week_before(tiny: Tiny) -> None:
    """10 March: 1 actor; 3 March: 4. The 12th is open, the last of the data: no difference."""
    found = compared(tiny, "dau", "previous", start=date(2025, 3, 10))
    assert found == {
        (date(2025, 3, 10),): (date(2025, 3, 3), 1, 4, -3, -0.75),
        (date(2025, 3, 11),): (date(2025, 3, 4), 2, 5, -3, -0.6),
        (date(2025, 3, 12),): (date(2025, 3, 5), 3, 1, None, None),
    }


def test_a_year_is_364_days_of_days_and_weeks(tiny: Tiny) -> None:
    found = compared(tiny, "dau", "year", start=date(2025, 3, 3), end=date(2025, 3, 3))
    assert found == {(date(2025, 3, 3),): (date(2024, 3, 4), 4, 5, -1, -0.2)}
    (row,) = ask(tiny, "events", compare="year", grain="week", start=date(2025, 3, 3), end=date(2025, 3, 9)).to_dicts()
    assert row["compared_start"] == date(2024, 3, 4)
    assert row["value"] == sum(count_on(date(2025, 3, day)) for day in range(3, 10))
    assert row["compared_value"] == sum(count_on(date(2024, 3, day)) for day in range(4, 11))
    assert row["difference"] == row["value"] - row["compared_value"]


def test_months_stand_beside_months(tiny: Tiny) -> None:
    (row,) = ask(tiny, "events", compare="year", grain="month", start=date(2025, 3, 1)).to_dicts()
    assert (row["compared_start"], row["status"], row["difference"]) == (date(2024, 3, 1), "open", None)
    (row,) = ask(tiny, "events", compare="previous", grain="month", start=date(2025, 3, 1)).to_dicts()
    assert row["compared_start"] == date(2025, 2, 1)


def test_nothing_is_told_of_what_is_missing(tiny: Tiny) -> None:
    """24 February 2025 follows a gap: the week before was not received, and so is no 0."""
    found = compared(tiny, "dau", "previous", start=date(2025, 2, 24), end=date(2025, 2, 24))
    assert found == {(date(2025, 2, 24),): (date(2025, 2, 17), 5, None, None, None)}
    found = compared(tiny, "dau", "previous", start=FIRST, end=FIRST)  # before the data begin
    assert found == {(FIRST,): (date(2024, 2, 19), 2, None, None, None)}


def test_a_segment_that_is_gone_or_new_is_0_beside_its_number(tiny: Tiny) -> None:
    found = compared(tiny, "dau", "previous", by=("region",), start=date(2025, 3, 10), end=date(2025, 3, 10))
    assert found == {
        (date(2025, 3, 10), "new"): (date(2025, 3, 3), 1, 0, 1, None),  # nothing to be relative to
        (date(2025, 3, 10), "old"): (date(2025, 3, 3), 0, 4, -4, -1),
    }
    result = ask(tiny, "dau", compare="previous", by=["region"], start=date(2025, 3, 10), end=date(2025, 3, 10))
    assert result.totals is not None
    assert result.totals.column("period_start").to_pylist() == [date(2025, 3, 10)]


def test_rolling_metrics_and_formulas_are_compared_too(tiny: Tiny) -> None:
    own(tiny, "events_per_user", "kind: formula\nexpression: events / active_users\n")
    week = {"grain": "week", "start": date(2025, 3, 3), "end": date(2025, 3, 9)}
    ((_, value, before, difference, _),) = compared(tiny, "events_per_user", "previous", **week).values()
    assert difference == value - before
    values = {row["period_start"].day: row["value"] for row in ask(tiny, "wau", start=date(2025, 3, 3)).to_dicts()}
    found = compared(tiny, "wau", "previous", start=date(2025, 3, 10), end=date(2025, 3, 10))
    assert found[date(2025, 3, 10),][1:3] == (values[10], values[3])


def test_an_unknown_comparison_is_answered_with_the_known_ones(tiny: Tiny) -> None:
    with pytest.raises(UnknownNameError) as caught:
        ask(tiny, "dau", compare="yer")
    assert "'year'" in str(caught.value.hint)


def test_an_open_period_is_compared_with_the_same_elapsed_part_if_asked(tmp_path: Path) -> None:
    """Mondays 3 and 10 March; events at 06, 12 and 18 h, and the data end on the 10th at 12 h: half of the day.

    Up to noon: 2 on the 10th, 2 on the 3rd in the north and 1 in the south, which has none on the 10th.
    """
    hours = {3: ("06:00", "12:00", "18:00"), 10: ("06:00", "12:00")}
    events = [
        {"event_time": f"2025-03-{day:02d} {hour}", "event_id": f"{day}{hour}", "actor_id": hour, "region": "n"}
        for day, all_hours in hours.items()
        for hour in all_hours
    ]
    events.append({"event_time": "2025-03-03 11:00", "event_id": "s", "actor_id": "s", "region": "s"})
    with Tiny(tmp_path, {"dimensions": ["region"]}, columns={"region": pa.string()}) as tiny:
        tiny.add(events)
        tiny.build()
        monday = {"start": date(2025, 3, 10), "compare": "previous", "elapsed": True}
        for metric in ("events", "dau", "active_users", "sessions", "active_days"):
            (row,) = ask(tiny, metric, **monday).to_dicts()
            assert (row["status"], row["compared_status"]) == ("open", "elapsed"), metric
            assert (row["value"], row["compared_value"], row["difference"]) == (2, 3, -1), metric
        found = {row["region"]: row["difference"] for row in ask(tiny, "events", by=["region"], **monday).to_dicts()}
        assert found == {"n": 0, "s": -1}
        (row,) = ask(tiny, "wau", **monday).to_dicts()
        assert (row["compared_status"], row["difference"]) == ("partial_left", None)  # a rolling window is whole
        with pytest.raises(DefinitionError, match="`elapsed` says what"):
            ask(tiny, "events", elapsed=True)
