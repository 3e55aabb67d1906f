"""What a source hands to bronze: files with their identity, and their lines in groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

# What a group's table holds, in this order. `source_position` counts from 1 without gaps: the line of a
# text file (of CSV and JSON arrays: the record, which may span lines), the row of a Parquet file.
# `raw` is the record as received (without its line end); `record` is null where `raw` is JSON already,
# else the record's fields as one JSON object; `problem` is null or why the reader could not make a
# record of it; `kind` is `record`, `blank` (only white space) or `header`.
LINES = pa.schema(
    [
        pa.field("file_index", pa.int32(), nullable=False),
        pa.field("source_position", pa.int64(), nullable=False),
        pa.field("raw", pa.string_view(), nullable=False),
        pa.field("record", pa.string_view()),
        pa.field("problem", pa.string()),
        pa.field("kind", pa.dictionary(pa.int8(), pa.string()), nullable=False),
    ]
)


@dataclass(frozen=True)
class Look:
    """The cheap look at a file: decides whether to read it again.

    Attributes:
        path: Absolute path or `s3://` address.
        source_path: Path below the source's root, with `/`; what bronze records.
        size: Bytes, or where `counts_bytes` is false how far a table goes: its greatest cursor or its rows.
        stamp: Size, time and inode or ETag, and a hash of head and tail, as one text.
    """

    path: str
    source_path: str
    size: int
    modified_us: int
    stamp: str
    counts_bytes: bool = True


@dataclass(frozen=True)
class Known:
    """The content of a file that was read: what to look for under other names.

    Attributes:
        stamp: Of the file when it was read.
        content_hash: Of all its bytes (see FileRead).
        size: Their number.
    """

    source_path: str
    stamp: str
    content_hash: str
    size: int


@dataclass(frozen=True)
class FileRead:
    """What reading one file (or the new tail of one, or the part of one that a group holds) gave.

    Hash, size, `truncated` and notes are known where the file ends; before, they are empty.

    Attributes:
        first_line: Number of the first line in this group, from 1.
        lines: Lines in this group, blank and header lines included.
        content_hash: sha256 of the file's bytes as they lie on disk, from its start to `size`; where
            the path says something that the bytes do not (hour, path fields), that goes in first.
        ends_with_newline: Whether the last line was ended; if not, growth makes a new version.
        truncated: A compressed file that was cut off: its complete lines are here.
        notes: What a person should know (`bom`, `crlf`, `columns in another order` ...).
    """

    look: Look
    content_hash: str
    size: int
    first_line: int
    lines: int
    ends_with_newline: bool
    truncated: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Lines of several files, or a part of one, small enough for memory.

    `lines` follows LINES; `file_index` points into `files`. A file larger than a group comes in
    several groups; `done[i]` says whether file i ends here (a table that is read by a cursor ends in every group: each
    is a step from which the next build can go on).
    """

    files: tuple[FileRead, ...]
    lines: pa.Table
    done: tuple[bool, ...]
    bytes_read: int


@dataclass(frozen=True)
class Take:
    """One file to read, and from where."""

    look: Look
    start_byte: int = 0
    first_line: int = 1

    @property
    def bytes(self) -> int:
        """How much is to be read; 0 where nobody knows (tables)."""
        return self.look.size - self.start_byte if self.look.counts_bytes else 0


class Reader(Protocol):
    """One per kind of source."""

    def looks(self) -> list[Look]:
        """The files that are there now, by path."""
        ...

    def passed_over(self) -> list[str]:
        """Names of files that lie where the source looks and that are not its own."""
        ...

    def groups(self, takes: Sequence[Take], *, group_bytes: int) -> Iterator[Group]:
        """Read files in order; the next group is read while the last one is worked on."""
        ...

    def prefix_hash(self, look: Look, size: int) -> str | None:
        """The content hash that the file's first `size` bytes give now.

        Equal to the known hash: the file is the same or grew, and its tail can be taken
        (`Take.start_byte`). Null: it is shorter, or it is longer and of a form that cannot be continued
        (compressed, JSON array, Parquet).
        """
        ...

    def begins_as(self, look: Look, known: Sequence[Known]) -> Known | None:
        """The longest of some contents with which the file begins (also when it was packed since), or None."""
        ...
