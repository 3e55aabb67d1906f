"""Reading small files with the real readers, row by row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidelake.contracts.source import source_from
from tidelake.sources import make_reader
from tidelake.sources.base import FileRead, Look, Reader, Take


def reader_of(path: Path | str, **settings: Any) -> Reader:
    """A reader with as few settings as can be."""
    given = {"name": "some", "path": str(path), "fact": "dimension", "key": ["id"], **settings}
    return make_reader(source_from(given), Path("/"))


class Reading:
    """All that a reader gave: rows as dictionaries (with their file's path), and the files' ends."""

    def __init__(self, reader: Reader, *, group_bytes: int = 1 << 20, takes: list[Take] | None = None) -> None:
        self.looks = reader.looks()
        self.rows: list[dict[str, Any]] = []
        self.files: dict[str, FileRead] = {}
        self.lines: dict[str, int] = {}
        self.groups = 0
        self.bytes_read = 0
        for group in reader.groups(takes or [Take(look) for look in self.looks], group_bytes=group_bytes):
            group.lines.validate(full=True)
            self.groups += 1
            self.bytes_read += group.bytes_read
            rows = group.lines.to_pylist()
            for index, (file, done) in enumerate(zip(group.files, group.done, strict=True)):
                path = file.look.source_path
                positions = [row["source_position"] for row in rows if row["file_index"] == index]
                assert positions == list(range(file.first_line, file.first_line + file.lines))
                self.lines[path] = self.lines.get(path, 0) + file.lines
                if done:
                    assert path not in self.files, "a file ended twice"
                    self.files[path] = file
            for row in rows:
                self.rows.append({"path": group.files[row.pop("file_index")].look.source_path, **row})

    @property
    def only(self) -> FileRead:
        (file,) = self.files.values()
        return file

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]


@pytest.fixture
def read() -> Callable[..., Reading]:
    def make(path: Path | str, *, group_bytes: int = 1 << 20, **settings: Any) -> Reading:
        return Reading(reader_of(path, **settings), group_bytes=group_bytes)

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def look_at(reader: Reader) -> Look:
    """The only file's look."""
    (look,) = reader.looks()
    return look
