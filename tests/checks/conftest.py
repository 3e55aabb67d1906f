"""The logs that the product and the checks are asked about, each built once for all files that one process runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.checks.logs import LOGS, SEED, Log, open_log
from tests.checks.rich import ZONES, Rich, rich


@pytest.fixture(scope="session", params=LOGS)
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    """Events, what is known of how complete they are, and a built project over them."""
    made = open_log(request, SEED)
    with made.session:
        yield made


@pytest.fixture(scope="session", params=ZONES)
def rich_log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    """A log of a zone with a lake over it; weeks begin on Sunday in two of them."""
    week_start = "sunday" if "America" in request.param or "Lord" in request.param else "monday"
    root = tmp_path_factory.mktemp("rich")
    made = rich(root, request.param, seed=SEED, week_start=week_start)
    with made.tiny:
        yield made
