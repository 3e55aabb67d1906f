"""One Spark session for all tests of the session: it takes 6 to 18 seconds to start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# For rows by the dozen: no code generation, one partition, a quick compiler.
SMALL = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@pytest.fixture(scope="session")
def spark_session() -> Iterator[SparkSession]:
    """A local Spark session with Delta; mark the test `spark`."""
    from tidelake.engine.spark import local_session

    session = local_session(settings=SMALL)
    yield session
    session.stop()
