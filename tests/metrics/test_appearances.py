"""Days before a segment's first appearance are unknown, not zeros (METRICS sections 6 and 13), worked out by hand.

North has 4 clicks on each of 25 days from Monday the 3rd of March on. South appears on the 6th day: 6 clicks on it and
the two days after, then 1 a day; that a bot was there two days before is no appearance. West has no more than a view on
the 6th day and nothing on the 7th: from then on its zeros are zeros. Then it has 6 clicks on the 8th and 9th day, and
1 a day. The last day is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tests.metrics.counts import Sites
from tidelake.metrics.decline import Decline, decline
from tidelake.metrics.spikes import Spikes, spikes
from tidelake.metrics.streaks import streaks
from tidelake.metrics.trend import trend
from tidelake.metrics.weekdays import weekdays

FIRST, LAST = date(2025, 3, 3), 25
CLICKS = {
    "north": dict.fromkeys(range(1, LAST + 1), 4),
    "south": {number: 6 if number <= 8 else 1 for number in range(6, LAST + 1)},
    "west": {number: 6 if number <= 9 else 1 for number in range(8, LAST + 1)},
}
SAME_CLICKS: tuple[tuple[str, str | None], ...] = (("clicks", None), ("events", "event_name = 'click'"))


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    settings = {"dimensions": ["region"], "measures": {"clicks": {"event": "click"}}}
    columns = {"region": pa.string(), "device": pa.string()}
    with Tiny(tmp_path_factory.mktemp("regions"), settings, columns=columns) as made:
        said = {"device": "phone"}
        rows = [
            {**said, "region": region, "event_time": datetime.combine(day(number), time(9, minute), tzinfo=UTC)}
            for region, days in CLICKS.items()
            for number, count in days.items()
            for minute in range(count)
        ]
        noon = datetime.combine(day(6), time(12), tzinfo=UTC)
        bot = {**said, "region": "south", "event_time": noon - timedelta(days=2), "traffic_class": "bot"}
        made.add([*rows, bot, {**said, "region": "west", "event_time": noon, "event_name": "view"}])
        made.build()
        yield made


def by_region(rows: list[dict[str, Any]], *names: str) -> dict[str, tuple[Any, ...]]:
    return {row["region"]: tuple(row[name] for name in names) for row in rows}


@pytest.mark.parametrize(("metric", "where"), SAME_CLICKS)
@pytest.mark.parametrize("by", [("region",), ("region", "device")])
def test_a_base_reaches_back_no_further_than_the_first_day(
    regions: Tiny, metric: str, where: str | None, by: tuple[str, ...]
) -> None:
    """On the 7th and 8th day the bases of South and West would be over days before they were there. On the 9th South
    has 6 behind it and 1 before it, and falls; West has 0, 0 and 6 behind it: 2, of which 1 is half.
    """
    found = regions.ask(decline, Decline(metric=metric, after=2), by=by, where=where).to_dicts()
    shares = {row["period_start"]: (row["numerator"], row["denominator"]) for row in found}
    assert [shares[day(number)] for number in (4, 7, 8, 9)] == [(0, 1), (0, 1), (0, 1), (1, 3)]


@pytest.mark.parametrize(("metric", "where"), SAME_CLICKS)
def test_zero_days_and_gaps_begin_with_the_segment(regions: Tiny, metric: str, where: str | None) -> None:
    """West's zeros are those of the 6th and 7th day; that its run of two is whole is known."""
    asked = ("zero_days", "longest_gap_days", "is_gap_censored")
    found = by_region(regions.ask(streaks, metric, by=["region"], where=where).to_dicts(), *asked)
    assert found == {"north": (0, 0, False), "south": (0, 0, False), "west": (2, 2, False)}
    found = by_region(regions.ask(streaks, metric, by=["region"], where=where, start=day(7)).to_dicts(), *asked)
    assert found == {"north": (0, 0, False), "south": (0, 0, False), "west": (1, 1, True)}  # it was there before


def test_a_streak_from_the_first_day_on_has_a_known_start(regions: Tiny) -> None:
    """Of South that it was not there the day before; of North nothing is known."""
    found = regions.ask(streaks, "clicks", by=["region"], each=True).to_dicts()
    assert by_region(found, "first_date", "is_start_known") == {
        "north": (day(1), False),
        "south": (day(6), True),
        "west": (day(8), True),
    }


def test_sessions_have_first_days_too(regions: Tiny) -> None:
    """Of ann's clicks at nine each day opens a session, with the region of the first: South has none on any day."""
    found = by_region(regions.ask(streaks, "sessions", by=["region"]).to_dicts(), "zero_days", "n")
    assert found["north"] == (0, 1)
    assert found["west"] == (LAST - 1 - 6, 1)  # the view at noon of the 6th day; the last day is open


def test_a_week_is_complete_where_the_segment_had_all_of_it(regions: Tiny) -> None:
    """Of the three whole weeks South and West were there for two."""
    found = by_region(regions.ask(weekdays, "clicks", by=["region"]).to_dicts(), "n")
    assert found == {"north": (3,), "south": (2,), "west": (2,)}


def test_days_before_the_first_are_no_history_of_spikes(regions: Tiny) -> None:
    """Of 24 complete days North has 10 with two of their weekday before them; South and West of 19 days 5."""
    found = regions.ask(spikes, Spikes(metric="clicks", history=2), by=["region"])
    assert "20 values judged; 42 not" in " ".join(found.notes)


def test_a_trend_is_over_the_days_of_the_segment(regions: Tiny) -> None:
    found = by_region(regions.ask(trend, "clicks", by=["region"]).to_dicts(), "n")
    assert found == {"north": (24,), "south": (19,), "west": (19,)}
    found = by_region(regions.ask(trend, "clicks", by=["region"], segment_limit=1).to_dicts(), "n")
    assert found == {"north": (24,), "(other)": (19,)}


def test_counts_of_a_category_and_of_some_rows_of_entities(tmp_path: Path) -> None:
    """`b1` is there from the third day on. Of rows with more than 2 views it has none on its second day; `a1` none at
    all from its third day on, and both of them no more than were received: five days, the last of them open."""
    with Sites(tmp_path) as made:
        made.series("a1", FIRST, [9, 9, 1, 1, 1])
        made.series("b1", FIRST, [None, None, 9, 1, 9])
        made.build()
        found = made.ask(streaks, "views", by=["project"]).to_dicts()
        assert {row["project"]: row["zero_days"] for row in found} == {"a": 0, "b": 0}
        found = made.ask(streaks, "views", by=["entity"], where="views > 2").to_dicts()
        assert {row["entity"]: row["zero_days"] for row in found} == {"a1": 2, "b1": 1}
