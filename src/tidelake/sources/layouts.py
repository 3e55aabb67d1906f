"""What the start of a file, its path and the source's settings say of how it is written."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidelake.contracts.source import Source
from tidelake.errors import BusyError, ContractError, DefinitionError, SourceError
from tidelake.sources.base import Look
from tidelake.sources.lines import BOM
from tidelake.sources.quoting import follow_record, split_record

HEAD_BYTES = 1 << 16
DELIMITERS = (",", ";", "\t", "|", " ")
_SAMPLE_ROWS = 20


@dataclass(frozen=True)
class Layout:
    """How one file is written.

    Attributes:
        form: jsonl, json (arrays, objects over several lines), csv or parquet.
        path_fields: Fields that the path gives to each record.
        names: CSV: the columns, in the file's order.
        header: CSV: the header record's text, None where there is none.
        runs: CSV with spaces: several spaces in a row are one delimiter.
        notes: What a person should know.
    """

    form: str
    path_fields: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()
    delimiter: str = ","
    header: bytes | None = None
    runs: bool = False
    notes: tuple[str, ...] = ()

    @property
    def path_json(self) -> str:
        """The path's fields as the inside of a JSON object."""
        return json.dumps(dict(self.path_fields), ensure_ascii=False, separators=(",", ":"))[1:-1]

    @property
    def salt(self) -> bytes:
        """What the path says beyond the bytes: two files with the same bytes may be two facts."""
        return f"{{{self.path_json}}}\n".encode() if self.path_fields else b""


def path_fields(source: Source, look: Look) -> tuple[tuple[str, str], ...]:
    """The named groups of the source's `path_fields` in a file's path.

    Raises:
        DefinitionError: The expression does not match the path, or is none.
    """
    if source.path_fields is None:
        return ()
    try:
        pattern = re.compile(source.path_fields)
    except re.error as error:
        raise DefinitionError(
            f"Source '{source.name}': path_fields is not a regular expression: {error}.",
            hint="Use named groups, such as '(?P<site>[^/]+)\\.csv$'.",
        ) from error
    if not pattern.groupindex:
        raise DefinitionError(
            f"Source '{source.name}': path_fields has no named group.",
            hint="Use named groups, such as '(?P<site>[^/]+)\\.csv$'.",
        )
    match = pattern.search(look.source_path) or pattern.search(look.path)
    if match is None:
        raise DefinitionError(
            f"Source '{source.name}': path_fields does not match the path {look.source_path}.",
            hint="Change the expression, or leave the file out of the source's `path:`.",
        )
    return tuple((name, value) for name, value in match.groupdict().items() if value is not None)


def detect_form(source: Source, look: Look, head: bytes) -> str:
    """jsonl, json, csv or parquet: as declared, else by the text's start; `.csv` and `.tsv` are believed."""
    if head.startswith(b"PAR1") and source.format in ("auto", "parquet"):
        return "parquet"
    if source.format == "parquet":
        return "parquet"
    if source.format in ("csv", "tsv"):
        return "csv"
    if source.format != "auto":
        return source.format
    if re.search(r"\.[ct]sv(\.\w+)?$", look.source_path, re.IGNORECASE):
        return "csv"
    text = head.removeprefix(BOM).lstrip()
    if text[:1] == b"[":
        return "json"
    if text[:1] == b"{":
        return "json" if _object_over_lines(text) else "jsonl"
    if not text and re.search(r"\.(jsonl|ndjson|json)(\.\w+)?$", look.source_path, re.IGNORECASE):
        return "jsonl"
    return "csv"


def _object_over_lines(text: bytes) -> bool:
    """An object is written over several lines when the second line does not begin another."""
    first, newline, rest = text.partition(b"\n")
    second = rest.lstrip()
    if not newline or not second:
        return False
    return not second.startswith(b"{") and not first.rstrip().endswith(b"}")


def csv_layout(source: Source, look: Look, head: bytes, *, whole: bool) -> Layout:
    """Delimiter and columns of a CSV file, from the source's settings and the file's first rows.

    Args:
        source: Its settings.
        look: The file.
        head: The file's first bytes, decompressed.
        whole: Whether `head` is all of it.
    """
    text = head.removeprefix(BOM)
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SourceError(f"{look.path} is UTF-16 text.", hint="Convert it to UTF-8, for example with iconv.")
    pieces = text.split(b"\n", 2 * _SAMPLE_ROWS)
    if len(pieces) > 2 * _SAMPLE_ROWS or (not whole and len(pieces) > 1):
        pieces.pop()
    lines = [f"{line}\n" for line in b"\n".join(pieces).decode("utf-8", "backslashreplace").split("\n") if line.strip()]
    delimiter, runs = _delimiter(source, look, lines)
    rows = _rows(lines, delimiter, runs=runs)
    notes: tuple[str, ...] = ()
    header = None
    if source.header == "yes":
        header = _first_record(text, delimiter)
        shown = header.decode("utf-8", "backslashreplace")
        names, notes = unique_names(shown.split() if runs else split_record(shown, delimiter) if shown else ())
    elif source.columns:
        names = source.columns
    else:
        names = tuple(f"column_{number}" for number in range(1, len(rows[0]) + 1)) if rows else ()
    return Layout(
        "csv", path_fields(source, look), tuple(names), delimiter, header if names else None, runs=runs, notes=notes
    )


def _first_record(text: bytes, delimiter: str) -> bytes:
    """The text of the first record that is not blank, without its line end."""
    blank = b" \r" if delimiter == "\t" else b" \t\r"
    start = 0
    while start < len(text):
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        if text[start:end].strip(blank):
            followed = follow_record(text, start, ord(delimiter), len(text))
            end = followed[0] if followed else end
            return text[start:end].removesuffix(b"\r")
        start = end + 1
    return b""


def _delimiter(source: Source, look: Look, lines: Sequence[str]) -> tuple[str, bool]:
    """The delimiter, and whether runs of it count once."""
    if source.delimiter is not None:
        if len(source.delimiter.encode()) != 1 or source.delimiter in '"\r\n':
            raise DefinitionError(
                f"Source '{source.name}': the delimiter must be one ASCII character, not {source.delimiter!r}.",
                hint="For example ',', ';', '|' or \"\\t\".",
            )
        return source.delimiter, source.delimiter == " " and _spaces_run(lines)
    if source.format == "tsv" or re.search(r"\.tsv(\.\w+)?$", look.source_path, re.IGNORECASE):
        return "\t", False
    best, best_share = ",", 0.0
    for candidate in DELIMITERS:
        runs = candidate == " " and _spaces_run(lines)
        widths = [len(row) for row in _rows(lines, candidate, runs=runs)]
        if widths and widths[0] > 1 and (share := widths.count(widths[0]) / len(widths)) > best_share:
            best, best_share = candidate, share
    return best, best == " " and _spaces_run(lines)


def _spaces_run(lines: Sequence[str]) -> bool:
    """Columns aligned with spaces: some line has two in a row, or begins with one."""
    return any("  " in line.rstrip() or line.startswith(" ") for line in lines)


def _rows(lines: Sequence[str], delimiter: str, *, runs: bool) -> list[list[str]]:
    if runs:
        return [line.split() for line in lines[:_SAMPLE_ROWS]]
    rows: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            rows.append(row)
            if len(rows) == _SAMPLE_ROWS:
                break
    except csv.Error:
        pass
    return rows


def unique_names(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Column names that differ: an empty one becomes `column_N`, a repeated one gets a number; and what to note."""
    made: list[str] = []
    notes: list[str] = []
    for number, name in enumerate(names, 1):
        bare = name.strip() or f"column_{number}"
        chosen, count = bare, 1
        while chosen in made:
            count += 1
            chosen = f"{bare}_{count}"
        if chosen != name.strip():
            notes.append(f"column {number} '{name.strip()}' is called '{chosen}'")
        made.append(chosen)
    return tuple(made), tuple(notes)


def require_columns(source: Source, look: Look, names: Sequence[str]) -> None:
    """Raise when columns are missing that the source cannot do without.

    Raises:
        ContractError: Names file and columns.
    """
    if not names:
        return
    wanted = {name for name, rule in source.contract.fields.items() if rule.required}
    for mapped in (source.mapping.event_time, source.mapping.entity):
        if mapped is not None:
            wanted.add(mapped)
    missing = sorted(wanted - set(names))
    if missing:
        raise ContractError(
            f"{look.path} lacks the column{'s' if len(missing) > 1 else ''} "
            f"{', '.join(repr(name) for name in missing)} that source '{source.name}' requires.",
            hint=f"Its columns are: {', '.join(names[:30])}. Correct the file, or `contract:` and `mapping:` "
            "in the source.",
        )


def compare_columns(names: Sequence[str], usual: Sequence[str]) -> tuple[str, ...]:
    """What to note where a file's columns differ from those of the files before."""
    if not usual or tuple(names) == tuple(usual):
        return ()
    if set(names) == set(usual):
        return ("columns in another order",)
    notes = []
    if added := [name for name in names if name not in usual]:
        notes.append(f"columns added: {', '.join(added)}")
    if gone := [name for name in usual if name not in names]:
        notes.append(f"columns missing: {', '.join(gone)}")
    return tuple(notes)


def header_changed(look: Look) -> BusyError:
    """The header read now is not the one seen a moment ago."""
    return BusyError(f"{look.path} changed while it was read.", hint="Run the command again in a moment.")
