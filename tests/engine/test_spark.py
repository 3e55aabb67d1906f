"""Spark passes the suite that every engine must pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tidelake.engine.spark import JARS, SparkEngine, local_session
from tidelake.errors import UnsupportedError
from tidelake.lake import Lake
from tidelake.testing.engine_suite import DAYS, EngineSuite, visits

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.spark
class TestSparkEngine(EngineSuite):
    @pytest.fixture
    def engine(self, tmp_path: Path, spark_session: SparkSession) -> Iterator[SparkEngine]:
        with SparkEngine(Lake(str(tmp_path / "lake")), timezone=self.timezone, session=spark_session) as engine:
            yield engine

    def test_a_note_is_read_by_the_lake(self, engine: SparkEngine) -> None:
        note = {"inputs": {"silver.visits": 3}, "day": DAYS[0]}
        engine.write(visits((DAYS[0], "a", 1)), "gold.visits", note=note)
        assert engine.lake is not None
        assert Lake.note(engine.lake, "gold.visits") == {"inputs": {"silver.visits": 3}, "day": "2025-01-01"}  # type: ignore[arg-type]

    def test_a_session_of_the_user_keeps_its_settings(self, engine: SparkEngine, spark_session: SparkSession) -> None:
        spark_session.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
        try:
            with SparkEngine(engine.lake, session=spark_session) as other:
                assert other.session is not None
                assert other.session.conf.get("spark.sql.session.timeZone") == "UTC"
            assert spark_session.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
        finally:
            spark_session.conf.set("spark.sql.session.timeZone", "UTC")


def test_a_folder_without_jars_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    pytest.importorskip("delta")
    with pytest.raises(UnsupportedError) as caught:
        local_session(jars=str(tmp_path))
    assert JARS in str(caught.value.hint)


def test_missing_parts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match="pyspark") as caught:
        SparkEngine(None)
    assert "pip install" in str(caught.value.hint)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UnsupportedError, match="Java"):
        local_session()
