"""SQL files whose statements have names, and lines of text files brought to a server by COPY."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tidelake.errors import DefinitionError

LINES = "new_lines"
"""The temporary table that `copy_lines` fills."""

_MARK = re.compile(r"^-- (?P<kind>step|name): *(?P<name>.*?) *$", re.MULTILINE)
_BLOCK = 1 << 20
_COLUMNS = "source_file, source_line, problem, line"
_ESCAPES = ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\r", b"\\r"))


@dataclass(frozen=True)
class Statement:
    """A part of a SQL file.

    Attributes:
        name: What stands behind `-- name:`; empty for a `-- step:`, whose rows nobody wants.
        sql: Its text; that of a step may be several statements.
    """

    name: str
    sql: str


def statements(text: str) -> list[Statement]:
    """The parts of a SQL file in order: each from a line `-- step: ...` or `-- name: ...` to the next such line.

    Raises:
        DefinitionError: Nothing is marked so, a name is missing, or one stands twice.
    """
    marks = list(_MARK.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    found = [
        Statement(mark["name"] if mark["kind"] == "name" else "", text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=bool(marks))
    ]
    names = [mark["name"] for mark in marks if mark["kind"] == "name"]
    if not marks or "" in names or len(set(names)) != len(names):
        raise DefinitionError(
            "The SQL file's statements are not told apart.", hint="Write `-- name: ...` above each, each name once."
        )
    return found


def run_script(connection: Any, path: Path) -> dict[str, pa.Table]:
    """Run a SQL file's statements in order; the rows of each that has a name.

    Raises:
        DefinitionError: The file's statements are not told apart.
    """
    found = {}
    for statement in statements(path.read_text(encoding="utf-8")):
        cursor = connection.execute(statement.sql)
        if statement.name:
            names = [column.name for column in cursor.description]
            columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(names)
            found[statement.name] = pa.table([pa.array(column) for column in columns], names=names)
    return found


def copy_lines(connection: Any, files: Mapping[str, Path]) -> int:
    """Bring every line of text files into the temporary table `new_lines`, one row a line that is not blank.

    Its columns: `source_file` (the name given), `source_line` (from 1), `problem` (why PostgreSQL cannot hold the line
    as text: `invalid_utf8`, `nul_byte`; else null) and `line`.

    Returns:
        How many rows.
    """
    connection.execute(
        f"DROP TABLE IF EXISTS pg_temp.{LINES}; CREATE TEMP TABLE {LINES} "
        '(source_file text COLLATE "C", source_line bigint, problem text, line text)'
    )
    count, block = 0, bytearray()
    with connection.cursor() as cursor, cursor.copy(f"COPY {LINES} ({_COLUMNS}) FROM STDIN") as copy:
        for name, path in sorted(files.items()):
            for row in _rows(_escaped(name.encode()), path):
                block += row
                count += 1
                if len(block) > _BLOCK:
                    copy.write(bytes(block))
                    block.clear()
        copy.write(bytes(block))
    return count


def _rows(name: bytes, path: Path) -> Iterator[bytes]:
    """The lines of a file as COPY reads them."""
    with path.open("rb") as stream:
        for number, given in enumerate(stream, 1):
            line = given.removesuffix(b"\n").removesuffix(b"\r")
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            problem = _problem(line)
            told = rb"\N" + b"\t" + _escaped(line) if problem is None else problem + b"\t" + rb"\N"
            yield b"%s\t%d\t%s\n" % (name, number, told)


def _problem(line: bytes) -> bytes | None:
    if b"\0" in line:
        return b"nul_byte"
    try:
        line.decode()
    except UnicodeDecodeError:
        return b"invalid_utf8"
    return None


def _escaped(text: bytes) -> bytes:
    for mark, written in _ESCAPES:
        text = text.replace(mark, written)
    return text
