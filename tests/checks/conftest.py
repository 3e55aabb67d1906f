"""The logs that the product and the checks are asked about, each built once for all files that one process runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.checks.logs import LOGS, SEED, Log, open_log


@pytest.fixture(scope="session", params=LOGS)
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    """Events, what is known of how complete they are, and a built project over them."""
    made = open_log(request, SEED)
    with made.session:
        yield made
