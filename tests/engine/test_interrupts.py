"""Ctrl-C while a statement runs: it ends the query or waits for the write, and the engine works on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pytest

from tidelake.engine.duckdb import DuckEngine

ENDLESS = "SELECT sum(a.range * b.range) AS total FROM range(10000000) AS a CROSS JOIN range(10000000) AS b"


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """A Ctrl-C that comes in a while, as from the keyboard."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_a_query_is_broken_off() -> None:
    with DuckEngine() as engine:
        with interrupted_after(0.3):
            engine.query(ENDLESS)
        assert engine.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_a_write_is_waited_for() -> None:
    rows = pa.table({"a": range(1000)})
    with DuckEngine() as engine:
        engine.write(rows, "temp.rows")
        with interrupted_after(0.2):
            while True:
                engine.write(
                    "SELECT sum(x.a + y.a + z.a % 3) AS n FROM temp.rows x, temp.rows y, range(100) z(a)", "temp.sums"
                )
        found = engine.query("SELECT n FROM temp.sums").to_pylist()
    assert found == [{"n": 100 * 1000 * 999 * 1000 + 1000 * 1000 * 99}]
