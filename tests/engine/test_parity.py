"""The demo projects on both engines: the same lake, the same SELECTs, the same rows.

DuckDB builds a project; its silver is copied into a second lake, where Spark builds gold through the same
four methods. Every table must then hold the same rows, to the last bit.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tidelake.session as tidelake_session
from tidelake.engine.spark import SparkEngine
from tidelake.gold.build import build_gold
from tidelake.lake import Lake
from tidelake.session import Session
from tidelake.sources.simulate import simulate
from tidelake.testing import assert_same_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EXAMPLES = Path(__file__).parents[2] / "examples"
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


@pytest.fixture(scope="module")
def collapse(tmp_path_factory: pytest.TempPathFactory, spark_session: SparkSession) -> Iterator[Pair]:
    """The collapse example with 40 users over 3 days, planted faults and late events included."""
    folder = tmp_path_factory.mktemp("parity")
    root = example("collapse", folder / "collapse", lambda data: simulate("collapse", data, users=40, days=3))
    with tidelake_session.open(root) as session:
        session.build()
        copy = folder / "spark"
        for layer in ("bronze", "silver"):
            shutil.copytree(root / "lake" / layer, copy / layer)
        lake = Lake(str(copy))
        with SparkEngine(lake, timezone=session.project.timezone, session=spark_session) as spark:
            yield Pair(session, spark, lake)


@pytest.mark.spark
def test_gold_of_the_collapse_example(collapse: Pair) -> None:
    session = collapse.session
    runs = build_gold(collapse.spark, collapse.lake, session.project, session.sources)
    built = {table for table in session.lake.tables() if table.startswith("gold.")}
    assert built >= GOLD_OF_EVENTS
    assert {run.name for run in runs} == built
    for table in sorted(built):
        rows = session.engine.query(f"SELECT * FROM {table}")
        assert rows.num_rows > 0
        assert_same_rows(
            rows,
            collapse.spark.query(f"SELECT * FROM {table}"),
            tolerance=0,
            names=(f"{table} by DuckDB", f"{table} by Spark"),
        )
