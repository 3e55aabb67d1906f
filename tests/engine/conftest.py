"""One Spark session for all tests of the session: it takes 6 to 18 seconds to start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark_session() -> Iterator[SparkSession]:
    """A local Spark session with Delta; mark the test `spark`."""
    from tidelake.engine.spark import local_session

    session = local_session()
    yield session
    session.stop()
