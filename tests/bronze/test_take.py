"""Lines on their way to bronze."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from tidelake.bronze.registry import FileRecord
from tidelake.bronze.take import lines_of
from tidelake.sources.base import LINES, FileRead, Group, Look

NOW = datetime(2025, 11, 1, tzinfo=UTC)


def read(path: str) -> FileRead:
    look = Look(path=path, source_path=path, size=10, modified_us=0, stamp="s")
    return FileRead(look=look, content_hash="h", size=10, first_line=1, lines=2, ends_with_newline=True)


def record(path: str, file_id: int) -> FileRecord:
    return FileRecord("app", path, file_id, 1, "s", "h", 10, 0, 2, "whole", True, None, "", 1)


def two_files() -> Group:
    kinds = pa.DictionaryArray.from_arrays(pa.array([0] * 4, pa.int8()), pa.array(["record"]))
    lines = pa.table(
        [
            pa.array([0, 0, 1, 1], pa.int32()),
            pa.array([1, 2, 1, 2], pa.int64()),
            pa.array(["a long enough line", "b", "c", "d"], pa.string_view()),
            pa.nulls(4, pa.string_view()),
            pa.nulls(4, pa.string()),
            kinds,
        ],
        schema=LINES,
    )
    return Group(files=(read("one"), read("two")), lines=lines, done=(True, True), bytes_read=20)


def test_lines_carry_file_place_and_batch() -> None:
    table = lines_of(two_files(), [record("one", 7), record("two", 9)], batch_id=3, now=NOW)
    assert table.column("file_id").to_pylist() == [7, 7, 9, 9]
    assert table.column("source_path").to_pylist() == ["one", "one", "two", "two"]
    assert table.column("batch_id").to_pylist() == [3] * 4
    assert table.column("ingested_at").to_pylist() == [NOW] * 4


def test_lines_of_a_copy_are_left_out() -> None:
    table = lines_of(two_files(), [None, record("two", 9)], batch_id=3, now=NOW)
    assert table.column("raw").to_pylist() == ["c", "d"]
    assert table.column("source_path").to_pylist() == ["two", "two"]


def test_arrow_still_cannot_filter_string_views() -> None:
    """When this fails, the cast in `bronze.take.lines_of` has become needless."""
    with pytest.raises(pa.ArrowNotImplementedError):
        pa.array(["x"], pa.string_view()).filter(pa.array(np.array([True])))
