"""Lines of text as records: JSON Lines, and any format in which a line is a record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tidelake.sources.spans import GOOD, RECORD, Bytes, Spans, mark_blanks, newlines, strip_returns
from tidelake.sources.text_groups import OpenFile, Region

BOM = b"\xef\xbb\xbf"


def skip_bom(buffer: Bytes, region: Region) -> int:
    """Where a region's text begins: after a byte order mark at the file's start, which is noted."""
    if region.first and bytes(buffer[region.start : min(region.start + 3, region.end)]) == BOM:
        region.file.note("bom: the byte order mark at the start was left out")
        return region.start + 3
    return region.start


def line_spans(buffer: Bytes, regions: Sequence[Region]) -> Spans:
    """Every line of the regions, which lie one after the other in the buffer.

    A last line without a line end counts where the file ends, unless the file was cut off.
    """
    low = regions[0].start
    bounds = np.array([region.end for region in regions], np.int64)
    end = newlines(buffer, low, regions[-1].end + 1)
    start = np.empty_like(end)
    start[0] = low
    start[1:] = end[:-1] + 1
    file_index = np.searchsorted(bounds, end).astype(np.int32)
    first_rows = np.searchsorted(end, [region.start for region in regions])
    for region, row in zip(regions, first_rows, strict=True):
        start[row] = skip_bom(buffer, region)
    # A line that ends at its region's bound has no line end of its own: nothing at all, or a last line.
    closing = np.searchsorted(end, bounds)
    keep = np.ones(len(end), np.bool_)
    for region, row in zip(regions, closing, strict=True):
        unfinished = not region.final or region.cut_off
        region.consumed = int(start[row]) if unfinished else region.end
        keep[row] = not unfinished and start[row] < end[row]
    if not keep.all():
        start, end, file_index = start[keep], end[keep], file_index[keep]
    returns = strip_returns(buffer, start, end)
    if returns.any():
        for index in np.unique(file_index[returns]):
            regions[index].file.note("crlf: lines end with a carriage return, which was left out")
    return Spans.of(start, end, file_index)


class JsonLines:
    """One JSON value a line."""

    is_json = True
    resumes_at_newline = True

    def __init__(self, *, with_path_fields: bool = False) -> None:
        self.with_path_fields = with_path_fields
        self.growth = 3 if with_path_fields else 1

    def spans(self, buffer: Bytes, regions: Sequence[Region]) -> Spans:
        """Every line."""
        spans = line_spans(buffer, regions)
        mark_blanks(buffer, spans)
        return spans

    def records(self, _buffer: Bytes, spans: Spans, raw: pa.Array, files: Sequence[OpenFile]) -> pa.Array | None:
        """None, or the raw objects with the path's fields put first."""
        return add_path_fields(spans, raw, files) if self.with_path_fields else None


def add_path_fields(spans: Spans, raw: pa.Array, files: Sequence[OpenFile]) -> pa.Array:
    """Each JSON object with its file's path fields before its own; null where the text is no object."""
    import pyarrow.compute as pc

    text = pc.ascii_trim(raw.cast(pa.string()), " \t\r\n")
    usable = pa.array((spans.kind == RECORD) & (spans.problem == GOOD))
    is_object = pc.and_(usable, pc.and_(pc.starts_with(text, "{"), pc.ends_with(text, "}")))
    body = pc.ascii_ltrim(pc.binary_replace_slice(text, 0, 1, ""), " \t\r\n")
    separator = pc.if_else(pc.equal(body, "}"), "", ",")
    joined = pc.binary_join_element_wise("{", path_heads(spans, files), separator, body, "")
    return pc.if_else(is_object, joined, pa.scalar(None, pa.string())).cast(pa.string_view())


def path_heads(spans: Spans, files: Sequence[OpenFile]) -> pa.Array | pa.Scalar:
    """The path fields of each record's file as the inside of a JSON object."""
    heads = [file.layout.path_json for file in files]
    if len(set(heads)) == 1:
        return pa.scalar(heads[0])
    return pa.array(heads).take(pa.array(spans.file_index))
