"""Lines: every one of them once, in order, with its number, as it stands."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.sources.conftest import Reading, reader_of
from tidelake.sources.spans import escape_bytes, unescape_text


def expected_lines(content: bytes, limit: int) -> list[tuple[int, str, str, str | None]]:
    """Position, raw, kind and problem by Python's own means."""
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
    pieces = content.split(b"\n")
    if pieces[-1] == b"":
        pieces.pop()
    rows = []
    for position, line in enumerate(pieces, 1):
        line = line.removesuffix(b"\r")
        problem = None
        raw = line
        try:
            line.decode()
        except UnicodeDecodeError:
            problem, raw = "invalid_utf8", escape_bytes(line)
        if b"\0" in line:
            problem, raw = "nul_byte", escape_bytes(line)
        if len(line) > limit:
            problem = "line_too_long"
        kind = "blank" if not line.strip(b" \t\r") else "record"
        rows.append((position, raw.decode(), kind, problem))
    return rows


PIECES = st.sampled_from(
    [
        b'{"a":1}',
        b'{"a":"' + b"x" * 40 + b'"}',
        "žluťoučký ☃ 𝄞".encode(),
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xc3",
        b"\xa9",
        b"\n",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"\t",
        b"\0",
        b"",
        b"\xef\xbb\xbf",
        b"\\",
        b"\\x41",
        b"twelve bytes",
        b"13 characters",
    ]
)
CONTENT = st.lists(PIECES, max_size=30).map(b"".join)


@settings(max_examples=300)
@given(contents=st.lists(CONTENT, min_size=1, max_size=5), group_bytes=st.sampled_from([1, 7, 50, 300, 1 << 20]))
@example(contents=[b"a\xc3", b"\xa9b\n"], group_bytes=1 << 20)
@example(contents=[b"\xef\xbb\xbf", b"\xef\xbb\xbf{}\n"], group_bytes=1)
def test_lines_are_those_that_python_splits(contents: list[bytes], group_bytes: int) -> None:
    limit = 45
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(contents):
            Path(folder, f"{number}.jsonl").write_bytes(content)
        reading = Reading(
            reader_of(folder, format="jsonl", max_line_bytes=limit),
            group_bytes=max(group_bytes, 200) if group_bytes > 7 else group_bytes,
        )
    for number, content in enumerate(contents):
        name = f"{number}.jsonl"
        got = [
            (row["source_position"], row["raw"], row["kind"], row["problem"])
            for row in reading.rows
            if row["path"] == name
        ]
        want = expected_lines(content, limit)
        if max((len(raw) for _, raw, _, _ in want), default=0) < 100:
            assert got == want
        file = reading.files[name]
        assert reading.lines[name] == len(got) == len(want)
        assert file.size == len(content)
        assert file.content_hash == hashlib.sha256(content).hexdigest()
        assert file.ends_with_newline == (content == b"" or content.endswith(b"\n"))
    assert reading.bytes_read == sum(map(len, contents))


@given(st.binary(max_size=60) | CONTENT)
def test_escaped_bytes_come_back_exactly(content: bytes) -> None:
    escaped = escape_bytes(content)
    assert b"\0" not in escaped
    assert unescape_text(escaped.decode()) == content


def test_notes_say_bom_and_crlf_once_a_file(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    path = write("a.jsonl", b'\xef\xbb\xbf{"a":1}\r\n{"a":2}\r\n')
    reading = read(path)
    assert reading.column("raw") == ['{"a":1}', '{"a":2}']
    assert [note.split(":")[0] for note in reading.only.notes] == ["bom", "crlf"]


def test_empty_file_has_no_lines(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    reading = read(write("a.jsonl", b""))
    assert reading.rows == []
    assert (reading.only.lines, reading.only.size, reading.only.ends_with_newline) == (0, 0, True)


def test_line_of_fifty_megabytes_is_kept_whole_with_its_problem(
    write: Callable[..., Path], read: Callable[..., Reading]
) -> None:
    long = b'{"a":"' + b"x" * 50_000_000 + b'"}'
    reading = read(write("a.jsonl", b'{"a":1}\n' + long + b'\n{"a":2}\n'), group_bytes=8 << 20)
    assert reading.column("problem") == [None, "line_too_long", None]
    assert reading.rows[1]["raw"].encode() == long
    assert reading.column("source_position") == [1, 2, 3]


def test_line_beyond_all_bounds_keeps_its_head_and_the_lines_after_it(
    write: Callable[..., Path], read: Callable[..., Reading]
) -> None:
    content = b'{"a":1}\n' + b"y" * 1_000_000 + b'\n{"a":2}\n' + b"z" * 500_000
    reading = read(write("a.jsonl", content), group_bytes=1000, max_line_bytes=25_000)
    assert reading.column("problem") == [None, "line_too_long", None, "line_too_long"]
    assert reading.column("source_position") == [1, 2, 3, 4]
    assert len(reading.rows[1]["raw"]) == 1 << 16
    assert reading.lines == {"a.jsonl": 4}
    assert reading.only.content_hash == hashlib.sha256(content).hexdigest()
    assert any("only its head" in note for note in reading.only.notes)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100 + "]" * 100, None),
        ("[" * 101 + "]" * 101, "too_deep"),
        ('{"a":' * 101 + "1" + "}" * 101, "too_deep"),
        ("[" + "[]," * 200 + "[]]", None),
        ('{"a":"' + "[" * 300 + '"}', None),
        ('{"a":"\\"' + "{" * 300 + '"}', None),
        ('{"a":"\\\\",' + '"b":' + "[" * 150 + "]" * 150 + "}", "too_deep"),
    ],
    ids=["100", "101", "objects", "wide", "in-a-string", "after-an-escaped-quote", "after-an-escaped-backslash"],
)
def test_nesting_beyond_a_hundred_levels_is_set_aside(
    text: str, problem: str | None, write: Callable[..., Path], read: Callable[..., Reading]
) -> None:
    assert read(write("a.jsonl", f'{{"a":1}}\n{text}\n'), format="jsonl").column("problem") == [None, problem]


def test_path_fields_go_into_each_object(
    write: Callable[..., Path], read: Callable[..., Reading], tmp_path: Path
) -> None:
    write("region=north/a.jsonl", '{"a":1.10}\n{}\n  { "b": 2 }\nno json\n\n')
    write('region=so"uth/a.jsonl', '{"a":3}\n')
    reading = read(tmp_path, format="jsonl", path_fields=r"region=(?P<region>[^/]+)/")
    records = [None if text is None else json.loads(text) for text in reading.column("record")]
    assert records == [
        {"region": "north", "a": 1.1},
        {"region": "north"},
        {"region": "north", "b": 2},
        None,
        None,
        {"region": 'so"uth', "a": 3},
    ]
    assert '"a":1.10' in reading.rows[0]["record"]


def test_same_bytes_under_other_path_fields_are_another_content(
    write: Callable[..., Path], read: Callable[..., Reading], tmp_path: Path
) -> None:
    write("a/x.jsonl", '{"n":0}\n')
    write("b/x.jsonl", '{"n":0}\n')
    plain = read(tmp_path, format="jsonl")
    assert len({file.content_hash for file in plain.files.values()}) == 1
    named = read(tmp_path, format="jsonl", path_fields="(?P<site>[ab])/x")
    assert len({file.content_hash for file in named.files.values()}) == 2


def test_batches_have_a_size_that_can_be_scanned_in_parallel(write: Callable[..., Path]) -> None:
    path = write("a.jsonl", '{"a":1}\n' * 250_000)
    reader = reader_of(path)
    from tidelake.sources.base import Take

    (group,) = reader.groups([Take(look) for look in reader.looks()], group_bytes=64 << 20)
    assert [batch.num_rows for batch in group.lines.to_batches()] == [83_333, 83_333, 83_334]
