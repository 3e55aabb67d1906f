"""Where records lie in a buffer of text, what is wrong with some of them, and their texts as Arrow views.

Nothing here copies the text of a good record: an Arrow string view is (length, first bytes, buffer, offset).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes: TypeAlias = npt.NDArray[np.uint8]
Integers: TypeAlias = npt.NDArray[np.int64]
Truths: TypeAlias = npt.NDArray[np.bool_]

PAD = 16
"""Bytes that must follow the text in a buffer, so that fixed-width reads near its end stay inside."""

BLOCK = 1 << 18
"""Bytes looked at in one step: what fits the processor's cache."""

MAXIMUM_DEPTH = 100
"""Levels of nesting of JSON beyond which a record is set aside."""

KINDS = ("record", "blank", "header")
RECORD, BLANK, HEADER = range(len(KINDS))

PROBLEMS = (
    "line_too_long",
    "invalid_utf8",
    "nul_byte",
    "too_deep",
    "wrong_shape",
    "bad_quoting",
    "empty_element",
    "outside_of_array",
)
GOOD = -1
LINE_TOO_LONG, INVALID_UTF8, NUL_BYTE, TOO_DEEP, WRONG_SHAPE, BAD_QUOTING, EMPTY_ELEMENT, OUTSIDE_OF_ARRAY = range(8)

_NEWLINE, _RETURN, _SPACE, _TAB = 10, 13, 32, 9
_INLINE = 12


@dataclass
class Spans:
    """Records in a buffer, in order and not overlapping; built up step by step by one format.

    Attributes:
        start: Offset of the first byte.
        end: Offset after the last byte, line ends excluded.
        file_index: Which file of the group.
        kind: Index into KINDS.
        problem: Index into PROBLEMS, or GOOD.
        replaced: Texts that stand for what cannot be shown as it is, by row.
    """

    start: Integers
    end: Integers
    file_index: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    problem: npt.NDArray[np.int8]
    replaced: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, start: Integers, end: Integers, file_index: npt.NDArray[np.int32]) -> Spans:
        """Spans of good records."""
        count = len(start)
        return cls(start, end, file_index, np.zeros(count, np.int8), np.full(count, GOOD, np.int8))

    @classmethod
    def none(cls) -> Spans:
        """No records."""
        empty = np.zeros(0, np.int64)
        return cls.of(empty, empty, np.zeros(0, np.int32))

    @classmethod
    def joined(cls, parts: list[Spans]) -> Spans:
        """Several in a row."""
        if not parts:
            return cls.none()
        if len(parts) == 1:
            return parts[0]
        replaced: dict[int, bytes] = {}
        base = 0
        for part in parts:
            replaced.update({base + row: text for row, text in part.replaced.items()})
            base += len(part)
        return cls(
            np.concatenate([part.start for part in parts]),
            np.concatenate([part.end for part in parts]),
            np.concatenate([part.file_index for part in parts]),
            np.concatenate([part.kind for part in parts]),
            np.concatenate([part.problem for part in parts]),
            replaced,
        )

    def __len__(self) -> int:
        return len(self.start)

    def chosen(self, rows: Integers | slice) -> Spans:
        """Some of the rows, without their replaced texts."""
        return Spans(self.start[rows], self.end[rows], self.file_index[rows], self.kind[rows], self.problem[rows])

    @property
    def good(self) -> Truths:
        """Which rows are records without a problem."""
        good: Truths = (self.kind == RECORD) & (self.problem == GOOD)
        return good

    def flag(self, rows: Integers, problem: int) -> None:
        """Give rows a problem, unless they have one."""
        rows = rows[self.problem[rows] == GOOD]
        self.problem[rows] = problem


def offsets_of(buffer: Bytes, low: int, high: int, byte: int) -> Integers:
    """Where in buffer[low:high] a byte stands."""
    found = [
        np.flatnonzero(buffer[first : min(first + BLOCK, high)] == byte) + first for first in range(low, high, BLOCK)
    ]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def newlines(buffer: Bytes, low: int, high: int) -> Integers:
    """Offsets of the line ends in buffer[low:high]."""
    return offsets_of(buffer, low, high, _NEWLINE)


def strip_returns(buffer: Bytes, start: Integers, end: Integers) -> Truths:
    """Shorten spans that end with a carriage return, in place; which ones they were."""
    returns: Truths = (end > start) & (buffer[np.maximum(end - 1, 0)] == _RETURN)
    end -= returns
    return returns


def mark_blanks(buffer: Bytes, spans: Spans) -> None:
    """Lines of nothing, or of nothing but white space, are blank (unless they have a problem already)."""
    length = spans.end - spans.start
    spans.kind[(length == 0) & (spans.problem == GOOD)] = BLANK
    first, last = buffer[spans.start], buffer[np.maximum(spans.end - 1, 0)]
    edge = (length > 0) & ((first == _SPACE) | (first == _TAB) | (first == _RETURN))
    edge &= (last == _SPACE) | (last == _TAB) | (last == _RETURN)
    for row in np.flatnonzero(edge):
        if not bytes(buffer[spans.start[row] : spans.end[row]]).strip(b" \t\r"):
            spans.kind[row] = BLANK


def check_text(buffer: Bytes, spans: Spans, *, max_line_bytes: int, is_json: bool) -> None:
    """Flag what a text column or a JSON parser could not bear: length, encoding, NUL bytes, depth."""
    if not len(spans):
        return
    spans.flag(np.flatnonzero(spans.end - spans.start > max_line_bytes), LINE_TOO_LONG)
    done = 0
    for first in range(int(spans.start[0]), int(spans.end[-1]), BLOCK):
        part = buffer[first : first + BLOCK]
        if part.min() == 0:
            _flag_nul(buffer, spans, first + np.flatnonzero(part == 0))
        if part.max() >= 0x80:
            low = max(done, int(np.searchsorted(spans.end, first, "right")))
            done = int(np.searchsorted(spans.start, first + len(part), "left"))
            _flag_invalid(buffer, spans, low, done)
    if is_json:
        _flag_deep(buffer, spans)


def _flag_nul(buffer: Bytes, spans: Spans, offsets: Integers) -> None:
    rows = np.searchsorted(spans.end, offsets, "right")
    inside = rows < len(spans)
    inside[inside] = spans.start[rows[inside]] <= offsets[inside]
    _replace(buffer, spans, np.unique(rows[inside]), NUL_BYTE)


def _flag_invalid(buffer: Bytes, spans: Spans, low: int, high: int) -> None:
    """Flag rows from `low` to `high` that are not UTF-8; one look at all of them when all are."""
    if low >= high or _is_utf8(buffer[spans.start[low] : spans.end[high - 1]]):
        return
    bad = [row for row in range(low, high) if not _is_utf8(buffer[spans.start[row] : spans.end[row]])]
    _replace(buffer, spans, np.array(bad, np.int64), INVALID_UTF8)


def _is_utf8(text: Bytes) -> bool:
    if len(text) < BLOCK // 256:
        try:
            bytes(text).decode()
        except UnicodeDecodeError:
            return False
        return True
    offsets = pa.py_buffer(np.array([0, len(text)], np.int64))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(text)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _replace(buffer: Bytes, spans: Spans, rows: Integers, problem: int) -> None:
    spans.flag(rows, problem)
    for row in rows:
        if int(row) not in spans.replaced:
            spans.replaced[int(row)] = escape_bytes(bytes(buffer[spans.start[row] : spans.end[row]]))


def escape_bytes(text: bytes) -> bytes:
    r"""Any bytes as UTF-8 text without NUL: what is neither becomes `\xNN`, and a backslash two.

    `unescape_text` gives the bytes back exactly.
    """
    doubled = text.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return doubled.replace("\0", "\\x00").encode()


def unescape_text(text: str) -> bytes:
    """The bytes behind the raw text of a row with the problem `invalid_utf8` or `nul_byte`."""
    parts = text.encode().split(b"\\\\")
    pieces = []
    for part in parts:
        head, *escapes = part.split(b"\\x")
        pieces.append(head + b"".join(bytes([int(item[:2], 16)]) + item[2:] for item in escapes))
    return b"\\".join(pieces)


def _flag_deep(buffer: Bytes, spans: Spans) -> None:
    """Only a record with more than 100 opening brackets can be deeper than 100: look into those alone."""
    low, high = int(spans.start[0]), int(spans.end[-1])
    if _openers_at_most(buffer, low, high, _brackets_at_start(buffer, spans) + MAXIMUM_DEPTH - 1):
        return
    openers = _openers(buffer, low, high)
    if len(openers) <= MAXIMUM_DEPTH:
        return
    reach = openers[MAXIMUM_DEPTH:] - openers[:-MAXIMUM_DEPTH]
    if reach.min() >= (spans.end - spans.start).max():
        return
    counts = np.searchsorted(openers, spans.end) - np.searchsorted(openers, spans.start)
    for row in np.flatnonzero(counts > MAXIMUM_DEPTH):
        if _depth(buffer[spans.start[row] : spans.end[row]]) > MAXIMUM_DEPTH:
            spans.flag(np.array([row]), TOO_DEEP)


def _brackets_at_start(buffer: Bytes, spans: Spans) -> int:
    """Records that begin with a bracket: one with more than 100 has at least 100 besides all of these."""
    first = buffer[spans.start]
    return int(np.count_nonzero((first == ord("{")) | (first == ord("["))))


def _openers_at_most(buffer: Bytes, low: int, high: int, most: int) -> bool:
    """Whether a stretch has at most so many opening brackets; cheap, and enough for flat records."""
    for first in range(low, high, BLOCK):
        part = buffer[first : min(first + BLOCK, high)]
        most -= int(np.count_nonzero(part == ord("{"))) + int(np.count_nonzero(part == ord("[")))
        if most < 0:
            return False
    return True


def _openers(buffer: Bytes, low: int, high: int) -> Integers:
    found = []
    for first in range(low, high, BLOCK):
        part = buffer[first : min(first + BLOCK, high)]
        found.append(np.flatnonzero((part == ord("{")) | (part == ord("["))) + first)
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _depth(text: Bytes) -> int:
    """The deepest nesting of brackets outside of strings."""
    marks = structure(text, 0, len(text))
    return int(np.cumsum(marks.step).max(initial=0))


@dataclass(frozen=True)
class Structure:
    """Brackets and commas of JSON text outside of strings.

    Attributes:
        offset: Where each is.
        step: 1 opens, -1 closes, 0 for a comma.
        inside_string: Whether the text ends within a string.
    """

    offset: Integers
    step: npt.NDArray[np.int8]
    inside_string: bool


_MARKS = np.zeros(256, np.bool_)
_MARKS[list(b'"\\{}[],')] = True
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"{[")] = 1
_STEPS[list(b"}]")] = -1


def structure(buffer: Bytes, low: int, high: int) -> Structure:
    """The structure of JSON text in buffer[low:high], which must begin outside of strings."""
    found = [
        np.flatnonzero(_MARKS[buffer[first : min(first + BLOCK, high)]]) + first for first in range(low, high, BLOCK)
    ]
    offsets = np.concatenate(found) if found else np.zeros(0, np.int64)
    marks = buffer[offsets]
    quotes = offsets[marks == ord('"')]
    slashes = offsets[marks == ord("\\")]
    if len(slashes) and len(quotes):
        quotes = quotes[~_escaped(quotes, slashes)]
    others = (marks != ord('"')) & (marks != ord("\\"))
    offsets, marks = offsets[others], marks[others]
    outside = np.searchsorted(quotes, offsets) % 2 == 0
    return Structure(offsets[outside], _STEPS[marks[outside]], len(quotes) % 2 == 1)


def _escaped(quotes: Integers, slashes: Integers) -> Truths:
    """Which quotes follow an odd number of backslashes."""
    starts = np.ones(len(slashes), np.bool_)
    starts[1:] = np.diff(slashes) != 1
    run_start = slashes[np.maximum.accumulate(np.where(starts, np.arange(len(slashes)), 0))]
    before = np.searchsorted(slashes, quotes) - 1
    touches = (before >= 0) & (slashes[np.maximum(before, 0)] == quotes - 1)
    length = quotes - run_start[np.maximum(before, 0)]
    odd: Truths = touches & (length % 2 == 1)
    return odd


def text_views(buffer: Bytes, start: Integers, end: Integers, replaced: dict[int, bytes]) -> pa.Array:
    """Texts buffer[start:end] as a string view array over the buffer itself.

    `buffer` must have PAD bytes after the last text; `replaced` gives other texts for some rows.
    """
    if sys.byteorder != "little":  # pragma: no cover - the views' prefix is written as words
        return pa.array(
            [replaced.get(row, bytes(buffer[a:b])) for row, (a, b) in enumerate(zip(start, end, strict=True))],
            pa.binary(),
        ).cast(pa.string_view())
    length = end - start
    views = np.zeros((len(start), 4), np.int32)
    views[:, 0] = length
    words = np.ndarray((len(buffer) - 3,), np.dtype("<i4"), buffer, strides=(1,))
    views[:, 1] = words[start]
    views[:, 3] = start
    _write_inline(views, buffer, np.flatnonzero(length <= _INLINE), start, length)
    buffers = [None, pa.py_buffer(views), pa.py_buffer(buffer)]
    if replaced:
        buffers.append(_write_replaced(views, replaced))
    return pa.Array.from_buffers(pa.string_view(), len(start), buffers, null_count=0)


def _write_inline(
    views: npt.NDArray[np.int32], buffer: Bytes, rows: Integers, start: Integers, length: Integers
) -> None:
    """Texts of up to 12 bytes stand in the view itself, padded with zeros."""
    if not len(rows):
        return
    columns = np.arange(_INLINE)
    text = buffer[start[rows, None] + columns]
    text[columns >= length[rows, None]] = 0
    views[rows, 1:] = text.view(np.dtype("<i4"))


def _write_replaced(views: npt.NDArray[np.int32], replaced: dict[int, bytes]) -> pa.Buffer:
    rows = np.array(sorted(replaced), np.int64)
    texts = [replaced[int(row)] for row in rows]
    length = np.array([len(text) for text in texts], np.int64)
    offset = np.cumsum(length) - length
    extra = np.frombuffer(b"".join(texts) + bytes(PAD), np.uint8)
    words = np.ndarray((len(extra) - 3,), np.dtype("<i4"), extra, strides=(1,))
    views[rows, 0] = length
    views[rows, 1] = words[offset]
    views[rows, 2] = 1
    views[rows, 3] = offset
    short = length <= _INLINE
    patch = np.zeros((len(rows), 4), np.int32)
    _write_inline(patch, extra, np.flatnonzero(short), offset, length)
    views[rows[short], 1:] = patch[short, 1:]
    return pa.py_buffer(extra)


_KIND_NAMES = pa.array(KINDS, pa.string())
_PROBLEM_NAMES = pa.array(PROBLEMS, pa.string())


def kind_column(kind: npt.NDArray[np.int8]) -> pa.Array:
    """Kinds by name."""
    return pa.DictionaryArray.from_arrays(pa.array(kind), _KIND_NAMES)


def problem_column(problem: npt.NDArray[np.int8]) -> pa.Array:
    """Problems by name, null where there is none."""
    good = problem == GOOD
    if good.all():
        return pa.nulls(len(problem), pa.string())
    return _PROBLEM_NAMES.take(pa.array(problem, pa.int8(), mask=good))


def slices(count: int, size: int) -> Iterator[tuple[int, int]]:
    """Cuts of `count` rows into parts of about equal length, `size` at most."""
    parts = -(-count // size)
    edges = [count * part // parts for part in range(parts + 1)] if parts else []
    yield from pairwise(edges)


def scattered(chunks: list[pa.Array], rows: list[Integers], count: int) -> pa.Array:
    """The chunks' texts at their rows (string view), null elsewhere."""
    if len(chunks) == 1 and len(chunks[0]) == count:
        return chunks[0].cast(pa.string_view())
    if not chunks:
        return pa.nulls(count, pa.string_view())
    where = np.full(count, -1, np.int64)
    where[np.concatenate(rows)] = np.arange(sum(map(len, rows)))
    texts = pa.concat_arrays(chunks)
    return texts.take(pa.array(where, mask=where < 0)).cast(pa.string_view())
