"""JSON arrays of records, and objects one after the other, over any number of lines.

A record is an element of an array at the top, or an object at the top; its text is handed on exactly as
it stands (repeated keys, large numbers and `1.10` survive). Its position is its number in the file, from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tidelake.sources.lines import add_path_fields, line_spans, skip_bom
from tidelake.sources.spans import EMPTY_ELEMENT, OUTSIDE_OF_ARRAY, Bytes, Integers, Spans, mark_blanks, structure
from tidelake.sources.text_groups import OpenFile, Region

_WHITE = np.zeros(256, np.bool_)
_WHITE[list(b" \t\r\n")] = True

# What stands at a boundary at the top: an array or object opens or closes; a comma between elements, or
# between values that stand in no array.
_ARRAY_OPENS, _OBJECT_OPENS, _ELEMENT_ENDS, _CLOSES, _OBJECT_CLOSES, _LOOSE_COMMA = range(6)


@dataclass
class _Standing:
    """Where a file stands between two groups."""

    in_array: bool = False
    after_comma: bool = False
    astray: bool = False


@dataclass
class _Boundaries:
    offset: Integers
    what: npt.NDArray[np.int8]


class JsonValues:
    """Elements of JSON arrays, and JSON objects that stand one after the other."""

    is_json = True
    resumes_at_newline = False

    def __init__(self, *, with_path_fields: bool = False) -> None:
        self.with_path_fields = with_path_fields
        self.growth = 3 if with_path_fields else 1

    def spans(self, buffer: Bytes, regions: Sequence[Region]) -> Spans:
        """Every record, and with a problem whatever stands between records."""
        spans = Spans.joined([_region_spans(buffer, region) for region in regions])
        mark_blanks(buffer, spans)
        return spans

    def records(self, _buffer: Bytes, spans: Spans, raw: pa.Array, files: Sequence[OpenFile]) -> pa.Array | None:
        """None, or the raw objects with the path's fields put first."""
        return add_path_fields(spans, raw, files) if self.with_path_fields else None


def _region_spans(buffer: Bytes, region: Region) -> Spans:
    standing = region.file.state or _Standing()
    region.file.state = standing
    low = skip_bom(buffer, region)
    if standing.astray:
        return _astray(buffer, region, low)
    boundaries, astray_from = _boundaries(buffer, low, region.end, in_array=standing.in_array)
    spans = _between(buffer, region, boundaries, low)
    if astray_from is not None:
        standing.astray = True
        return Spans.joined([spans, _astray(buffer, region, astray_from)])
    return Spans.joined([spans, _ending(buffer, region, boundaries, low)])


def _boundaries(buffer: Bytes, low: int, high: int, *, in_array: bool) -> tuple[_Boundaries, int | None]:
    """Boundaries at the top, and where a bracket closes that was never opened (None: nowhere)."""
    marks = structure(buffer, low, high)
    offset, step = marks.offset, marks.step
    depth = int(in_array) + np.cumsum(step, dtype=np.int64)
    astray_from = None
    below = np.flatnonzero(depth < 0)
    if len(below):
        astray_from = int(offset[below[0]])
        offset, step, depth = offset[: below[0]], step[: below[0]], depth[: below[0]]
    char = buffer[offset]
    opens = (step == 1) & (depth == 1)
    closes = (step == -1) & (depth == 0)
    last_open = np.maximum.accumulate(np.where(opens, np.arange(len(offset)), -1)) if len(offset) else offset
    array_here = np.where(last_open >= 0, char[last_open] == ord("["), in_array)
    what = np.full(len(offset), -1, np.int8)
    what[opens] = np.where(char[opens] == ord("["), _ARRAY_OPENS, _OBJECT_OPENS)
    what[closes] = np.where(array_here[closes], _CLOSES, _OBJECT_CLOSES)
    what[(step == 0) & (depth == 1) & array_here] = _ELEMENT_ENDS
    what[(step == 0) & (depth == 0)] = _LOOSE_COMMA
    seen = what >= 0
    return _Boundaries(offset[seen], what[seen]), astray_from


def _between(buffer: Bytes, region: Region, boundaries: _Boundaries, low: int) -> Spans:
    """What lies between each boundary and the one before it."""
    standing = region.file.state
    if standing.in_array:
        before_all = _ELEMENT_ENDS if standing.after_comma else _ARRAY_OPENS
    else:
        before_all = _CLOSES
    previous = np.concatenate([[np.int8(before_all)], boundaries.what[:-1]])
    what = boundaries.what
    end = boundaries.offset.copy()
    start = np.concatenate([[low], boundaries.offset[:-1] + 1]).astype(np.int64)[: len(end)]
    previous = previous[: len(end)]
    is_object = what == _OBJECT_CLOSES
    start[is_object] -= 1
    end[is_object] += 1
    _trim(buffer, start, end)
    empty = start >= end
    element = (what == _ELEMENT_ENDS) | (what == _CLOSES)
    keep = element & ~(empty & (what == _CLOSES) & (previous == _ARRAY_OPENS)) | is_object | ~element & ~empty
    spans = Spans.of(start[keep], end[keep], np.full(int(keep.sum()), region.index, np.int32))
    spans.flag(np.flatnonzero((element & empty)[keep]), EMPTY_ELEMENT)
    spans.flag(np.flatnonzero((~element & ~is_object)[keep]), OUTSIDE_OF_ARRAY)
    return spans


def _ending(buffer: Bytes, region: Region, boundaries: _Boundaries, low: int) -> Spans:
    """What follows the last boundary: the begin of a record, which the next group goes on with."""
    standing, file = region.file.state, region.file
    if len(boundaries.what):
        what = int(boundaries.what[-1])
        opened = what == _OBJECT_OPENS
        region.consumed = int(boundaries.offset[-1]) + (0 if opened else 1)
        standing.in_array = what in (_ARRAY_OPENS, _ELEMENT_ENDS)
        standing.after_comma = what == _ELEMENT_ENDS
    else:
        opened = False
        region.consumed = low
    if not region.final:
        return Spans.none()
    if standing.in_array or opened:
        if not file.content.outcome.truncated:
            file.truncated = True
            file.note("cut off: the last JSON value has no end")
        return Spans.none()
    start, end = np.array([region.consumed]), np.array([region.end])
    _trim(buffer, start, end)
    region.consumed = region.end
    if start[0] >= end[0] or region.cut_off:
        return Spans.none()
    spans = Spans.of(start, end, np.array([region.index], np.int32))
    spans.flag(np.array([0]), OUTSIDE_OF_ARRAY)
    return spans


def _astray(buffer: Bytes, region: Region, low: int) -> Spans:
    """After a bracket that closes nothing, the lines as they stand, each with its problem."""
    rest = Region(region.index, region.file, low, region.end, first=False, final=region.final)
    spans = line_spans(buffer, [rest])
    spans.file_index[:] = region.index
    spans.flag(np.flatnonzero(spans.end > spans.start), OUTSIDE_OF_ARRAY)
    region.consumed = rest.consumed
    return spans


def _trim(buffer: Bytes, start: Integers, end: Integers) -> None:
    """Leave out white space at both ends of each span, in place."""
    rows = np.flatnonzero((end > start) & _WHITE[buffer[start]])
    while len(rows):
        start[rows] += 1
        rows = rows[(end[rows] > start[rows]) & _WHITE[buffer[start[rows]]]]
    rows = np.flatnonzero((end > start) & _WHITE[buffer[np.maximum(end - 1, 0)]])
    while len(rows):
        end[rows] -= 1
        rows = rows[(end[rows] > start[rows]) & _WHITE[buffer[end[rows] - 1]]]
