"""Metrics over tiny tables worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.errors import DefinitionError, QueryError, UnknownNameError
from tidelake.metrics.measure import MeasureResult, measure

SETTINGS = {
    "dimensions": ["region"],
    "measures": {"plays": {"event": "play"}, "titles": {"event": "play", "distinct": "content_id"}},
    "watch": {"column": "seconds", "event": "play"},
}
COLUMNS = {"region": pa.string(), "content_id": pa.string(), "seconds": pa.float64()}


def play(day: int, actor: str | None, region: str | None, seconds: float = 10.0, **more: Any) -> dict[str, Any]:
    return {
        "event_time": f"2025-03-{day:02d} 10:00",
        "actor_id": actor,
        "region": region,
        "event_name": "play",
        "seconds": seconds,
        "event_id": f"{day}-{actor}-{region}-{more.get('content_id')}-{seconds}",
        **more,
    }


EVENTS = [
    play(3, "ann", "north"),  # Monday 3 March 2025
    play(3, "ann", "south"),
    play(3, "bob", "north"),
    play(4, "bob", None, 2.5),
    play(4, None, "north"),
    play(6, "ann", "north", traffic_class="bot"),
    play(6, "cyd", "south", 0.5),
    play(9, "ann", "north"),  # Sunday
    play(10, "dan", "south"),
]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as made:
        made.add(EVENTS)
        made.build()
        yield made


def ask(tiny: Tiny, metric: str, **options: Any) -> MeasureResult:
    return tiny.ask(measure, metric, **options)


def values(result: MeasureResult) -> dict[Any, float | None]:
    return {
        (
            row["period_start"].day,
            *(row[name] for name in result.table.column_names if name in ("region", "entity")),
        ): row["value"]
        for row in result.to_dicts()
    }


def statuses(result: MeasureResult) -> dict[int, str]:
    return {row["period_start"].day: row["status"] for row in result.to_dicts()}


def test_dau_counts_each_active_human_actor_once_a_day(tiny: Tiny) -> None:
    result = ask(tiny, "dau")
    assert values(result) == {(3,): 2, (4,): 1, (5,): None, (6,): 1, (7,): None, (8,): None, (9,): 1, (10,): 1}
    expected = {3: "complete", 4: "complete", 5: "missing", 6: "complete", 7: "missing", 8: "missing", 9: "complete"}
    assert statuses(result) == {**expected, 10: "open"}
    row = result.to_dicts()[0]
    assert row["numerator"] == 2
    assert row["denominator"] is None
    assert row["n"] == 2
    assert row["watermark"] == datetime(2025, 3, 10, 10, tzinfo=UTC)
    assert row["engine"] == "duckdb"


def test_dau_by_region_reports_the_overlap(tiny: Tiny) -> None:
    result = ask(tiny, "dau", by=["region"], end=date(2025, 3, 4))
    assert values(result) == {
        (3, "(unknown)"): 0,
        (3, "north"): 2,
        (3, "south"): 1,
        (4, "(unknown)"): 1,
        (4, "north"): 0,
        (4, "south"): 0,
    }
    assert result.totals is not None
    first = result.totals.to_pylist()[0]
    assert (first["total"], first["sum_of_segments"], first["overlap"]) == (2, 3, 1)


def test_a_segment_without_actors_on_the_last_day_of_a_week_is_there_with_zero(tiny: Tiny) -> None:
    """DAU of a week is that of its last complete day, Sunday 9 March: ann in the north."""
    result = values(ask(tiny, "dau", by=["region"], grain="week", end=date(2025, 3, 9)))
    assert result == {(3, "(unknown)"): 0, (3, "north"): 1, (3, "south"): 0}


def test_events_count_rows_without_actor_and_leave_bots_out(tiny: Tiny) -> None:
    assert values(ask(tiny, "events", end=date(2025, 3, 6))) == {(3,): 3, (4,): 2, (5,): None, (6,): 1}
    assert values(ask(tiny, "plays", by="region", start=date(2025, 3, 4), end=date(2025, 3, 4))) == {
        (4, "(unknown)"): 1,
        (4, "north"): 1,
    }


def test_a_week_is_named_by_its_first_date_and_degraded_by_missing_days(tiny: Tiny) -> None:
    result = ask(tiny, "events", grain="week")
    assert values(result) == {(3,): 7, (10,): 1}
    assert statuses(result) == {3: "degraded", 10: "open"}


def test_weeks_can_start_on_sunday(tmp_path: Path) -> None:
    with Tiny(tmp_path, {**SETTINGS, "week_start": "sunday"}, columns=COLUMNS) as tiny:
        tiny.add(EVENTS)
        tiny.build()
        assert values(ask(tiny, "active_users", grain="week")) == {(2,): 3, (9,): 2}


def test_rolling_windows_count_an_actor_once(tiny: Tiny) -> None:
    wau = values(ask(tiny, "wau"))
    # ann and bob until the 9th, cyd from the 6th; on the 10th ann (9th), bob (4th), cyd and dan.
    assert [wau[day,] for day in (3, 4, 5, 6, 9, 10)] == [2, 2, 2, 3, 3, 4]
    assert values(ask(tiny, "mau", start=date(2025, 3, 10))) == {(10,): 4}
    assert statuses(ask(tiny, "wau"))[4] == "partial_left"


def test_dau_of_a_month_that_goes_on_is_open_though_days_of_it_are_missing(tmp_path: Path) -> None:
    """Events on 3 and 5 March, nothing on the 4th, the 6th open: today the 5th stands for March, which goes on."""
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add([play(day, "ann", "north") for day in (3, 5, 6)])
        tiny.build()
        (row,) = ask(tiny, "dau", grain="month").to_dicts()
    assert (row["value"], row["status"]) == (1, "open")


def test_dau_of_a_week_is_its_last_complete_day(tiny: Tiny) -> None:
    result = ask(tiny, "dau", grain="week")
    assert values(result) == {(3,): 1, (10,): 1}
    assert any("last complete day" in note for note in result.notes)


def test_average_dau_is_the_mean_of_complete_days(tiny: Tiny) -> None:
    row = ask(tiny, "average_dau", grain="week").to_dicts()[0]
    assert row["value"] == (2 + 1 + 1 + 1) / 4  # the 3rd, 4th, 6th and 9th
    assert (row["numerator"], row["denominator"]) == (5, 4)


def test_average_dau_of_days_with_nobody_is_zero_over_all_of_them(tmp_path: Path) -> None:
    """Each day of two weeks has ann; the second week only as a bot, but for bob of the south on Sunday, 16 March."""
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add([play(day, "ann", "north", traffic_class="human" if day < 10 else "bot") for day in range(3, 18)])
        tiny.add([play(16, "bob", "south")])
        tiny.build()
        ask_weeks = {"grain": "week", "end": date(2025, 3, 16)}
        result = ask(tiny, "average_dau", by=["region"], **ask_weeks)
        numbers = {
            (row["period_start"].day, row["region"]): (row["value"], row["numerator"], row["denominator"], row["n"])
            for row in result.to_dicts()
        }
        assert numbers == {
            (3, "north"): (1, 7, 7, 7),
            (3, "south"): (0, 0, 7, 7),
            (10, "north"): (0, 0, 7, 7),
            (10, "south"): (1 / 7, 1, 7, 7),
        }
        assert statuses(result) == {3: "complete", 10: "complete"}
        assert values(ask(tiny, "average_dau", **ask_weeks, where="region = 'north'")) == {(3,): 1, (10,): 0}
        open_week = ask(tiny, "average_dau", grain="week", start=date(2025, 3, 17), where="region = 'south'")
        assert values(open_week) == {(17,): None}  # no day of it is complete yet


def test_sessions_and_watch_time_by_the_start_of_the_session(tiny: Tiny) -> None:
    assert values(ask(tiny, "sessions", end=date(2025, 3, 4))) == {(3,): 2, (4,): 1}
    assert values(ask(tiny, "watch_time", end=date(2025, 3, 4))) == {(3,): 30, (4,): 2.5}
    assert values(ask(tiny, "watch_seconds", by=["region"], end=date(2025, 3, 4))) == {
        (3, "(unknown)"): 0,
        (3, "north"): 30,
        (4, "(unknown)"): 2.5,
        (4, "north"): 0,
    }


def test_mean_session_duration_has_a_clustered_interval(tiny: Tiny) -> None:
    tiny.add(
        [
            {"event_time": "2025-03-11 10:00", "event_id": "x1", "actor_id": "ann"},
            {"event_time": "2025-03-11 10:10", "event_id": "x2", "actor_id": "ann"},
            {"event_time": "2025-03-11 12:00", "event_id": "x3", "actor_id": "bob"},
        ]
    )
    tiny.build()
    row = ask(tiny, "session_duration", start=date(2025, 3, 11)).to_dicts()[0]
    assert (row["value"], row["numerator"], row["denominator"], row["n"]) == (300, 600, 2, 2)
    # ratio of sums with n = 2, residuals 300 and -300: variance 2 * 180000 / 4 = 90000, standard error 300.
    assert row["ci_low"] == pytest.approx(300 - 1.959963984540054 * 300)
    assert ask(tiny, "session_duration_median", start=date(2025, 3, 11)).to_dicts()[0]["value"] == 300
    assert ask(tiny, "session_duration_p90", start=date(2025, 3, 11)).to_dicts()[0]["value"] == 540


def test_where_reads_silver_and_agrees_with_gold(tiny: Tiny) -> None:
    for metric in ("dau", "events", "plays", "titles", "wau", "active_users"):
        for by in ((), ("region",)):
            assert values(ask(tiny, metric, by=by, where="1 = 1")) == values(ask(tiny, metric, by=by)), (metric, by)
    assert values(ask(tiny, "plays", where="region = 'south'", end=date(2025, 3, 4))) == {(3,): 1, (4,): 0}


def test_several_dimensions_and_columns_that_are_not_declared(tiny: Tiny) -> None:
    result = ask(tiny, "dau", by=["region", "event_name"], end=date(2025, 3, 3))
    assert [(row["region"], row["event_name"], row["value"]) for row in result.to_dicts()] == [
        ("north", "play", 2),
        ("south", "play", 1),
    ]


def test_titles_are_distinct_per_actor_day(tmp_path: Path) -> None:
    with Tiny(tmp_path, SETTINGS, columns=COLUMNS) as tiny:
        tiny.add(
            [
                play(3, "ann", "n", content_id="a"),
                play(3, "ann", "s", content_id="a"),
                play(3, "ann", "n", content_id="b"),
                play(3, "bob", "n", content_id="a"),
            ]
        )
        tiny.build()
        assert values(ask(tiny, "titles")) == {(3,): 3}


def test_small_values_become_other_and_actors_count_once_in_it(tiny: Tiny) -> None:
    result = ask(tiny, "dau", by=["region"], segment_limit=1, end=date(2025, 3, 4))
    assert values(result) == {(3, "(other)"): 1, (3, "north"): 2, (4, "(other)"): 1, (4, "north"): 0}
    assert any("3 values" in note for note in result.notes)


def test_unknown_names_are_answered_with_near_ones(tiny: Tiny) -> None:
    with pytest.raises(UnknownNameError) as caught:
        ask(tiny, "dua")
    assert "dau" in str(caught.value.hint)
    with pytest.raises(UnknownNameError) as caught:
        ask(tiny, "dau", by=["regoin"])
    assert "region" in str(caught.value.hint)
    with pytest.raises(DefinitionError, match="do not carry 'content_id'"):
        ask(tiny, "sessions", by=["content_id"])
    with pytest.raises(DefinitionError, match="not of a day"):
        ask(tiny, "wau_cal")


@pytest.mark.parametrize("metric", ["dau", "sessions"])
def test_where_does_not_take_the_engine_s_user_for_a_column(tiny: Tiny, metric: str) -> None:
    with pytest.raises(QueryError, match="No table here has a column 'user'"):
        ask(tiny, metric, where="user = 'ann'")
    assert values(ask(tiny, metric, where="actor_id = 'user'"))


def test_an_empty_period_is_null_with_its_status(tiny: Tiny) -> None:
    result = ask(tiny, "dau", start=date(2025, 2, 1), end=date(2025, 2, 2))
    assert [(row["value"], row["status"]) for row in result.to_dicts()] == [(None, "missing"), (None, "missing")]


def test_watch_time_is_null_where_no_source_can_tell(tmp_path: Path) -> None:
    with Tiny(tmp_path) as tiny:
        tiny.add([{"event_time": "2025-03-03 10:00"}])
        tiny.build()
        result = ask(tiny, "watch_time")
        assert values(result) == {(3,): None}
        assert any("`watch:`" in note for note in result.notes)


def test_lateness_makes_days_provisional(tmp_path: Path) -> None:
    with Tiny(tmp_path, {**SETTINGS, "lateness": "24h"}, columns=COLUMNS) as tiny:
        tiny.add([play(day, "ann", "north") for day in (3, 4, 5)])
        tiny.build()
        assert statuses(ask(tiny, "dau")) == {3: "complete", 4: "provisional", 5: "open"}
