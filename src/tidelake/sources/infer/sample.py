"""A sample of a file's records, spread over the file, and what kind of file it is.

This is for looking, not for loading: what is loaded goes through the source's reader.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import orjson

from tidelake.sources.infer.times import detect_time_text
from tidelake.sources.layouts import unique_names

Format = Literal["jsonl", "json", "csv", "tsv", "parquet", "projectviews"]
Record = dict[str, Any]

HEAD_BYTES = 256 * 1024
BUDGET_BYTES = 64 * 1024 * 1024  # of one file; from a larger one, blocks spread over it are read
BLOCKS = 32
_DELIMITERS = (",", "\t", ";", "|", " ")
_PROJECTVIEWS = re.compile(r"project(views|counts)-\d{8}-\d{6}$")
_NAME = re.compile(r"[^\W\d][\w .\-/()%#:]*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_BULK = frozenset({"index", "create", "update", "delete"})


class NotRecordsError(Exception):
    """The file holds no records that can be read; says why, for a person."""


@dataclass(frozen=True)
class Shape:
    """How a file is written.

    Attributes:
        columns: CSV and Parquet: the columns in order. JSON: the fields of the first records.
        header: CSV: whether the first line names the columns.
        delimiter: CSV: what stands between the columns.
    """

    format: Format
    columns: tuple[str, ...]
    header: bool = True
    delimiter: str | None = None
    bom: bool = False


@dataclass(frozen=True)
class FileSample:
    """Records of one file.

    Attributes:
        records: The records looked at, in the file's order.
        whole: Every record of the file is among them.
        unreadable: Lines that are no record (broken JSON, another number of columns).
        bulk_lines: Lines that are instructions to a search engine (`{"index": ...}`), not records.
    """

    records: list[Record]
    whole: bool
    unreadable: int = 0
    bulk_lines: int = 0


def open_plain(path: Path) -> Any:
    """The file's bytes, decompressed.

    Raises:
        NotRecordsError: A compression that is not read.
    """
    with path.open("rb") as file:
        magic = file.read(6)
    if magic[:2] == b"\x1f\x8b":
        return gzip.open(path, "rb")
    if magic[:3] == b"BZh":
        return bz2.open(path, "rb")
    if magic[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        return zstandard.open(path, "rb")
    if magic[:4] == b"PK\x03\x04":
        raise NotRecordsError("a zip archive (or a spreadsheet); unpack it or save it as CSV")
    if magic[:6] == b"\xfd7zXZ\x00":
        raise NotRecordsError("xz is not read; use gz, zst or bz2")
    return path.open("rb")


def is_compressed(path: Path) -> bool:
    """Whether the file begins like gz, bz2 or zst."""
    with path.open("rb") as file:
        magic = file.read(4)
    return magic[:2] == b"\x1f\x8b" or magic[:3] == b"BZh" or magic == b"\x28\xb5\x2f\xfd"


def shape_of(path: Path) -> Shape | None:
    """What kind of file it is, by its content; None for an empty one.

    Raises:
        NotRecordsError: Binary, or text without records.
    """
    if _PROJECTVIEWS.search(path.name):
        return Shape("projectviews", ())
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return Shape("parquet", tuple(_parquet(path).schema_arrow.names))
    head, ended = read_head(path)
    if b"\x00" in head[:4096]:
        raise NotRecordsError("binary (or UTF-16 text); save it as UTF-8")
    bom = head.startswith(b"\xef\xbb\xbf")
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")
    if not text.strip():
        return None
    first = text.lstrip()[0]
    if first in "{[":
        return _json_shape(text, ended=ended, bom=bom)
    return _csv_shape(_lines(text, ended=ended), bom=bom, prefer_tab=".tsv" in path.name)


def read_head(path: Path) -> tuple[bytes, bool]:
    """The first bytes after decompression, and whether that was all."""
    try:
        with open_plain(path) as file:
            head = file.read(HEAD_BYTES + 1)
    except (EOFError, OSError) as error:
        raise NotRecordsError(f"cannot be read ({error})") from error
    return head[:HEAD_BYTES], len(head) <= HEAD_BYTES


def _lines(text: str, *, ended: bool) -> list[str]:
    lines = text.splitlines()
    return lines if ended or len(lines) < 2 else lines[:-1]


def _json_shape(text: str, *, ended: bool, bom: bool) -> Shape:
    if text.lstrip().startswith("["):
        first_line = text.lstrip().splitlines()[0].strip()
        if first_line != "[" and first_line.endswith("]") and len(text.strip().splitlines()) > 1:
            raise NotRecordsError("lines that are JSON lists, not objects; records need names")
        return Shape("json", (), bom=bom)
    fields: dict[str, None] = {}
    readable = 0
    lines = [line for line in _lines(text, ended=ended)[:500] if line.strip()]
    for line in lines:
        record = _object(line.encode())
        if record is not None and not is_bulk(record):
            fields.update(dict.fromkeys(record))
        readable += record is not None
    if 2 * readable >= len(lines):
        return Shape("jsonl", tuple(fields), bom=bom)
    raise NotRecordsError("one JSON document (or broken JSON), not a list of records or one record a line")


def is_bulk(record: Record) -> bool:
    """An instruction line of a search engine's bulk file: `{"index": {"_index": ...}}`."""
    if len(record) != 1:
        return False
    [(name, value)] = record.items()
    return name in _BULK and isinstance(value, dict) and any(key.startswith("_") for key in value)


def _csv_shape(lines: list[str], *, bom: bool, prefer_tab: bool) -> Shape:
    some = [line for line in lines[:200] if line.strip()]
    delimiter = "\t" if prefer_tab and "\t" in some[0] else _delimiter(some)
    if delimiter is None:
        raise NotRecordsError("plain text: no column separator (, ; tab | space) that fits its lines")
    rows = list(_split(some, delimiter))
    header = _has_header(rows)
    width = max(len(row) for row in rows[:50])
    columns = unique_names(rows[0])[0] if header else tuple(f"column_{number}" for number in range(1, width + 1))
    return Shape("tsv" if delimiter == "\t" else "csv", columns, header, None if delimiter == "\t" else delimiter, bom)


def _delimiter(lines: Sequence[str]) -> str | None:
    """The separator that cuts most lines into the same number of columns, at least two."""
    best: tuple[float, int, str] | None = None
    for delimiter in _DELIMITERS:
        widths = [len(row) for row in _split(lines, delimiter)]
        if not widths or widths[0] < 2:
            continue
        agree = sum(1 for width in widths if width == widths[0]) / len(widths)
        if agree >= 0.9 and (best is None or (agree, -_DELIMITERS.index(delimiter)) > best[:2]):
            best = (agree, -_DELIMITERS.index(delimiter), delimiter)
    return best[2] if best else None


def _split(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    if delimiter == " ":
        return (line.split() for line in lines if line.strip())
    return (row for row in csv.reader(lines, delimiter=delimiter) if row)


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: words, none a number or a date, not found again below."""
    given = [cell.strip() for cell in rows[0]]
    first = [cell for cell in given if cell]
    if not first or not all(_NAME.fullmatch(cell) for cell in first) or 2 * len(set(first)) <= len(first):
        return False
    if any(_NUMBER.fullmatch(cell) or detect_time_text({cell: 1}, named=False) for cell in first):
        return False
    below = rows[1:]
    return not any(
        cell and cell in {row[index] for row in below if index < len(row)} for index, cell in enumerate(given)
    )


def sample_file(path: Path, shape: Shape, *, limit: int) -> FileSample:
    """At most `limit` records, in blocks spread over the file.

    A compressed file cannot be entered in the middle: of one that does not fit the budget, its beginning is taken.
    """
    if shape.format == "parquet":
        return _sample_parquet(path, limit)
    if shape.format == "json":
        return _sample_array(path, limit)
    data, whole = _bytes(path)
    if shape.format == "jsonl":
        return _sample_lines(data, limit, whole=whole)
    return _sample_csv(data, shape, limit, whole=whole)


def _bytes(path: Path) -> tuple[bytes, bool]:
    """The file's text, or whole lines of blocks spread over it where it is large."""
    if is_compressed(path):
        with open_plain(path) as stream:
            try:
                data = stream.read(BUDGET_BYTES + 1)
            except (EOFError, OSError):
                data = read_head(path)[0]  # cut off: its beginning says enough
        return (data, True) if len(data) <= BUDGET_BYTES else (data[: data.rfind(b"\n") + 1], False)
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= BUDGET_BYTES:
            return file.read(), True
        pieces = [_block(file, number * size // BLOCKS) for number in range(BLOCKS)]
    return b"".join(pieces), False


def _block(file: IO[bytes], start: int) -> bytes:
    """Whole lines of one block: from the first line that begins in it."""
    file.seek(start)
    if start:
        file.readline()
    block = file.read(BUDGET_BYTES // BLOCKS)
    return block[: block.rfind(b"\n") + 1]


def spread(count: int, limit: int) -> list[tuple[int, int]]:
    """Half-open ranges, in order, that cover at most `limit` of `count` items in even blocks.

    Examples:
        >>> spread(10, 20)
        [(0, 10)]
        >>> spread(100, 4, )[:2]
        [(0, 1), (25, 26)]
    """
    if count <= limit:
        return [(0, count)]
    blocks = min(BLOCKS, limit)
    length = limit // blocks
    return [(number * count // blocks, number * count // blocks + length) for number in range(blocks)]


def _sample_lines(data: bytes, limit: int, *, whole: bool) -> FileSample:
    lines = [line for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    records, unreadable, bulk = [], 0, 0
    for start, end in spread(len(lines), limit):
        for line in lines[start:end]:
            record = _object(line)
            if record is None:
                unreadable += 1
            elif is_bulk(record):
                bulk += 1
            else:
                records.append(record)
    return FileSample(records, whole and len(lines) <= limit, unreadable, bulk)


def _object(line: bytes) -> Record | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _sample_array(path: Path, limit: int) -> FileSample:
    with open_plain(path) as stream:
        data = stream.read()
    try:
        items = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise NotRecordsError(f"begins like a JSON list, but is not one ({error})") from error
    records = [item for start, end in spread(len(items), limit) for item in items[start:end]]
    objects = [item for item in records if isinstance(item, dict)]
    if records and not objects:
        raise NotRecordsError("a JSON list of values, not of objects; records need names")
    return FileSample(objects, len(items) <= limit, len(records) - len(objects))


def _sample_csv(data: bytes, shape: Shape, limit: int, *, whole: bool) -> FileSample:
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")
    delimiter = shape.delimiter or "\t"
    if delimiter == " ":
        rows = [line.split() for line in text.splitlines() if line.strip()]
    else:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    # The first line of this file says how its columns stand, which need not be the order of the first file.
    columns = unique_names(rows[0])[0] if shape.header and rows else shape.columns
    body = rows[1:] if shape.header else rows
    records, unreadable = [], 0
    for start, end in spread(len(body), limit):
        for row in body[start:end]:
            if len(row) == len(columns):
                records.append(dict(zip(columns, row, strict=True)))
            else:
                unreadable += 1
    return FileSample(records, whole and len(body) <= limit, unreadable)


def _parquet(path: Path) -> Any:
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except Exception as error:  # pyarrow raises OSError and its own kinds
        raise NotRecordsError(f"damaged Parquet ({error})") from error


def _sample_parquet(path: Path, limit: int) -> FileSample:
    import pyarrow as pa

    file = _parquet(path)
    total = file.metadata.num_rows
    wanted = spread(total, limit)
    records: list[Record] = []
    first = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        parts = [(max(start, first), min(end, first + rows)) for start, end in wanted]
        parts = [(start, end) for start, end in parts if start < end]
        if parts:
            table = file.read_row_group(group)
            for start, end in parts:
                records.extend(pa.Table.to_pylist(table.slice(start - first, end - start)))
        first += rows
    return FileSample(records, total <= limit)
