"""The demo projects on both engines: the same lake, the same SELECTs, the same rows.

DuckDB builds a project; its silver is copied into a second lake, where Spark builds gold through the same
four methods. Every table must then hold the same rows, to the last bit.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import tidelake.session as tidelake_session
from tests.gold.test_identity import random_events
from tests.gold.test_identity import tiny as with_anonymous
from tests.gold.test_watch_random import COLUMNS, random_plays
from tests.gold.tiny import Tiny
from tidelake.engine.base import Engine
from tidelake.engine.duckdb import DuckEngine
from tidelake.engine.spark import SparkEngine
from tidelake.engine.sql import check_portable
from tidelake.gold.build import build_gold
from tidelake.gold.context import open_gold
from tidelake.gold.identity import identity_faults, identity_report
from tidelake.lake import Lake
from tidelake.session import Session
from tidelake.silver.parsing import Parsing
from tidelake.sources.simulate import simulate
from tidelake.testing import assert_same_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EXAMPLES = Path(__file__).parents[2] / "examples"
SITES = ("enwiki", "dewiki", "commonswiki", "enwikibooks", "abwiki")
FAULTS = frozenset(
    (
        "invalid_json",
        "duplicate_key",
        "not_an_object",
        "clock_skew:event_time",
        "wrong_time:timestamp",
        "ambiguous_time:timestamp",
        "wrong_type:app_version",
        "wrong_type:seek_seconds",
        "wrong_type:user_id",
        "missing_required:user_id",
        "missing_required:event_type",
        "not_allowed:event_type",
    )
)
GOOD = {
    "event_id": "x",
    "user_id": "u1",
    "event_type": "video_seek",
    "content_id": "c1",
    "device": "tv",
    "app_version": "1.10",
    "region": "EU",
    "timestamp": "2025-11-10T10:00:00Z",
    "seek_seconds": 5,
}
# Values as JSON text, by field: what logs really hold where a contract expects something else.
ODD_VALUES = {
    "seek_seconds": ["1.10", "1e3", "-0.0", '"12"', '" 12 "', '"1,5"', '"abc"', '""', "true", "null", "[1]", '{"a":1}'],
    "app_version": ["1.1", "110", "true", '"1.1.0"', '"v1"', '""', "null", '["1"]'],
    "user_id": ["17", '{"id": 1,  "b": [1, 2]}', "[]", '""', '"{x"', '"é😀\\n"', "null", "12345678901234567890"],
    "event_type": ["null", '"Video_Play"', '""', "7"],
    "content_id": ["7", "null", '"\\u00e9"', "[1, 2]"],
    "timestamp": [
        '"2025-11-10 10:00:00"',
        '"2025-11-10T10:00:00.123456+02:00"',
        '"2025-11-10T10:00:00+0200"',
        '"2025-11-10T10:00"',
        '"2025-11-10"',
        "1762768800",
        "1762768800123",
        "1762768800123456",
        "1762768800.5",
        '"1762768800"',
        '"10/11/2025"',
        '"10.11.2025 10:00"',
        '"2025-13-40T10:00:00Z"',
        '"1970-01-01T00:00:00Z"',
        '"2106-02-07T06:28:16Z"',
        '"soon"',
        '""',
        "null",
        "true",
    ],
}
ODD_LINES = [
    "[1, 2]",
    '"text"',
    "null",
    "17",
    "{",
    '{"a": 1} x',
    '{"event_id": "d1", "event_id": "d2"}',
    '{"EVENT_ID": "upper"}',
    "{}",
    "",
    "   ",
]
GOLD_OF_EVENTS = {"gold.sessions", "gold.user_day", "gold.user_day_value", "gold.event_day"}


@dataclass(frozen=True)
class Pair:
    """One project, built by DuckDB, and Spark over a lake with the same bronze and silver."""

    session: Session
    spark: SparkEngine
    lake: Lake


def example(name: str, root: Path, data: Callable[[Path], object]) -> Path:
    """A copy of an example project with its data."""
    root.mkdir()
    shutil.copy(EXAMPLES / name / "tide.yml", root)
    shutil.copytree(EXAMPLES / name / "sources", root / "sources")
    data(root / "data")
    return root


@contextmanager
def both(root: Path, spark_session: SparkSession) -> Iterator[Pair]:
    """The project built by DuckDB, with Spark beside it over a copy of bronze, silver and what gold reads of ops."""
    with tidelake_session.open(root) as session:
        session.build()
        copy = root / "spark"
        for layer in ("bronze", "silver", "ops"):
            shutil.copytree(root / "lake" / layer, copy / layer)
        lake = Lake(str(copy))
        with SparkEngine(lake, timezone=session.project.timezone, session=spark_session) as spark:
            yield Pair(session, spark, lake)


def odd_lines() -> list[str]:
    """Lines that a careful reader of JSON must judge: one odd value each in a record that is else good."""
    lines = []
    for field, values in ODD_VALUES.items():
        for number, value in enumerate(values):
            record = {**GOOD, "event_id": f"{field}-{number}"}
            parts = [f'"{name}": {value if name == field else json.dumps(held)}' for name, held in record.items()]
            lines.append("{" + ", ".join(parts) + "}")
    more = [json.dumps({**GOOD, "event_id": "more", "model": "m1"}), json.dumps({"region": "EU", **GOOD})]
    return [*lines, *more, *ODD_LINES]


def simulated(data: Path) -> None:
    """40 users over 3 days, with a file of odd lines beside them."""
    simulate("collapse", data, users=40, days=3)
    (data / "day_2025-11-09.json").write_text("\n".join(odd_lines()) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def collapse(tmp_path_factory: pytest.TempPathFactory, spark_session: SparkSession) -> Iterator[Pair]:
    """The collapse example, small, planted faults and late events included."""
    root = example("collapse", tmp_path_factory.mktemp("parity") / "collapse", simulated)
    with both(root, spark_session) as pair:
        yield pair


def part_of_wikimedia(data: Path) -> None:
    """Five sites' daily counts of two months, six raw hourly files, and the list of bad dates."""
    source = EXAMPLES / "wikimedia" / "data"
    (data / "daily").mkdir(parents=True)
    rows = pq.read_table(source / "daily" / "views_2016.parquet")
    some = pc.field("site").isin(SITES) & (pc.field("date") < date(2016, 3, 1))
    pq.write_table(rows.filter(some), data / "daily" / "views_2016.parquet")
    shutil.copy(source / "BAD_DATES.csv", data)
    for path in sorted((source / "hourly").rglob("projectviews-*"))[:6]:
        target = data / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


@pytest.fixture(scope="module")
def wikimedia(tmp_path_factory: pytest.TempPathFactory, spark_session: SparkSession) -> Iterator[Pair]:
    """A part of the Wikimedia example's real counts."""
    root = example("wikimedia", tmp_path_factory.mktemp("parity") / "wikimedia", part_of_wikimedia)
    with both(root, spark_session) as pair:
        yield pair


def check_gold(pair: Pair) -> set[str]:
    """Have Spark build gold and compare every table; the tables' names."""
    session = pair.session
    runs = build_gold(pair.spark, pair.lake, session.project, session.sources)
    built = {table for table in session.lake.tables() if table.startswith("gold.")}
    assert {run.name for run in runs} == built
    for table in sorted(built):
        rows = session.engine.query(f"SELECT * FROM {table}")
        assert rows.num_rows > 0
        other = pair.spark.query(f"SELECT * FROM {table}")
        assert_same_rows(rows, other, tolerance=0, names=(f"{table} by DuckDB", f"{table} by Spark"))
    again = build_gold(pair.spark, pair.lake, session.project, session.sources)
    assert all(run.is_current for run in again), "Spark's commits say what they were made from"
    return built


class Listening:
    """An engine that passes everything on and refuses SQL that is not portable."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.capabilities = engine.capabilities
        self.heard = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pa.Table:
        self.heard += 1
        check_portable(sql)
        return self.engine.query(sql, params)

    def write(self, select: str | pa.Table, table: str, *args: Any, **options: Any) -> int:
        if isinstance(select, str):
            self.heard += 1
            check_portable(select)
        return self.engine.write(select, table, *args, **options)


@pytest.mark.parametrize("name", ["collapse", "wikimedia"])
def test_gold_asks_for_portable_sql_only(name: str, tmp_path: Path) -> None:
    """What Spark is spared to say: every query of gold is in the subset. Needs no Spark."""
    root = example(name, tmp_path / name, simulated if name == "collapse" else part_of_wikimedia)
    with tidelake_session.open(root) as session:
        session.build()
        listening = Listening(session.engine)
        runs = build_gold(listening, session.lake, session.project, session.sources, full_refresh=True)
        assert runs
        assert listening.heard > len(runs)


@pytest.mark.parametrize("mode", ["ignore", "trust", "verify"])
def test_watch_time_asks_for_portable_sql_only(mode: str, tmp_path: Path) -> None:
    """In two builds, so that what changes sessions of the days before is asked for too."""
    events = random_plays(1, "UTC", actors=6, count=12)
    with Tiny(tmp_path, {"session": {"mode": mode, "cap": "5h"}}, columns=COLUMNS) as tiny:
        for part in range(2):
            tiny.add(events[part::2])
            build_gold(Listening(tiny.engine), tiny.lake, tiny.project, tiny.sources)
        assert tiny.sessions()


@pytest.mark.spark
def test_watch_time_over_sessions(tmp_path: Path, spark_session: SparkSession) -> None:
    """Spark in two builds, DuckDB in one."""
    events = random_plays(1, "Europe/Berlin", actors=8, count=15)
    settings = {"timezone": "Europe/Berlin", "session": {"mode": "verify", "cap": "2h"}}
    with (
        Tiny(tmp_path / "duck", settings, columns=COLUMNS) as duck,
        Tiny(tmp_path / "s", settings, columns=COLUMNS) as s,
    ):
        duck.add(events)
        duck.build(select=["sessions"])
        with SparkEngine(s.lake, timezone="Europe/Berlin", session=spark_session) as spark:
            for part in range(2):
                s.add(events[part::2])
                build_gold(spark, s.lake, s.project, s.sources, select=["sessions"])
            other = spark.query("SELECT * FROM gold.sessions")
        assert_same_rows(duck.engine.query("SELECT * FROM gold.sessions"), other, tolerance=0)


def test_stitching_asks_for_portable_sql_only(tmp_path: Path) -> None:
    events = random_events(seed=3)
    with with_anonymous(tmp_path, {"dimensions": ["country"]}, country=pa.string()) as tiny:
        for part in range(2):
            tiny.add(events[part::2])
            build_gold(Listening(tiny.engine), tiny.lake, tiny.project, tiny.sources)
        gold = open_gold(Listening(tiny.engine), tiny.lake, tiny.project, tiny.sources)
        assert identity_faults(gold) == []
        assert identity_report(gold).table.num_rows


@pytest.mark.spark
def test_anonymous_ids_have_the_same_owners(tmp_path: Path, spark_session: SparkSession) -> None:
    """Spark in two builds, DuckDB in one: owners, and sessions and days of the stitched actors."""
    events, wanted = random_events(seed=3), ["sessions", "user_day"]
    with with_anonymous(tmp_path / "duck") as duck, with_anonymous(tmp_path / "s") as s:
        duck.add(events)
        duck.build(select=wanted)
        with SparkEngine(s.lake, session=spark_session) as spark:
            for part in range(2):
                s.add(events[part::2])
                build_gold(spark, s.lake, s.project, s.sources, select=wanted)
            for table in ("gold.identity_day", "gold.identity", "gold.sessions", "gold.user_day"):
                sql = f"SELECT * FROM {table}"
                assert_same_rows(duck.engine.query(sql), spark.query(sql), tolerance=0)
            stitched = open_gold(spark, s.lake, s.project, s.sources)
            assert identity_faults(stitched) == []
            numbers = identity_report(stitched).table
        assert numbers == identity_report(open_gold(duck.engine, duck.lake, duck.project, duck.sources)).table


@pytest.mark.spark
def test_gold_of_the_collapse_example(collapse: Pair) -> None:
    assert check_gold(collapse) >= GOLD_OF_EVENTS


@pytest.mark.spark
def test_gold_of_the_wikimedia_example(wikimedia: Pair) -> None:
    assert check_gold(wikimedia) == {"gold.entity_day"}


@pytest.mark.spark
@pytest.mark.parametrize("source", ["daily", "hourly", "bad_dates"])
def test_silver_of_the_wikimedia_example(wikimedia: Pair, spark_session: SparkSession, source: str) -> None:
    check_silver(wikimedia, spark_session, source)


@pytest.mark.spark
def test_silver_of_the_collapse_example(collapse: Pair, spark_session: SparkSession) -> None:
    """Every record is parsed, typed and judged alike, from the same bronze."""
    check_silver(collapse, spark_session, "clickstream", FAULTS)


def check_silver(pair: Pair, spark_session: SparkSession, name: str, faults: frozenset[str] = frozenset()) -> None:
    """Run a source's silver SELECTs on both engines over all of its bronze.

    Args:
        faults: Reasons that must be among those found, so that the comparison is of more than clean rows.
    """
    session = pair.session
    source = session.sources[name]
    with (
        SparkEngine(pair.lake, timezone=session.project.timezone, session=spark_session, is_ingest=True) as spark,
        DuckEngine(session.lake, timezone=session.project.timezone) as duck,
    ):
        engines = {"DuckDB": duck, "Spark": spark}
        for engine in engines.values():
            engine.write(f"SELECT * FROM bronze.{name}", "temp.lines")
            Parsing(engine, session.lake, session.project, source, app_id="parity", index=None).parse()
        # Of a repeated key DuckDB reads the first value and Spark the last; such a record is always quarantined.
        unique = (
            "SELECT p.* FROM temp.parsed AS p ANTI JOIN (SELECT file_id, source_position FROM temp.reasons "
            "WHERE list_contains(reasons, 'duplicate_key')) AS d "
            "ON d.file_id = p.file_id AND d.source_position = p.source_position"
        )
        for select in (unique, "SELECT * FROM temp.unclean", "SELECT * FROM temp.reasons"):
            left, right = (engine.query(select) for engine in engines.values())
            assert_same_rows(left, right, ignore=["key_hash"], names=(f"{select}, DuckDB", f"{select}, Spark"))
        judged = {
            reason for row in duck.query("SELECT reasons FROM temp.reasons").to_pylist() for reason in row["reasons"]
        }
        assert judged >= faults
        # What DuckDB's build kept is what Spark would have kept, column by column.
        silver = duck.query(f"SELECT * FROM silver.{name}")
        columns = ", ".join(f'"{column}"' for column in silver.column_names)
        kept = f"SELECT {columns} FROM temp.parsed SEMI JOIN temp.kept USING (file_id, source_position)"
        spark.write(silver.select(["file_id", "source_position"]), "temp.kept")
        assert silver.num_rows > 0
        assert_same_rows(silver, spark.query(kept), names=(f"silver.{name} by DuckDB", "by Spark"))
