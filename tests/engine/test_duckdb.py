"""DuckDB passes the suite that every engine must pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tidelake.engine.duckdb import DuckEngine
from tidelake.lake import Lake
from tidelake.testing.engine_suite import EngineSuite


class TestDuckEngine(EngineSuite):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[DuckEngine]:
        with DuckEngine(Lake(str(tmp_path / "lake")), timezone=self.timezone, threads=2) as engine:
            yield engine
