"""CSV and its kin: records as they stand, and their fields as JSON objects of texts.

Lines without quotes are cut by their newlines and counted by their delimiters with numpy; pyarrow splits
them into columns. Quoted text is followed exactly: a record may span lines, and its position is its number
in the file (header and blank lines count), which is its line number as long as no record spans lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from tidelake.sources.layouts import Layout, header_changed
from tidelake.sources.lines import line_spans, path_heads, skip_bom
from tidelake.sources.quoting import follow_record, split_record
from tidelake.sources.spans import (
    BAD_QUOTING,
    BLANK,
    BLOCK,
    GOOD,
    HEADER,
    RECORD,
    WRONG_SHAPE,
    Bytes,
    Integers,
    Spans,
    Truths,
    mark_blanks,
    newlines,
    offsets_of,
    scattered,
    strip_returns,
)
from tidelake.sources.text_groups import OpenFile, Region

_QUOTE, _NEWLINE, _RETURN, _SPACE, _TAB = 34, 10, 13, 32, 9
_CONTROL = r"[\x00-\x1f]"
_LEAST_BLOCK = 1 << 20


class Delimited:
    """CSV, TSV and other delimited text."""

    is_json = False
    resumes_at_newline = True
    growth = 4

    def __init__(self, *, max_line_bytes: int) -> None:
        self.max_line_bytes = max_line_bytes

    def spans(self, buffer: Bytes, regions: Sequence[Region]) -> Spans:
        """Every record, with its header marked and wrong shapes and quotes flagged."""
        low, high = regions[0].start, regions[-1].end
        quotes = offsets_of(buffer, low, high, _QUOTE)
        if not len(quotes):
            spans = line_spans(buffer, regions)
            widths = _plain_widths(buffer, spans, regions)
        else:
            parts = [self._region(buffer, region, quotes) for region in regions]
            spans = Spans.joined([part for part, _ in parts])
            widths = np.concatenate([width for _, width in parts])
        mark_blanks(buffer, spans)
        _unmark_tabs(buffer, spans, regions)
        _mark_headers(buffer, spans, regions)
        expected = np.array([len(region.file.layout.names) for region in regions], np.int64)
        wrong = (widths != expected[spans.file_index]) & (spans.kind == RECORD)
        spans.flag(np.flatnonzero(wrong), WRONG_SHAPE)
        return spans

    def _region(self, buffer: Bytes, region: Region, quotes: Integers) -> tuple[Spans, Integers]:
        """One file's records and how many fields each has."""
        quotes = quotes[np.searchsorted(quotes, region.start) : np.searchsorted(quotes, region.end)]
        if not len(quotes) or region.file.layout.runs:
            spans = line_spans(buffer, [region])
            spans.file_index[:] = region.index
            return spans, _plain_widths(buffer, spans, {region.index: region})
        delimiter = ord(region.file.layout.delimiter)
        low = skip_bom(buffer, region)
        if _well_placed(buffer, quotes, low, delimiter):
            made = self._regular(buffer, region, quotes, low, delimiter)
            if made is not None:
                return made
        return self._followed(buffer, region, low, delimiter)

    def _regular(
        self, buffer: Bytes, region: Region, quotes: Integers, low: int, delimiter: int
    ) -> tuple[Spans, Integers] | None:
        """Records where quotes come in pairs: a line end outside of them ends a record."""
        lines = newlines(buffer, low, region.end + 1)
        ends = lines[np.searchsorted(quotes, lines) % 2 == 0]
        last = int(ends[-1]) + 1 if len(ends) else low
        if len(quotes) % 2 and (region.final or region.end - last > self.max_line_bytes):
            return None
        closing = len(ends) > 0 and int(ends[-1]) == region.end
        if closing and (not region.final or region.cut_off or _previous(ends, low) == region.end):
            ends = ends[:-1]
        starts = np.concatenate([[low], ends[:-1] + 1]).astype(np.int64)[: len(ends)]
        region.consumed = region.end if region.final else (int(ends[-1]) + 1 if len(ends) else region.start)
        delimiters = offsets_of(buffer, low, region.end, delimiter)
        delimiters = delimiters[np.searchsorted(quotes, delimiters) % 2 == 0]
        return _finished(buffer, region, starts, ends, _counts(delimiters, starts, ends) + 1)

    def _followed(self, buffer: Bytes, region: Region, low: int, delimiter: int) -> tuple[Spans, Integers]:
        """Records where some quote stands where it should not: only lines with such quotes are followed."""
        found = _lines_with_quotes(buffer, low, region.end, delimiter)
        line_starts, lines, widths = found.start, found.end, found.widths
        text = buffer[: region.end].tobytes()
        ends, keep, bad = lines.copy(), np.ones(len(lines), np.bool_), np.zeros(len(lines), np.bool_)
        region.consumed = region.end
        resume = low
        for row in np.flatnonzero(found.doubtful):
            start = int(line_starts[row])
            if start < resume:
                continue
            followed = follow_record(text, start, delimiter, self.max_line_bytes)
            open_ended = not region.final or region.cut_off
            if followed is None and open_ended and region.end - start <= self.max_line_bytes:
                region.consumed = start
                keep[row:] = False
                break
            if followed is None:
                bad[row] = True
                resume = int(lines[row]) + 1
                continue
            ends[row], widths[row], bad[row] = followed
            resume = int(ends[row]) + 1
            keep[row + 1 : np.searchsorted(lines, ends[row], "right")] = False
        last = int(np.flatnonzero(keep)[-1]) if keep.any() else -1
        if region.consumed == region.end and last >= 0 and ends[last] == region.end:
            if not region.final:
                region.consumed = int(line_starts[last])
            if not region.final or region.cut_off or line_starts[last] == region.end:
                keep[last] = False
        spans, widths = _finished(buffer, region, line_starts[keep], ends[keep], widths[keep])
        spans.flag(np.flatnonzero(bad[keep]), BAD_QUOTING)
        return spans, widths

    def records(self, buffer: Bytes, spans: Spans, _raw: pa.Array, files: Sequence[OpenFile]) -> pa.Array | None:
        """Each record as a JSON object of texts, null for what is no record."""
        good = spans.good
        keys = [(file.layout.names, file.layout.delimiter, file.layout.runs) for file in files]
        kinds = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        of_row = np.array([kinds[key] for key in keys], np.int64)[spans.file_index]
        chunks, rows = [], []
        for number in np.unique(of_row[good]):
            chosen = np.flatnonzero(good & (of_row == number))
            layout = files[int(spans.file_index[chosen[0]])].layout
            part = spans.chosen(chosen)
            heads = path_heads(part, files) if layout.path_fields else None
            chunks.append(json_objects(buffer, part, _gathered(buffer, part, chosen), layout, heads))
            rows.append(chosen)
        return scattered(chunks, rows, len(spans))


def _previous(ends: Integers, low: int) -> int:
    """Where the last of several records would begin."""
    return int(ends[-2]) + 1 if len(ends) > 1 else low


def _finished(
    buffer: Bytes, region: Region, starts: Integers, ends: Integers, widths: Integers
) -> tuple[Spans, Integers]:
    ends = ends.copy()
    if strip_returns(buffer, starts, ends).any():
        region.file.note("crlf: lines end with a carriage return, which was left out")
    return Spans.of(starts, ends, np.full(len(starts), region.index, np.int32)), widths


def _counts(offsets: Integers, start: Integers, end: Integers) -> Integers:
    return np.searchsorted(offsets, end) - np.searchsorted(offsets, start)


def _plain_widths(buffer: Bytes, spans: Spans, regions: Sequence[Region] | dict[int, Region]) -> Integers:
    """How many fields lines without quotes have."""
    widths = np.zeros(len(spans), np.int64)
    if not len(spans):
        return widths
    layouts: dict[int, Layout] = {int(index): regions[index].file.layout for index in np.unique(spans.file_index)}
    low, high = int(spans.start[0]), int(spans.end[-1])
    for delimiter, runs in {(layout.delimiter, layout.runs) for layout in layouts.values()}:
        offsets = _word_starts(buffer, low, high) if runs else offsets_of(buffer, low, high, ord(delimiter))
        counts = _counts(offsets, spans.start, spans.end) + (0 if runs else 1)
        same = [index for index, layout in layouts.items() if (layout.delimiter, layout.runs) == (delimiter, runs)]
        widths = np.where(np.isin(spans.file_index, same), counts, widths)
    return widths


def _word_starts(buffer: Bytes, low: int, high: int) -> Integers:
    """Where a word begins after a space or a line end."""
    word = (buffer[low:high] != _SPACE) & (buffer[low:high] != _NEWLINE) & (buffer[low:high] != _RETURN)
    begins = word.copy()
    begins[1:] &= ~word[:-1]
    return np.flatnonzero(begins) + low


def _well_placed(buffer: Bytes, quotes: Integers, low: int, delimiter: int) -> bool:
    """Whether every quote opens a field at its start, closes one at its end, or is one of two for a quote."""
    return bool(_placed(buffer, quotes, np.arange(len(quotes)) % 2 == 0, low, delimiter).all())


def _placed(buffer: Bytes, quotes: Integers, opens: Truths, low: int, delimiter: int) -> Truths:
    """Which quotes stand well, where `opens` says which of them should open a field."""
    before = buffer[np.maximum(quotes - 1, 0)]
    after = buffer[quotes + 1]
    edge_before = (before == delimiter) | (before == _NEWLINE) | (quotes == low)
    edge_after = (after == delimiter) | (after == _NEWLINE) | ((after == _RETURN) & (buffer[quotes + 2] == _NEWLINE))
    twin = np.zeros(len(quotes), np.bool_)
    twin[1:] = np.diff(quotes) == 1
    twin_after = np.zeros(len(quotes), np.bool_)
    twin_after[:-1] = twin[1:]
    placed: Truths = np.where(opens, edge_before | twin, edge_after | twin_after)
    return placed


@dataclass(frozen=True)
class _Lines:
    """Lines of a text with quotes.

    Attributes:
        widths: Fields of each line, where it is a record of its own.
        doubtful: Lines that are none, or whose quotes do not stand well.
    """

    start: Integers
    end: Integers
    widths: Integers
    doubtful: Truths


def _lines_with_quotes(buffer: Bytes, low: int, high: int, delimiter: int) -> _Lines:
    """Lines, each looked at as if a record began there."""
    end = newlines(buffer, low, high + 1)
    start = np.concatenate([[low], end[:-1] + 1]).astype(np.int64)
    quotes = offsets_of(buffer, low, high, _QUOTE)
    first_quote = np.searchsorted(quotes, start)
    count = np.searchsorted(quotes, end) - first_quote
    line_of_quote = np.repeat(np.arange(len(end)), count)
    opens = (np.arange(len(quotes)) - first_quote[line_of_quote]) % 2 == 0
    doubtful = count % 2 == 1
    doubtful[line_of_quote[~_placed(buffer, quotes, opens, low, delimiter)]] = True
    marks = offsets_of(buffer, low, high, delimiter)
    line_of_mark = np.searchsorted(end, marks)
    outside = (np.searchsorted(quotes, marks) - first_quote[line_of_mark]) % 2 == 0
    widths = np.bincount(line_of_mark[outside], minlength=len(end)).astype(np.int64) + 1
    return _Lines(start, end, widths, doubtful)


def _unmark_tabs(buffer: Bytes, spans: Spans, regions: Sequence[Region]) -> None:
    """Where tabs are the delimiter, a line of tabs is a record of empty texts."""
    for row in np.flatnonzero((spans.kind == BLANK) & (spans.end > spans.start)):
        tabs = regions[int(spans.file_index[row])].file.layout.delimiter == "\t"
        if tabs and b"\t" in bytes(buffer[spans.start[row] : spans.end[row]]):
            spans.kind[row] = RECORD


def _mark_headers(buffer: Bytes, spans: Spans, regions: Sequence[Region]) -> None:
    """Each file's first record that is not blank, where it has a header."""
    waiting = [region for region in regions if region.file.layout.header is not None and region.file.state is None]
    for region in waiting:
        low = int(np.searchsorted(spans.file_index, region.index))
        high = int(np.searchsorted(spans.file_index, region.index, "right"))
        rows = np.flatnonzero(spans.kind[low : min(high, low + 1000)] != BLANK)
        if len(rows):
            row = low + int(rows[0])
            if buffer[spans.start[row] : spans.end[row]].tobytes() != region.file.layout.header:
                raise header_changed(region.file.take.look)
            spans.kind[row] = HEADER
            spans.problem[row] = GOOD
            region.file.state = "header seen"


def _gathered(buffer: Bytes, spans: Spans, rows: Integers) -> bytes:
    """The text of the chosen records, one a line; neighbours are copied together."""
    breaks = np.flatnonzero((np.diff(rows) != 1) | (spans.file_index[1:] != spans.file_index[:-1]))
    first = np.concatenate([[0], breaks + 1])
    last = np.concatenate([breaks, [len(rows) - 1]])
    view = buffer.data
    return b"\n".join(
        [view[low:high] for low, high in zip(spans.start[first], spans.end[last], strict=True)] + [memoryview(b"")]
    )


def json_objects(
    buffer: Bytes, spans: Spans, text: bytes, layout: Layout, heads: pa.Array | pa.Scalar | None
) -> pa.Array:
    """Good records as JSON objects whose values are texts (string); `text` holds them one after the other."""
    if layout.runs:
        text = re.sub(rb"(?m)^ +| +(?=\r?$)", b"", text)
        text = re.sub(rb" {2,}", b" ", text)
    columns = _split(text, layout, len(spans), int((spans.end - spans.start).max()))
    if columns is None:
        pairs = zip(spans.start, spans.end, strict=True)
        columns = _split_singly((bytes(buffer[low:high]) for low, high in pairs), layout)
    special = _special_characters(text, layout.delimiter, len(spans))
    if special:
        columns = [escape_json(column, special) for column in columns]
    pieces: list[object] = []
    lead = "{"
    if heads is not None:
        pieces += [pa.scalar("{"), heads]
        lead = ","
    for name, column in zip(layout.names, columns, strict=True):
        pieces += [pa.scalar(f'{lead}{json.dumps(name, ensure_ascii=False)}:"'), column]
        lead = '",'
    return pc.binary_join_element_wise(*pieces, pa.scalar('"}'), "")


def _split(text: bytes, layout: Layout, count: int, longest: int) -> list[pa.Array] | None:
    """The columns' texts; None where pyarrow sees other records in the text."""
    keys = [str(number) for number in range(len(layout.names))]
    quoted = b'"' in text
    block = max(_LEAST_BLOCK, 4 * longest if not quoted else 2 * len(text))
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            read_options=arrow_csv.ReadOptions(column_names=keys, block_size=min(block, (1 << 31) - 1)),
            parse_options=arrow_csv.ParseOptions(
                delimiter=layout.delimiter, newlines_in_values=quoted, ignore_empty_lines=False
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(keys, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != count:
        return None
    return [_one_chunk(column) for column in table.columns]


def _split_singly(records: Iterable[bytes], layout: Layout) -> list[pa.Array]:
    """The same, record by record, for text with lone carriage returns, which pyarrow takes for line ends."""
    rows = [
        record.decode().split() if layout.runs else split_record(record.decode(), layout.delimiter)
        for record in records
    ]
    return [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]


def _special_characters(text: bytes, delimiter: str, count: int) -> str:
    r"""Characters that JSON writes in another way and that some value may hold; `\0` stands for all rare ones."""
    found = "".join(character for character in '"\\' if character.encode() in text)
    if text.count(b"\n") != count:
        found += "\n"
    if text.count(b"\r") != text.count(b"\r\n") or "\n" in found:
        found += "\r"
    if b"\t" in text and (delimiter != "\t" or '"' in found):
        found += "\t"
    array = np.frombuffer(text, np.uint8)
    for first in range(0, len(array), BLOCK):
        part = array[first : first + BLOCK]
        usual = sum(np.count_nonzero(part == byte) for byte in (_NEWLINE, _RETURN, _TAB))
        if np.count_nonzero(part < _SPACE) != usual:
            return found + "\0"
    return found


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_json(column: pa.Array, special: str = '\\"\n\r\t\0') -> pa.Array:
    r"""Texts as they stand inside of JSON quotes; `special` are the characters to look for (`\0`: rare ones)."""
    for plain, escaped in _ESCAPES.items():
        if plain in special and pc.any(pc.match_substring(column, plain)).as_py():
            column = pc.replace_substring(column, plain, escaped)
    if "\0" in special and pc.any(pc.match_substring_regex(column, _CONTROL)).as_py():
        for code in range(0x20):
            column = pc.replace_substring(column, chr(code), f"\\u{code:04x}")
    return column
