"""Quoted fields of one CSV record, followed byte by byte: exact, and for few records only."""

from __future__ import annotations

_QUOTE, _NEWLINE = 34, 10


def follow_record(text: bytes, start: int, delimiter: int, limit: int) -> tuple[int, int, bool] | None:
    """The record that begins at `start`: (offset of its line end, number of fields, whether quoting is broken).

    None when a quoted field does not end within the text or `limit` bytes. A quote inside of a field that
    does not begin with one is an ordinary character.
    """
    high = len(text)
    mark = bytes([delimiter])
    at, width, broken = start, 1, False
    while True:
        if at < high and text[at] == _QUOTE:
            closing = text.find(b'"', at + 1, min(high, start + limit))
            while closing >= 0 and text[closing + 1 : closing + 2] == b'"':
                closing = text.find(b'"', closing + 2, min(high, start + limit))
            if closing < 0:
                return None
            at = closing + 1
            broken |= at < high and text[at] not in (delimiter, _NEWLINE) and text[at : at + 2] not in (b"\r\n", b"\r")
        line_end = text.find(b"\n", at)
        line_end = high if line_end < 0 else line_end
        next_field = text.find(mark, at, line_end)
        if next_field < 0:
            return line_end, width, broken
        at = next_field + 1
        width += 1


def split_record(record: str, delimiter: str) -> list[str]:
    """The fields of one record whose quoting is right."""
    fields, at = [], 0
    while True:
        if record[at : at + 1] == '"':
            end = record.find('"', at + 1)
            while record[end + 1 : end + 2] == '"':
                end = record.find('"', end + 2)
            fields.append(record[at + 1 : end].replace('""', '"'))
            at = end + 1
        else:
            end = record.find(delimiter, at)
            end = len(record) if end < 0 else end
            fields.append(record[at:end])
            at = end
        if at >= len(record):
            return fields
        at += 1
