"""The project's own tables: order, dates, contracts, definitions that change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.gold.tiny import Tiny
from tidelake.config import Activity
from tidelake.errors import ContractError, DefinitionError, QueryError, UnknownNameError
from tidelake.gold.models import restricted

PLAYS = "SELECT event_date, actor_id, count(*) AS events FROM silver.app GROUP BY event_date, actor_id"
PLAYS_CONTRACT = """
date: event_date
key: [event_date, actor_id]
columns:
  event_date: {type: date, required: true}
  actor_id:
  events: integer
tests:
  - {name: has_events, expression: events > 0}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    with Tiny(tmp_path) as made:
        made.add([{"event_time": f"2025-03-0{day} 10:00", "event_id": f"d{day}"} for day in (1, 2, 3)])
        yield made


def write(tiny: Tiny, name: str, sql: str, contract: str | None = None) -> None:
    folder = tiny.project.root / "models"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.sql").write_text(sql, encoding="utf-8")
    if contract is not None:
        (folder / f"{name}.yml").write_text(contract, encoding="utf-8")


def test_models_are_built_after_what_they_read(tiny: Tiny) -> None:
    write(tiny, "a_total", "SELECT sum(events) AS events FROM gold.plays_day")
    write(tiny, "plays_day", PLAYS, PLAYS_CONTRACT)
    names = [run.name for run in tiny.build()]
    assert names.index("gold.plays_day") < names.index("gold.a_total")
    assert tiny.query("SELECT events FROM gold.a_total") == [{"events": 3}]


def test_folders_of_models_are_layers_of_their_own(tiny: Tiny) -> None:
    """3 events of one actor on three days; `mart.total` counts the days of `staging.plays`."""
    write(tiny, "mart/total", "SELECT count(*) AS days FROM staging.plays")
    write(tiny, "staging/plays", PLAYS, PLAYS_CONTRACT)
    names = [run.name for run in tiny.build()]
    assert names.index("staging.plays") < names.index("mart.total")
    assert tiny.query("SELECT days FROM mart.total") == [{"days": 3}]
    assert [run.name for run in tiny.build(select=["total"])] == ["mart.total"]
    write(tiny, "other/plain", "SELECT 1 AS one FROM silver.app")
    assert "gold.plain" in {run.name for run in tiny.build()}


def test_a_model_or_activity_that_asks_for_a_field_by_the_log_s_name_is_refused(tiny: Tiny) -> None:
    """DuckDB would take `user` for whoever runs the query."""
    write(tiny, "people", "SELECT count(DISTINCT user) AS people FROM silver.app")
    with pytest.raises(DefinitionError, match=r"model of gold\.people: line 1, column 23: .* 'user'"):
        tiny.build()
    write(tiny, "people", "SELECT count(DISTINCT actor_id) AS people FROM silver.app")
    tiny.build()
    tiny.project = tiny.project.model_copy(update={"activity": Activity(where="\"user\" <> 'a'")})
    with pytest.raises(QueryError, match=r"activity: where: line 1, column 1: .* 'user'"):
        tiny.build()
    tiny.project = tiny.project.model_copy(update={"activity": Activity(where="event_date < current_date")})
    with pytest.raises(QueryError, match="line 1, column 14: current_date gives something else at every run"):
        tiny.build()


def test_a_dated_model_is_made_by_touched_dates_and_others_as_a_whole(tiny: Tiny) -> None:
    write(tiny, "plays_day", PLAYS, PLAYS_CONTRACT)
    write(tiny, "total", "SELECT count(*) AS n FROM silver.app")
    tiny.build()
    tiny.add([{"event_time": "2025-03-02 11:00", "event_id": "late"}])
    runs = {run.name: run for run in tiny.build()}
    assert runs["gold.plays_day"].dates == (date(2025, 3, 2),)
    assert runs["gold.total"].dates is None
    found = tiny.query("SELECT events FROM gold.plays_day ORDER BY event_date")
    assert [row["events"] for row in found] == [1, 2, 1]
    assert tiny.query("SELECT n FROM gold.total") == [{"n": 4}]
    assert {run.reason for run in tiny.build()} == {"nothing new"}


def test_lookback_reads_and_remakes_neighbouring_days(tiny: Tiny) -> None:
    sql = """
    SELECT days.event_date, count(DISTINCT events.event_id) AS events
    FROM silver.app AS days
    JOIN silver.app AS events
      ON events.event_date <= days.event_date AND days_between(events.event_date, days.event_date) <= 1
    GROUP BY days.event_date
    """
    write(tiny, "two_days", sql, "date: event_date\nlookback_days: 1\n")
    tiny.build()
    tiny.add([{"event_time": "2025-03-01 11:00", "event_id": "late"}])
    runs = {run.name: run for run in tiny.build()}
    assert runs["gold.two_days"].dates == (date(2025, 3, 1), date(2025, 3, 2))
    found = tiny.query("SELECT events FROM gold.two_days ORDER BY event_date")
    assert [row["events"] for row in found] == [2, 3, 2]


def test_a_changed_definition_says_what_it_restates_before_it_does(tiny: Tiny) -> None:
    write(tiny, "plays_day", PLAYS, PLAYS_CONTRACT)
    tiny.build()
    write(tiny, "plays_day", PLAYS.replace("count(*)", "2 * count(*)"))
    (run,) = tiny.build(select=["plays_day"], dry_run=True)
    assert (run.reason, run.rows, len(run.dates or ())) == ("definition changed", 3, 3)
    assert tiny.query("SELECT max(events) AS n FROM gold.plays_day") == [{"n": 1}]
    tiny.build(select=["plays_day"])
    assert tiny.query("SELECT max(events) AS n FROM gold.plays_day") == [{"n": 2}]


def test_a_table_by_month_says_the_rows_that_it_makes_anew(tmp_path: Path) -> None:
    """gold.event_day has one row for each of 3 dates, in one partition."""
    said: list[str] = []

    class Watch:
        def __call__(self, *_: object) -> None: ...

        def say(self, text: str) -> None:
            said.append(text)

    with Tiny(tmp_path) as tiny:
        tiny.add([{"event_time": f"2025-03-0{day} 10:00", "event_id": f"d{day}"} for day in (1, 2, 3)])
        tiny.build()
        tiny.project = tiny.project.model_copy(update={"dimensions": ["event_name"]})
        (run,) = tiny.build(select=["event_day"], dry_run=True)
        assert run.rows == 3
        tiny.build(select=["event_day"], progress=Watch())
    assert said == ["gold.event_day: definition changed: 3 dates with 3 rows are made anew."]


def test_rows_that_break_the_contract_leave_the_table_as_it_was(tiny: Tiny) -> None:
    write(tiny, "plays_day", PLAYS, PLAYS_CONTRACT)
    tiny.build()
    write(tiny, "plays_day", PLAYS.replace("count(*)", "count(*) - 1"))
    with pytest.raises(ContractError, match="3 rows break 'has_events'"):
        tiny.build()
    assert tiny.query("SELECT max(events) AS n FROM gold.plays_day") == [{"n": 1}]
    write(tiny, "plays_day", "SELECT event_date, actor_id, 1 AS events FROM silver.app UNION ALL "
                             "SELECT event_date, actor_id, 1 AS events FROM silver.app")  # fmt: skip
    with pytest.raises(ContractError, match="is unique"):
        tiny.build()


def test_broken_rows_of_a_first_build_are_shown_and_can_be_asked_for(tiny: Tiny) -> None:
    """The table is not there then: what the hint names is the model's own SELECT."""
    write(tiny, "plays_day", PLAYS.replace("count(*)", "count(*) - 1"), PLAYS_CONTRACT)
    with pytest.raises(ContractError) as caught:
        tiny.build()
    assert str(caught.value) == (
        "gold.plays_day: 3 rows break 'has_events'. First: event_date 2025-03-01, actor_id ann, events 0. "
        "The table was not made."
    )
    assert "`tide sql models/plays_day.sql --as-of newest`" in str(caught.value.hint)
    assert "WHERE NOT (events > 0)" in str(caught.value.hint)
    text = (tiny.project.root / "models/plays_day.sql").read_text(encoding="utf-8")
    assert [row["events"] for row in tiny.query(text)] == [0, 0, 0]


def test_unknown_tables_circles_and_taken_names_are_refused(tiny: Tiny) -> None:
    write(tiny, "one", "SELECT 1 AS x FROM silver.ap")
    with pytest.raises(UnknownNameError) as caught:
        tiny.build()
    assert "silver.app" in str(caught.value.hint)
    assert "models/one.sql" in str(caught.value)
    write(tiny, "one", "SELECT x FROM gold.two")
    write(tiny, "two", "SELECT x FROM gold.one")
    with pytest.raises(DefinitionError, match=r"gold.one -> gold.two -> gold.one"):
        tiny.build()
    write(tiny, "one", "SELECT 1 AS x FROM silver.app")
    write(tiny, "two", "SELECT 1 AS x FROM silver.app")
    write(tiny, "sessions", "SELECT 1 AS x FROM silver.app")
    with pytest.raises(DefinitionError, match="which Tidelake makes itself"):
        tiny.build()


def test_what_is_not_portable_is_refused_with_its_file(tiny: Tiny) -> None:
    write(tiny, "one", "SELECT hash(actor_id) AS x FROM silver.app")
    with pytest.raises(DefinitionError, match=r"models/one.sql"):
        tiny.build()


def test_declared_columns_must_be_there_and_of_their_type(tiny: Tiny) -> None:
    write(tiny, "one", "SELECT 1 AS x FROM silver.app", "columns: {y: integer}\n")
    with pytest.raises(DefinitionError, match="declares the column 'y'"):
        tiny.build()
    write(tiny, "one", "SELECT 'a' AS x FROM silver.app", "columns: {x: integer}\n")
    with pytest.raises(DefinitionError, match="declared integer and is string"):
        tiny.build()


def test_dates_are_put_into_every_from() -> None:
    text = "WITH a AS (SELECT * FROM silver.app) SELECT app.x FROM silver.app JOIN gold.t AS u ON u.x = app.x"
    found = restricted(text, {"silver.app": "event_date"}, [date(2025, 3, 1), date(2025, 3, 2)])
    part = "(SELECT * FROM silver.app WHERE event_date BETWEEN DATE '2025-03-01' AND DATE '2025-03-02') AS app"
    assert found == f"WITH a AS (SELECT * FROM {part}) SELECT app.x FROM {part} JOIN gold.t AS u ON u.x = app.x"


def test_late_events_on_closed_days_are_restated(tmp_path: Path) -> None:
    with Tiny(tmp_path) as tiny:
        tiny.add([{"event_time": f"2025-03-0{day} 10:00", "event_id": f"d{day}"} for day in (1, 2, 3)])
        assert all(not run.restatements for run in tiny.build())
        tiny.add(
            [
                {"event_time": "2025-03-02 12:00", "actor_id": "bob", "event_id": "l1"},
                {"event_time": "2025-03-02 12:01", "actor_id": "bob", "event_id": "l2"},
                {"event_time": "2025-03-03 12:00", "actor_id": "bob", "event_id": "open"},
            ]
        )
        said = [str(item) for run in tiny.build() for item in run.restatements]
        assert said == [
            "DAU 02 Mar 2025 1 -> 2, 2 late events",
            "sessions 02 Mar 2025 1 -> 2, 2 late events",
            "events 02 Mar 2025 1 -> 3, 2 late events",
        ]
