"""Tables by day: who counts, several sources, values that change within a day, settings that change."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.gold.tiny import Tiny
from tidelake.contracts.source import source_from
from tidelake.engine.base import Layout
from tidelake.errors import UnknownNameError
from tidelake.gold.context import open_gold
from tidelake.gold.ledger import gold_ledger

REGION = {"region": pa.string()}


def days(tiny: Tiny) -> list[tuple[Any, ...]]:
    rows = tiny.query("SELECT * FROM gold.user_day ORDER BY actor_id, activity_date")
    return [(row["actor_id"], row["event_count"], row["active_event_count"], row["is_active"]) for row in rows]


EVENTS = [
    {"event_time": "2025-03-01 10:00", "event_name": "heartbeat"},
    {"event_time": "2025-03-01 10:01", "actor_id": "bob", "event_name": "heartbeat"},
    {"event_time": "2025-03-01 10:02", "event_name": "play"},
    {"event_time": "2025-03-01 10:03", "actor_id": "bot", "event_name": "play", "traffic_class": "bot"},
    {"event_time": "2025-03-01 10:04", "actor_id": "cyd", "event_name": "play", "traffic_class": None},
]


def test_by_default_humans_are_active(tmp_path: Path) -> None:
    with Tiny(tmp_path) as tiny:
        tiny.add(EVENTS)
        tiny.build()
        assert days(tiny) == [("ann", 2, 2, True), ("bob", 1, 1, True), ("cyd", 1, 1, True)]


def test_a_declared_rule_says_who_is_active(tmp_path: Path) -> None:
    with Tiny(tmp_path, {"activity": {"where": "event_name <> 'heartbeat' AND traffic_class = 'human'"}}) as tiny:
        tiny.add(EVENTS)
        tiny.build()
        assert days(tiny) == [("ann", 2, 1, True), ("bob", 1, 0, False), ("cyd", 1, 0, False)]


def test_any_counts_every_row(tmp_path: Path) -> None:
    with Tiny(tmp_path, {"activity": "any"}) as tiny:
        tiny.add(EVENTS)
        tiny.build()
        assert [row[0] for row in days(tiny)] == ["ann", "bob", "bot", "cyd"]


def test_events_that_are_not_interactive_count_and_are_not_active(tmp_path: Path) -> None:
    with Tiny(tmp_path, columns={"interactive": pa.bool_()}) as tiny:
        tiny.add(
            [
                {"event_time": "2025-03-01 10:00", "interactive": False},
                {"event_time": "2025-03-01 10:00", "actor_id": "bob", "interactive": None},
            ]
        )
        tiny.build()
        assert days(tiny) == [("ann", 1, 0, False), ("bob", 1, 1, True)]


def test_values_of_a_day_and_its_first_and_last_one(tmp_path: Path) -> None:
    with Tiny(tmp_path, {"dimensions": ["region"]}, columns=REGION) as tiny:
        same = "2025-03-01 12:00"
        tiny.add(
            [
                {"event_time": "2025-03-01 10:00", "region": None},
                {"event_time": "2025-03-01 11:00", "region": "north"},
                {"event_time": same, "region": "south", "seq": 2},
                {"event_time": same, "region": "west", "seq": 1},
            ]
        )
        tiny.build()
        rows = tiny.query("SELECT value, event_count FROM gold.user_day_value ORDER BY value")
        assert [(row["value"], row["event_count"]) for row in rows] == [
            ("(unknown)", 1),
            ("north", 1),
            ("south", 1),
            ("west", 1),
        ]
        (day,) = tiny.query("SELECT first_region, last_region FROM gold.user_day")
        assert (day["first_region"], day["last_region"]) == (None, "south")


def test_columns_may_be_called_like_words_of_sql(tmp_path: Path) -> None:
    settings = {"dimensions": ["where", "order"], "measures": {"group": {"sum": "limit"}}}
    columns = {"where": pa.string(), "order": pa.string(), "limit": pa.float64()}
    with Tiny(tmp_path, settings, columns=columns, dedup="none") as tiny:
        tiny.add([{"event_time": "2025-03-01 10:00", "where": "here", "order": "first", "limit": 2.5}])
        tiny.build()
        assert tiny.query('SELECT first_where, last_order, "group" FROM gold.user_day') == [
            {"first_where": "here", "last_order": "first", "group": 2.5}
        ]


def test_distinct_values_are_counted_once_a_day_and_once_a_value(tmp_path: Path) -> None:
    settings = {"dimensions": ["region"], "measures": {"titles": {"event": "play", "distinct": "title"}}}
    with Tiny(tmp_path, settings, columns={**REGION, "title": pa.string()}) as tiny:
        tiny.add(
            [
                {"event_time": f"2025-03-01 10:0{minute}", "event_name": "play", "region": region, "title": title}
                for minute, (region, title) in enumerate([("n", "a"), ("s", "a"), ("s", "b"), ("s", "b"), ("n", None)])
            ]
        )
        tiny.build()
        assert [row["titles"] for row in tiny.query("SELECT titles FROM gold.user_day")] == [2]
        rows = tiny.query("SELECT value, titles FROM gold.user_day_value ORDER BY value")
        assert [(row["value"], row["titles"]) for row in rows] == [("n", 1), ("s", 2)]


def test_sources_with_different_columns_are_one_stream(tmp_path: Path) -> None:
    settings = {
        "dimensions": ["region"],
        "measures": {"amount_sum": {"sum": "amount"}},
        "activity": {"where": "region IS NULL OR region <> 'nowhere'"},
    }
    with Tiny(tmp_path, settings, columns=REGION) as tiny:
        tiny.sources["web"] = source_from(
            {"name": "web", "path": "x", "mapping": {"event_time": "t", "actor_id": "a"}, "dedup": "none"}
        )
        tiny.add([{"event_time": "2025-03-01 10:00", "region": "north"}])
        web = tiny.rows([{"event_time": "2025-03-01 10:10", "event_id": "w"}]).drop_columns(["region"])
        web = web.append_column("amount", pa.array([2.5], pa.float64()))
        tiny.engine.write(web, "silver.web", "append", layout=Layout(("event_date",)))
        tiny.build()
        (session,) = tiny.sessions()
        assert (session["event_count"], session["amount_sum"], session["first_region"]) == (2, 2.5, "north")
        rows = tiny.query("SELECT source, row_count FROM gold.event_day WHERE dimension = '(all)' ORDER BY source")
        assert [(row["source"], row["row_count"]) for row in rows] == [("app", 1), ("web", 1)]


def test_an_empty_source_gives_empty_tables(tmp_path: Path) -> None:
    with Tiny(tmp_path) as tiny:
        tiny.add([])
        tiny.build()
        assert tiny.sessions() == []
        assert days(tiny) == []
        assert {run.reason for run in tiny.build()} == {"nothing new"}


def test_the_ledger_holds_by_date(tmp_path: Path) -> None:
    with Tiny(tmp_path) as tiny:
        tiny.add([*EVENTS, {"event_time": "2025-03-02 10:00", "actor_id": None, "event_id": "nobody"}])
        tiny.build()
        gold = open_gold(tiny.engine, tiny.lake, tiny.project, tiny.sources)
        numbers = ("activity_date", "silver_rows", "user_day_events", "events_without_actor", "filtered")
        assert [tuple(row[name] for name in numbers) for row in gold_ledger(gold)] == [
            (date(2025, 3, 1), 5, 4, 0, 1),
            (date(2025, 3, 2), 1, 0, 1, 0),
        ]


def test_changed_settings_make_the_tables_anew(tmp_path: Path) -> None:
    columns = {**REGION, "amount": pa.float64(), "pieces": pa.int64()}
    with Tiny(tmp_path, {"measures": {"total": {"sum": "pieces"}}}, columns=columns) as tiny:
        tiny.add([{"event_time": "2025-03-01 10:00", "amount": 1.5, "pieces": 2}])
        tiny.build()
        first = tiny.project
        tiny.project = first.model_copy(update={"dimensions": ("region",)})
        assert {run.reason for run in tiny.build()} == {"definition changed", "new"}
        tiny.project = type(first).model_validate(
            {"name": "tiny", "root": first.root, "measures": {"total": {"sum": "amount"}}}
        )
        tiny.build()
        assert tiny.query("SELECT total FROM gold.user_day") == [{"total": 1.5}]
        assert tiny.query("SELECT total FROM gold.sessions") == [{"total": 1.5}]


def test_settings_that_name_unknown_columns_say_so(tmp_path: Path) -> None:
    with Tiny(tmp_path, {"dimensions": ["regoin"]}, columns=REGION) as tiny:
        tiny.add([{"event_time": "2025-03-01 10:00"}])
        with pytest.raises(UnknownNameError) as caught:
            tiny.build()
        assert "region" in str(caught.value.hint)


def test_a_dimension_that_takes_another_type_makes_the_tables_anew(tmp_path: Path) -> None:
    with Tiny(tmp_path, {"dimensions": ["version"]}, columns={"version": pa.int64()}) as tiny:
        tiny.add([{"event_time": "2025-03-01 10:00", "version": 1}])
        tiny.build()
        tiny.columns = {**tiny.columns, "version": pa.string()}
        rows = tiny.rows([{"event_time": "2025-03-01 10:00", "version": "1.10"}])
        tiny.engine.write(rows, "silver.app", "overwrite")
        assert {run.reason for run in tiny.build()} == {"definition changed"}
        assert [row["first_version"] for row in tiny.sessions()] == ["1.10"]
        assert tiny.query("SELECT last_version FROM gold.user_day") == [{"last_version": "1.10"}]
