"""DuckDB passes the suite that every engine must pass."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from tidelake.engine.base import Layout
from tidelake.engine.duckdb import DuckEngine
from tidelake.errors import QueryError
from tidelake.lake import Lake
from tidelake.testing.engine_suite import EngineSuite


class TestDuckEngine(EngineSuite):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[DuckEngine]:
        with DuckEngine(Lake(str(tmp_path / "lake")), timezone=self.timezone, threads=2) as engine:
            yield engine


def test_many_small_dates_are_one_file_each(tmp_path: Path) -> None:
    # 150 dates of 3 rows: more than one COPY writes, fewer rows than a row group.
    first = date(2024, 1, 1)
    rows = pa.table(
        {
            "day": pa.array([first + timedelta(days=n % 150) for n in range(450)], pa.date32()),
            'odd "name': pa.array(range(450), pa.int64()),
            "text": pa.array([None if n % 7 == 0 else f"t{n}" for n in range(450)]),
        }
    )
    lake = Lake(str(tmp_path / "lake"))
    with DuckEngine(lake, threads=2) as engine:
        engine.write(rows, "gold.t", layout=Layout(("day",)))
        files = {file.partition["day"]: file for file in lake.files("gold.t")}
        assert len(files) == len(lake.files("gold.t")) == 150
        tenth = files["2024-01-10"]
        assert (tenth.records, tenth.minimum['odd "name'], tenth.maximum['odd "name']) == (3, 9, 309)
        found = engine.query("SELECT * FROM gold.t ORDER BY 2").select(rows.column_names)
        assert found.to_pylist() == rows.to_pylist()
        engine.write(rows.slice(0, 2), "gold.t", "replace", replace={"day": [first, first + timedelta(days=1)]})
        assert engine.query("SELECT count(*) AS n FROM gold.t").to_pylist() == [{"n": 446}]
    # Another reader, which goes by the Delta log alone.
    assert DeltaTable(str(tmp_path / "lake" / "gold" / "t")).count() == 446


def test_a_table_that_was_dropped_and_made_anew_is_read_as_it_is(tmp_path: Path) -> None:
    """With other partitions, and at the same version: what was known of the old one does not hold."""
    lake = Lake(str(tmp_path / "lake"))
    day, other = date(2024, 1, 1), date(2024, 1, 2)
    rows = pa.table({"day": pa.array([day, day, other]), "number": pa.array([1, 2, 2], pa.int64())})
    with DuckEngine(lake, threads=2) as engine:
        sql = f"SELECT count(*) AS n FROM gold.t WHERE day = DATE '{day}' AND number IN (1, 2)"
        for layout in (Layout(("day",)), Layout(("number",)), Layout()):
            engine.write(rows, "gold.t", layout=layout)
            assert lake.version("gold.t") == 1
            assert engine.query(sql).to_pylist() == [{"n": 2}]
            assert engine.query("SELECT count(*) AS n FROM gold.t").to_pylist() == [{"n": 3}]
            lake.drop("gold.t")


def test_of_two_empty_tables_the_later_one_is_read(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    with DuckEngine(lake, threads=2) as engine:
        for name in ("a", "b"):
            engine.write(pa.table({name: pa.array([], pa.int64())}), "gold.t")
            assert engine.query("SELECT * FROM gold.t").column_names == [name]
            lake.drop("gold.t")
        with pytest.raises(QueryError, match=r"no table gold\.t\."):
            engine.query("SELECT * FROM gold.t")


@pytest.mark.parametrize(
    ("cast", "said", "instead"),
    [
        ("CAST(amount AS DOUBLE)", "'n/a' of the column amount cannot be cast to DOUBLE", "text_to_number(amount)"),
        ("sum(amount::DECIMAL(9, 2))", '"n/a" of the column amount cannot be cast to DECIMAL', "text_to_number("),
        ("amount::BIGINT", "'n/a' of the column amount cannot be cast to INT64", "text_to_integer(amount)"),
        ("amount::DATE", '"n/a" of the column amount cannot be cast to DATE', "text_to_date(amount)"),
        ("amount::TIMESTAMPTZ", '"n/a" of the column amount cannot be cast to TIMESTAMP', "text_to_timestamp("),
        ('"in words"::BOOLEAN', "'it's 'no'' of the column \"in words\" cannot be cast to BOOL", 'boolean("in words")'),
        ("CAST('9' || amount AS INTEGER)", "'9n/a' cannot be cast to INT32", "text_to_integer(text)"),
        ("CAST(many AS TINYINT)", "Type INT64 with value 300", "CASE"),
    ],
)
def test_a_value_that_cannot_be_cast_is_named_with_the_portable_way(cast: str, said: str, instead: str) -> None:
    with DuckEngine(threads=1) as engine:
        engine.write(pa.table({"amount": ["n/a"], "in words": ["it's 'no'"], "many": [300]}), "temp.rows")
        with pytest.raises(QueryError) as caught:
            engine.query(f"SELECT {cast} AS cast_value FROM temp.rows")
    assert said in str(caught.value)
    assert instead in (caught.value.hint or "")
    assert caught.value.exit_code == 2
