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
