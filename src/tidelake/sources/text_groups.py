"""Texts of many files in one buffer, cut into records and handed on in groups.

A group's buffer holds small files one after the other, or a part of a large one; whatever is not yet a
whole record moves to the next group. Only records longer than a group make a buffer grow, up to a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from tidelake.sources.base import LINES, FileRead, Group, Look, Take
from tidelake.sources.spans import (
    LINE_TOO_LONG,
    PAD,
    Bytes,
    Spans,
    check_text,
    escape_bytes,
    kind_column,
    problem_column,
    slices,
    text_views,
)
from tidelake.sources.streams import FileBytes

BATCH_ROWS = 100_000
"""Rows of a record batch at most: DuckDB scans batches in parallel."""

_CUT_KEEPS = 1 << 16
_SCRATCH = 1 << 20
_LARGEST_GROUP = 1 << 30


@dataclass
class OpenFile:
    """A file that is being read.

    Attributes:
        layout: What its format knows of it (columns, delimiter, time in its name).
        state: Where its format stands between two groups.
    """

    take: Take
    content: FileBytes
    layout: Any = None
    state: Any = None
    lines: int = 0
    last_byte: int | None = None
    notes: list[str] = field(default_factory=list)
    skipping: bool = False
    truncated: bool = False
    reported: int = 0
    finished: tuple[Look, str, int] | None = None

    def note(self, text: str) -> None:
        """Say something once."""
        if text not in self.notes:
            self.notes.append(text)


@dataclass
class Region:
    """The part of one file that lies in the buffer: buffer[start:end]; buffer[end] is a line end.

    Attributes:
        index: Of the file in its group.
        first: Whether the file's text begins here.
        final: Whether it ends here.
        consumed: Up to where records were made of it; set by the format.
        lines: Records that were made of it.
    """

    index: int
    file: OpenFile
    start: int
    end: int
    first: bool
    final: bool = False
    consumed: int = 0
    lines: int = 0

    @property
    def cut_off(self) -> bool:
        """The file ends here, but it is not whole: an incomplete last record is not taken."""
        return self.final and self.file.content.outcome.truncated


class TextFormat(Protocol):
    """How text becomes records."""

    is_json: bool
    growth: int
    """How many times larger than the text a group's records are: the buffer is smaller by it."""
    resumes_at_newline: bool
    """Whether the record after one that is too long to keep begins at the next line."""

    def spans(self, buffer: Bytes, regions: Sequence[Region]) -> Spans:
        """Cut the regions into records, blank ones marked; sets each region's `consumed`."""
        ...

    def records(self, buffer: Bytes, spans: Spans, raw: pa.Array, files: Sequence[OpenFile]) -> pa.Array | None:
        """The records' fields as JSON texts (string view), or None where `raw` is JSON already."""
        ...


def text_groups(
    takes: Sequence[Take],
    open_file: Callable[[Take], OpenFile],
    text_format: TextFormat,
    *,
    group_bytes: int,
    max_line_bytes: int,
) -> Iterator[Group]:
    """Read files in order and give their records in groups."""
    packer = _Packer(text_format, group_bytes, max_line_bytes)
    try:
        for take in takes:
            if packer.should_flush_before(take):
                yield packer.flush()
            packer.begin(open_file(take))
            while not packer.fill():
                group = packer.flush_full()
                if group is not None:
                    yield group
            packer.end_file()
        if packer.regions:
            yield packer.flush()
    finally:
        packer.close()


class _Packer:
    def __init__(self, text_format: TextFormat, group_bytes: int, max_line_bytes: int) -> None:
        self.format = text_format
        self.max_line_bytes = max_line_bytes
        group = max(1, min(group_bytes, _LARGEST_GROUP) // text_format.growth)
        self.capacity = group
        self.limit = min(_LARGEST_GROUP, max(group, 4 * max_line_bytes))
        self.regions: list[Region] = []
        self.used = 0
        self.buffer = self._new_buffer()

    def _new_buffer(self) -> Bytes:
        return np.empty(self.capacity + 1 + PAD, np.uint8)

    @property
    def room(self) -> int:
        """Bytes that can still be written, one kept for the line end after a file."""
        return len(self.buffer) - PAD - 1 - self.used

    def should_flush_before(self, take: Take) -> bool:
        """Rather end a group early than split a file that fits the next one."""
        expected = take.look.size - take.start_byte + 1
        return bool(self.regions) and self.used > self.capacity // 2 and self.room < expected <= self.capacity

    def begin(self, file: OpenFile) -> None:
        index = len(self.regions)
        self.regions.append(Region(index, file, self.used, self.used, first=file.take.start_byte == 0))

    def fill(self) -> bool:
        """Read until the file ends (True) or the buffer is full (False)."""
        region = self.regions[-1]
        file = region.file
        while self.room > 0:
            if file.skipping:
                if not self._skip(file):
                    return True
                continue
            view = self.buffer.data[self.used : self.used + self.room]
            count = file.content.readinto(view)
            if count == 0:
                return True
            file.last_byte = view[count - 1]
            self.used += count
            region.end = self.used
        return False

    def _skip(self, file: OpenFile) -> bool:
        """Read past the rest of a record that is too long to keep; False where the file ends first."""
        scratch = memoryview(bytearray(min(_SCRATCH, self.room)))
        while count := file.content.readinto(scratch):
            file.last_byte = scratch[count - 1]
            ending = bytes(scratch[:count]).find(b"\n")
            if ending >= 0 and self.format.resumes_at_newline:
                rest = np.frombuffer(scratch[ending + 1 : count], np.uint8)
                self.buffer[self.used : self.used + len(rest)] = rest
                self.used += len(rest)
                self.regions[-1].end = self.used
                file.skipping = False
                return True
        return False

    def end_file(self) -> None:
        """The file is read to its end; it is closed here, so that thousands do not stay open."""
        region = self.regions[-1]
        region.final = True
        region.file.finished = region.file.content.finish()
        self.buffer[self.used] = ord("\n")
        self.used += 1

    def flush_full(self) -> Group | None:
        """A group of what is whole in a full buffer; None when the buffer had to grow instead."""
        region = self.regions[-1]
        self.buffer[self.used] = ord("\n")
        spans = self.format.spans(self.buffer, self.regions)
        if len(self.regions) > 1 or region.consumed > region.start:
            return self._emit(spans)
        if self.capacity < self.limit:
            self._grow()
            return None
        return self._emit(self._cut(region))

    def flush(self) -> Group:
        """A group of all that is in the buffer."""
        return self._emit(self.format.spans(self.buffer, self.regions))

    def _grow(self) -> None:
        self.capacity = min(2 * self.capacity, self.limit)
        old = self.buffer
        self.buffer = self._new_buffer()
        self.buffer[: self.used] = old[: self.used]

    def _cut(self, region: Region) -> Spans:
        """The head of a record that is too long to keep; the rest of its line is skipped."""
        file = region.file
        end = min(region.start + _CUT_KEEPS, region.end)
        spans = Spans.of(np.array([region.start]), np.array([end]), np.array([region.index], np.int32))
        spans.flag(np.array([0]), LINE_TOO_LONG)
        spans.replaced[0] = escape_bytes(bytes(self.buffer[region.start : end]))
        file.note(
            f"record {file.take.first_line + file.lines} is longer than {self.limit} bytes: only its head is kept"
        )
        file.skipping = True
        file.truncated = not self.format.resumes_at_newline
        region.consumed = region.end
        return spans

    def _emit(self, spans: Spans) -> Group:
        regions = self.regions
        counts = np.bincount(spans.file_index, minlength=len(regions))
        firsts = np.array([region.file.take.first_line + region.file.lines for region in regions], np.int64)
        before = np.cumsum(counts) - counts
        position = np.arange(len(spans), dtype=np.int64) + (firsts - before)[spans.file_index]
        check_text(self.buffer, spans, max_line_bytes=self.max_line_bytes, is_json=self.format.is_json)
        table = self._table(spans, position)
        for region, count in zip(regions, counts, strict=True):
            region.lines = int(count)
            region.file.lines += int(count)
        group = Group(
            files=tuple(_file_read(region) for region in regions),
            lines=table,
            done=tuple(region.final for region in regions),
            bytes_read=sum(_newly_read(region.file) for region in regions),
        )
        self._start_over()
        return group

    def _table(self, spans: Spans, position: np.ndarray[Any, Any]) -> pa.Table:
        files = [region.file for region in self.regions]
        raw = text_views(self.buffer, spans.start, spans.end, spans.replaced)
        batches = []
        for low, high in slices(len(spans), BATCH_ROWS):
            part = spans.chosen(slice(low, high))
            texts = raw.slice(low, high - low)
            record = self.format.records(self.buffer, part, texts, files)
            columns = [
                pa.array(part.file_index),
                pa.array(position[low:high]),
                texts,
                pa.nulls(high - low, pa.string_view()) if record is None else record,
                problem_column(part.problem),
                kind_column(part.kind),
            ]
            batches.append(pa.RecordBatch.from_arrays(columns, schema=LINES))
        return pa.Table.from_batches(batches, schema=LINES)

    def _start_over(self) -> None:
        """A new buffer with what is left of a file that goes on."""
        last = self.regions[-1]
        old = self.buffer
        self.regions, self.used = [], 0
        if last.final:
            self.buffer = self._new_buffer()
            return
        rest = old[last.consumed : last.end]
        self.buffer = self._new_buffer()
        self.buffer[: len(rest)] = rest
        self.used = len(rest)
        self.regions = [Region(0, last.file, 0, len(rest), first=last.first and last.consumed == last.start)]

    def close(self) -> None:
        for region in self.regions:
            region.file.content.close()


def _newly_read(file: OpenFile) -> int:
    """Bytes read from disk since the last group."""
    count = file.content.disk_bytes - file.take.start_byte
    new, file.reported = count - file.reported, count
    return new


def _file_read(region: Region) -> FileRead:
    """What a group tells of a file: hash, size and notes only where it ends."""
    file = region.file
    outcome = file.content.outcome
    first_line = file.take.first_line + file.lines - region.lines
    if file.finished is None:
        return FileRead(file.take.look, "", 0, first_line, region.lines, ends_with_newline=False)
    look, content_hash, size = file.finished
    return FileRead(
        look=look,
        content_hash=content_hash,
        size=size,
        first_line=first_line,
        lines=region.lines,
        ends_with_newline=file.last_byte in (None, ord("\n")),
        truncated=outcome.truncated or file.truncated,
        notes=(*file.notes, *outcome.notes),
    )
