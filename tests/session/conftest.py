"""What tests that kill commands share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.session.killing import Run, killer


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """A function that runs a command in a process of its own and can kill it; one server for all tests."""
    with killer() as made:
        yield made
