"""Spark passes the suite that every engine must pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tidelake.engine.spark import SparkEngine
from tidelake.lake import Lake
from tidelake.testing.engine_suite import EngineSuite

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.spark
class TestSparkEngine(EngineSuite):
    @pytest.fixture
    def engine(self, tmp_path: Path, spark_session: SparkSession) -> Iterator[SparkEngine]:
        with SparkEngine(Lake(str(tmp_path / "lake")), timezone=self.timezone, session=spark_session) as engine:
            yield engine
