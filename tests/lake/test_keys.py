"""The key index against a dictionary, on random batches, and across a save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tidelake.lake.keys import KeyIndex

Batch = list[tuple[int, int]]
BATCHES = st.lists(st.lists(st.tuples(st.integers(-5, 40), st.integers(0, 6)), max_size=30), max_size=9)


def added(index: KeyIndex, batch: Batch) -> None:
    index.add(np.array([key for key, _ in batch], np.int64), np.array([day for _, day in batch], np.int32))


@settings(max_examples=60)
@given(BATCHES, st.lists(st.integers(-8, 45), max_size=20))
def test_finds_every_day_of_every_known_key(batches: list[Batch], asked: list[int]) -> None:
    index = KeyIndex(None)
    for batch in batches:
        added(index, batch)
    wanted = np.unique(np.array(asked, np.int64))
    hashes, days = index.find(wanted)
    known = {pair for batch in batches for pair in batch if pair[0] in asked}
    assert set(zip(hashes.tolist(), days.tolist(), strict=True)) == known


def test_is_the_same_after_it_was_saved(tmp_path: Path) -> None:
    index = KeyIndex(tmp_path / "index")
    for start in range(0, 100, 10):
        added(index, [(key, key % 7) for key in range(start, start + 10)])
    index.version, index.content = 3, ("a", "b")
    index.save(algorithm="x")
    again = KeyIndex.open(tmp_path / "index", algorithm="x")
    assert (again.version, again.content, len(again)) == (3, ("a", "b"), 100)
    hashes, days = again.find(np.array([5, 99, 100], np.int64))
    assert list(zip(hashes.tolist(), days.tolist(), strict=True)) == [(5, 5), (99, 1)]
    assert KeyIndex.open(tmp_path / "index", algorithm="y").version is None


def test_a_small_addition_leaves_large_runs_where_they_are(tmp_path: Path) -> None:
    index = KeyIndex(tmp_path / "index")
    added(index, [(key, 0) for key in range(10_000)])
    index.save(algorithm="x")
    large = {path.name for path in (tmp_path / "index").glob("*.npy")}
    index = KeyIndex.open(tmp_path / "index", algorithm="x")
    added(index, [(20_000, 1)])
    index.save(algorithm="x")
    assert large <= {path.name for path in (tmp_path / "index").glob("*.npy")}
