"""Rows of Parquet files as JSON texts: numbers exact, times in ISO form, nested values as they are."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidelake.errors import BusyError, ContractError
from tidelake.sources.base import LINES, FileRead, Group, Look, Take
from tidelake.sources.delimited import escape_json
from tidelake.sources.layouts import Layout
from tidelake.sources.listing import Listing
from tidelake.sources.spans import kind_column
from tidelake.sources.streams import FileBytes

_BATCH_ROWS = 65_536


@dataclass
class _Filling:
    """A group that is being filled."""

    batches: list[pa.RecordBatch]
    files: list[FileRead]
    done: list[bool]
    size: int = 0
    read: int = 0

    @classmethod
    def empty(cls) -> _Filling:
        return cls([], [], [])

    def group(self) -> Group:
        table = pa.Table.from_batches(self.batches, schema=LINES)
        return Group(files=tuple(self.files), lines=table, done=tuple(self.done), bytes_read=self.read)


def parquet_groups(
    takes: Sequence[Take],
    layout_of: Callable[[Look], Layout],
    listing: Listing,
    *,
    group_bytes: int,
) -> Iterator[Group]:
    """Read Parquet files in order and give their rows as JSON texts in groups.

    Raises:
        ContractError: A file is not Parquet, or is damaged.
        BusyError: A file changed while it was read.
    """
    filling = _Filling.empty()
    for take in takes:
        layout = layout_of(take.look)
        read = _hashed(listing, take, layout)
        head = layout.path_json if layout.path_fields else None
        rows = before = 0
        filling.files.append(read)
        filling.done.append(False)
        filling.read += read.size
        for batch in _row_batches(listing, take.look):
            filling.batches.append(_lines(batch, len(filling.files) - 1, rows, head))
            filling.size += filling.batches[-1].nbytes
            rows += batch.num_rows
            if filling.size >= group_bytes:
                filling.files[-1] = FileRead(take.look, "", 0, before + 1, rows - before, ends_with_newline=False)
                yield filling.group()
                filling, before = _Filling([], [read], [False]), rows
        filling.files[-1] = replace(read, first_line=before + 1, lines=rows - before)
        filling.done[-1] = True
        if not listing.unchanged(take.look):
            raise BusyError(f"{take.look.path} changed while it was read.", hint="Run the command again in a moment.")
    if filling.files:
        yield filling.group()


def _hashed(listing: Listing, take: Take, layout: Layout) -> FileRead:
    look, content_hash, size = FileBytes(listing, take.look, salt=layout.salt).finish()
    return FileRead(look, content_hash, size, first_line=1, lines=0, ends_with_newline=True, notes=layout.notes)


def parquet_columns(listing: Listing, look: Look) -> tuple[str, ...]:
    """A Parquet file's column names."""
    with listing.random_access(look) as file:
        return tuple(_opened(file, look).schema_arrow.names)


def _opened(file: Any, look: Look) -> Any:
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(look, error) from error


def _unreadable(look: Look, error: Exception) -> ContractError:
    return ContractError(
        f"{look.path} cannot be read as Parquet: {error}",
        hint="Fetch the file again, or leave it out of the source's `path:`.",
    )


def _row_batches(listing: Listing, look: Look) -> Iterator[pa.RecordBatch]:
    with listing.random_access(look) as file:
        opened = _opened(file, look)
        try:
            yield from opened.iter_batches(batch_size=_BATCH_ROWS)
        except (pa.ArrowInvalid, OSError) as error:
            raise _unreadable(look, error) from error


def _lines(batch: pa.RecordBatch, file_index: int, rows_before: int, head: str | None) -> pa.RecordBatch:
    count = batch.num_rows
    columns = [
        pa.array(np.full(count, file_index, np.int32)),
        pa.array(np.arange(rows_before + 1, rows_before + count + 1, dtype=np.int64)),
        row_texts(batch, head).cast(pa.string_view()),
        pa.nulls(count, pa.string_view()),
        pa.nulls(count, pa.string()),
        kind_column(np.zeros(count, np.int8)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=LINES)


def row_texts(batch: pa.RecordBatch, head: str | None = None) -> pa.Array:
    """Each row as one JSON object (string); `head` is the inside of an object that comes first."""
    pieces: list[Any] = []
    lead = "{" if head is None else "{" + head + ","
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        before, text, after = value_texts(column)
        pieces += [pa.scalar(f"{lead}{json.dumps(name, ensure_ascii=False)}:{before}"), text]
        lead = after + ","
    if not pieces:
        return pa.array(["{" + (head or "") + "}"] * batch.num_rows, pa.string())
    return pc.binary_join_element_wise(
        *pieces, pa.scalar(lead[:-1] + "}"), "", null_handling="replace", null_replacement="null"
    )


def value_texts(column: pa.Array) -> tuple[str, pa.Array, str]:
    """A column as JSON values: what goes before each, the texts (null for null), and what goes after."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return value_texts(column.dictionary_decode())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return "", column.cast(pa.string()), ""
    if pa.types.is_decimal(kind):
        return "", column.cast(pa.string()), ""
    if pa.types.is_floating(kind):
        return "", _float_texts(column), ""
    if pa.types.is_null(kind):
        return "", pa.nulls(len(column), pa.string()), ""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _quoted(escape_json(column.cast(pa.string())))
    if pa.types.is_timestamp(kind):
        return _quoted(_timestamp_texts(column))
    if pa.types.is_date(kind):
        return _quoted(column.cast(pa.date32()).cast(pa.string()))
    if pa.types.is_time(kind):
        return _quoted(column.cast(pa.string()))
    return "", pa.array([None if value is None else json_text(value) for value in column.to_pylist()], pa.string()), ""


def _quoted(texts: pa.Array) -> tuple[str, pa.Array, str]:
    """Quotes around texts, in the constant parts where no text is null."""
    if not texts.null_count:
        return '"', texts, '"'
    quote = pa.scalar('"')
    return "", pc.binary_join_element_wise(quote, texts, quote, ""), ""


def _float_texts(column: pa.Array) -> pa.Array:
    """The shortest texts that give the same numbers back; NaN and infinity, which JSON lacks, in quotes."""
    texts = column.cast(pa.string())
    strange = pc.invert(pc.is_finite(column))
    if not pc.any(strange).as_py():
        return texts
    words = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
    for text, word in words.items():
        texts = pc.if_else(pc.equal(texts, text), word, texts)
    return texts


def _timestamp_texts(column: pa.Array) -> pa.Array:
    """ISO 8601; with `Z` where the column has a zone, without any where it has none."""
    if column.type.tz is not None:
        column = column.cast(pa.timestamp(column.type.unit, "UTC"))
    return pc.replace_substring(column.cast(pa.string()), " ", "T", max_replacements=1)


def json_text(value: Any) -> str:
    """A nested value as JSON text, with the same rules as columns."""
    if isinstance(value, dict):
        inside = ",".join(
            f"{json.dumps(str(key), ensure_ascii=False)}:{json_text(item)}" for key, item in value.items()
        )
        return "{" + inside + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(json_text, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return '"NaN"' if math.isnan(value) else ('"Infinity"' if value > 0 else '"-Infinity"')
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return json.dumps(value.isoformat().replace("+00:00", "Z"))
    if isinstance(value, (date, time)):
        return json.dumps(value.isoformat())
    if isinstance(value, timedelta):
        return repr(value.total_seconds())
    if isinstance(value, bytes):
        return json.dumps(value.hex())
    return json.dumps(value, ensure_ascii=False)
