"""The `files` kind of source: JSON Lines, JSON values, CSV and Parquet, each file by what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from tidelake.contracts.source import Source
from tidelake.errors import ContractError, SourceError
from tidelake.sources.base import Group, Known, Look, Take
from tidelake.sources.json_values import JsonValues
from tidelake.sources.layouts import (
    HEAD_BYTES,
    Layout,
    compare_columns,
    csv_layout,
    detect_form,
    path_fields,
    require_columns,
)
from tidelake.sources.lines import JsonLines
from tidelake.sources.listing import Listing
from tidelake.sources.prefetch import prefetch
from tidelake.sources.streams import FileBytes, begins_as, hash_prefix, is_compressed
from tidelake.sources.text_groups import OpenFile, TextFormat, text_groups


class FilesReader:
    """Reads the files of one source.

    Attributes:
        source: Its settings.
        listing: Where its files lie.
    """

    def __init__(self, source: Source, listing: Listing) -> None:
        self.source = source
        self.listing = listing
        self._usual_columns: tuple[str, ...] = ()

    def looks(self) -> list[Look]:
        """The files that are there now, by path."""
        return self.listing.looks()

    def passed_over(self) -> list[str]:
        """Names of files that lie where a glob looks and that it does not match."""
        return self.listing.passed_over()

    def groups(self, takes: Sequence[Take], *, group_bytes: int) -> Iterator[Group]:
        """Read files in order; the next group is read while the last one is worked on.

        Every file's columns are checked before the first group is given, so that a file that lacks a
        required column leaves nothing half taken.

        Raises:
            ContractError: A required column is missing, or a file is not what its format says.
        """
        layouts = {take.look.path: self.layout(take.look) for take in takes}
        return prefetch(self._groups(takes, layouts, group_bytes))

    def _groups(self, takes: Sequence[Take], layouts: dict[str, Layout], group_bytes: int) -> Iterator[Group]:
        def layout_of(look: Look) -> Layout:
            return layouts[look.path]

        for form, run in groupby(takes, key=lambda take: layout_of(take.look).form):
            some = list(run)
            if form == "parquet":
                from tidelake.sources.parquet_rows import parquet_groups

                yield from parquet_groups(some, layout_of, self.listing, group_bytes=group_bytes)
            else:
                yield from text_groups(
                    some,
                    self._opener(layout_of),
                    self._text_format(form),
                    group_bytes=group_bytes,
                    max_line_bytes=self.source.max_line_bytes,
                )

    def _opener(self, layout_of: Callable[[Look], Layout]) -> Callable[[Take], OpenFile]:
        def open_file(take: Take) -> OpenFile:
            layout = layout_of(take.look)
            content = FileBytes(self.listing, take.look, salt=layout.salt, start=take.start_byte)
            state = "header seen before" if layout.form == "csv" and take.start_byte else None
            return OpenFile(take, content, layout=layout, state=state, notes=list(layout.notes))

        return open_file

    def _text_format(self, form: str) -> TextFormat:
        with_path_fields = self.source.path_fields is not None
        if form == "jsonl":
            return JsonLines(with_path_fields=with_path_fields)
        if form == "json":
            return JsonValues(with_path_fields=with_path_fields)
        from tidelake.sources.delimited import Delimited

        return Delimited(max_line_bytes=self.source.max_line_bytes)

    def layout(self, look: Look) -> Layout:
        """How a file is written; looks into it only where the settings leave it open.

        Raises:
            ContractError: A required column is missing, or a file is not what its format says.
        """
        fields = path_fields(self.source, look)
        if self.source.format in ("jsonl", "json"):
            return Layout(self.source.format, fields)
        head, compression = self._head(look)
        if head.startswith(b"PAR1") and self.source.format in ("csv", "tsv"):
            raise ContractError(
                f"{look.path} is a Parquet file, but source '{self.source.name}' says format: {self.source.format}.",
                hint="Use `format: auto` or `format: parquet`.",
            )
        form = detect_form(self.source, look, head)
        if form == "parquet":
            return self._parquet_layout(look, fields, compression)
        if form != "csv":
            return Layout(form, fields)
        if len(head) == HEAD_BYTES and b"\n" not in head:
            head, _ = self._head(look, self.source.max_line_bytes)
        layout = csv_layout(self.source, look, head, whole=len(head) < HEAD_BYTES)
        return replace(layout, notes=layout.notes + self._columns_checked(look, layout.names, fields))

    def _parquet_layout(self, look: Look, fields: tuple[tuple[str, str], ...], compression: str | None) -> Layout:
        if compression is not None:
            raise SourceError(
                f"{look.path} is a Parquet file packed with {compression}.",
                hint="Unpack it: Parquet is compressed inside.",
            )
        from tidelake.sources.parquet_rows import parquet_columns

        names = parquet_columns(self.listing, look)
        return Layout("parquet", fields, names, notes=self._columns_checked(look, names, fields))

    def _columns_checked(
        self, look: Look, names: tuple[str, ...], fields: tuple[tuple[str, str], ...]
    ) -> tuple[str, ...]:
        """Notes on a file's columns; the first file's are the usual ones."""
        if names:
            require_columns(self.source, look, (*names, *(name for name, _ in fields)))
        notes = compare_columns(names, self._usual_columns)
        self._usual_columns = self._usual_columns or names
        return notes if names else ()

    def _head(self, look: Look, size: int = HEAD_BYTES) -> tuple[bytes, str | None]:
        """A file's first bytes, decompressed, and by what it was compressed."""
        content = FileBytes(self.listing, look)
        try:
            return content.read(size), content.compression
        finally:
            content.close()

    def prefix_hash(self, look: Look, size: int) -> str | None:
        """The content hash that the file's first `size` bytes give now; None where it cannot be continued."""
        layout = self.layout(look)
        if size != look.size and (layout.form in ("json", "parquet") or is_compressed(self.listing, look)):
            return None
        return hash_prefix(self.listing, look, size, salt=layout.salt)

    def begins_as(self, look: Look, known: Sequence[Known]) -> Known | None:
        """The longest of some contents with which the file begins (also when it was packed since), or None."""
        return begins_as(self.listing, look, known, salt=self.layout(look).salt)
