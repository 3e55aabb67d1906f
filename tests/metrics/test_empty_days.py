"""Days without rows: lost, or days of nothing where the source says that it rests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from tests.gold.tiny import Tiny
from tidelake.contracts.source import Coverage, source_from
from tidelake.metrics.measure import measure
from tidelake.metrics.streaks import Streaks, streaks
from tidelake.silver.completeness import Received, coverage_of

ZERO = Coverage(empty_days="zero")
# Monday 3 to Sunday 9 March 2025; the shop is closed on Saturday the 8th. A tick on the 10th ends the week.
DAYS = (3, 4, 5, 6, 7, 9)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    with Tiny(tmp_path_factory.mktemp("empty")) as made:
        made.add([{"event_time": f"2025-03-{day:02d} 10:00", "event_id": f"e{day}"} for day in DAYS])
        made.add([{"event_time": "2025-03-10 00:00", "event_id": "tick", "actor_id": None}])
        made.build()
        yield made


def of(tiny: Tiny, complete: Coverage, metric: str = "dau", **options: Any) -> dict[int, tuple[float | None, str]]:
    sources = {"app": tiny.sources["app"].model_copy(update={"complete": complete})}
    span = {"start": date(2025, 3, 3), "end": date(2025, 3, 9)}
    result = measure(tiny.engine, tiny.lake, tiny.project, sources, metric, **span, **options)
    return {row["period_start"].day: (row["value"], row["status"]) for row in result.to_dicts()}


def test_a_day_without_rows_is_missing_by_itself(tiny: Tiny) -> None:
    assert of(tiny, Coverage())[8] == (None, "missing")
    assert of(tiny, Coverage(), "events", grain="week")[3] == (6, "degraded")


def test_a_day_on_which_the_shop_is_closed_has_none(tiny: Tiny) -> None:
    """Six days of one event and actor each, and a Saturday of 0: the week is whole, its mean 6 / 7."""
    found = of(tiny, ZERO)
    assert found == {day: (1 if day in DAYS else 0, "complete") for day in range(3, 10)}
    assert of(tiny, ZERO, "events", grain="week")[3] == (6, "complete")
    assert of(tiny, ZERO, "average_dau", grain="week")[3] == (pytest.approx(6 / 7), "complete")
    sources = {"app": tiny.sources["app"].model_copy(update={"complete": ZERO})}
    asked = Streaks(metric="dau")
    rows = streaks(tiny.engine, tiny.lake, tiny.project, sources, asked, end=date(2025, 3, 9), each=True).to_dicts()
    assert [row["value"] for row in rows] == [5, 1]  # Saturday ends a streak, and does not censor it


def test_the_days_up_to_the_declared_end_are_days_of_nothing_too(tiny: Tiny) -> None:
    through = Coverage(by="through", through=date(2025, 3, 12), empty_days="zero")
    sources = {"app": tiny.sources["app"].model_copy(update={"complete": through})}
    options = {"start": date(2025, 3, 11), "end": date(2025, 3, 12)}
    result = measure(tiny.engine, tiny.lake, tiny.project, sources, "dau", **options)
    assert [row["value"] for row in result.to_dicts()] == [0, 0]


def test_a_day_without_a_daily_file_is_received_and_one_in_quarantine_is_not() -> None:
    complete = {"by": "daily_file", "empty_days": "zero"}
    source = source_from({"name": "shop", "path": "x", "mapping": {"event_time": "t"}, "complete": complete})
    stamps: dict[datetime, Received] = {datetime(2025, 3, day, tzinfo=UTC): "whole" for day in (7, 9)}
    stamps[datetime(2025, 3, 10, tzinfo=UTC)] = "nothing"
    rows = coverage_of(source, stamps, ZoneInfo("UTC"))
    assert [(row["date"].day, row["expected"], row["received"], row["status"]) for row in rows] == [
        (7, 1, 1, "received"),
        (8, 0, 0, "received"),
        (9, 1, 1, "received"),
        (10, 1, 0, "missing"),
    ]


def test_each_hour_has_its_file() -> None:
    with pytest.raises(ValidationError, match="each hour has one"):
        Coverage(by="hourly_file", empty_days="zero")
