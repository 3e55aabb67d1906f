"""JSON arrays and objects over several lines: each record's own text, and a verdict on the rest."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.conftest import Reading, reader_of

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(['"', "\\", '\\"', "}{", "][", ",,", '",', "\\\\"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), max_size=8)


@settings(max_examples=200)
@given(
    records=RECORDS,
    indent=st.sampled_from([None, 0, 2, 7]),
    shape=st.sampled_from(["array", "objects", "two arrays"]),
    ascii_only=st.booleans(),
    group_bytes=st.sampled_from([1, 16, 100, 1 << 20]),
)
def test_elements_are_those_that_json_reads(
    records: list[dict[str, Any]], indent: int | None, shape: str, ascii_only: bool, group_bytes: int
) -> None:
    def text_of(value: Any) -> str:
        return json.dumps(value, indent=indent, ensure_ascii=ascii_only)

    if shape == "array":
        text = text_of(records)
    elif shape == "objects":
        text = "\n".join(map(text_of, records))
    else:
        text = text_of(records) + "\n" + text_of(records[:2])
        records = records + records[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.json")
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        reading = Reading(reader_of(path, format="json"), group_bytes=group_bytes)
    assert [json.loads(raw) for raw in reading.column("raw")] == records
    assert all(raw in text for raw in reading.column("raw"))
    assert set(reading.column("problem")) <= {None}
    assert not reading.only.truncated


def test_text_of_an_element_survives_exactly(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    elements = ['{"v": 1.10, "v": 2}', '{"big": 123456789012345678901234567890}', '{ "e":1E5 }', "{}"]
    reading = read(write("a.json", "[\n  " + " ,\n  ".join(elements) + "\n]\n"))
    assert reading.column("raw") == elements
    assert reading.column("source_position") == [1, 2, 3, 4]
    assert reading.column("record") == [None] * 4


@pytest.mark.parametrize(
    ("text", "rows", "truncated"),
    [
        ("[]", [], False),
        ("", [], False),
        ("  \n ", [], False),
        ('[{"a":1},]', [('{"a":1}', None), ("", "empty_element")], False),
        ('[{"a":1},,{"a":2}]', [('{"a":1}', None), ("", "empty_element"), ('{"a":2}', None)], False),
        ('[{"a":1},{"a":2', [('{"a":1}', None)], True),
        ('[{"a":1},{"a":"', [('{"a":1}', None)], True),
        ('[{"a":1},', [('{"a":1}', None)], True),
        ("[", [], True),
        ('{"a":1}\n{"a"', [('{"a":1}', None)], True),
        ('[{"a":1}] oops', [('{"a":1}', None), ("oops", "outside_of_array")], False),
        ('oops [{"a":1}]', [("oops", "outside_of_array"), ('{"a":1}', None)], False),
        (
            '[{"a":1}]]\n[{"a":2}]\n',
            [('{"a":1}', None), ("]", "outside_of_array"), ('[{"a":2}]', "outside_of_array")],
            False,
        ),
        ('{"a":1},{"a":2}', [('{"a":1}', None), ('{"a":2}', None)], False),
    ],
)
def test_what_is_no_element_has_its_verdict(
    text: str,
    rows: list[tuple[str, str | None]],
    truncated: bool,
    write: Callable[..., Path],
    read: Callable[..., Reading],
) -> None:
    reading = read(write("a.json", text), format="json")
    assert [(row["raw"], row["problem"]) for row in reading.rows] == rows
    assert reading.only.truncated is truncated


def test_invalid_bytes_and_depth_are_flagged_in_arrays_too(
    write: Callable[..., Path], read: Callable[..., Reading]
) -> None:
    deep = b"[" * 120 + b"]" * 120
    reading = read(write("a.json", b'[{"a":"\xff"},{"b":' + deep + b'},{"c":1}]'))
    assert reading.column("problem") == ["invalid_utf8", "too_deep", None]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('{"a":1}\n{"a":2}\n', "jsonl"),
        ('{"a":1}', "jsonl"),
        ('{"a":1\n{"a":2}\n', "jsonl"),
        ('\ufeff\n[\n{"a":1}]', "json"),
        ('{\n  "a": 1\n}\n{\n  "a": 2\n}\n', "json"),
        ("a,b\n1,2\n", "csv"),
        ('{"index":{}}\n{"a":1}\n', "jsonl"),
    ],
)
def test_form_is_seen_in_the_content(text: str, form: str, write: Callable[..., Path]) -> None:
    from tidelake.sources.files import FilesReader

    reader = reader_of(write("a.txt", text))
    assert isinstance(reader, FilesReader)
    assert reader.layout(reader.looks()[0]).form == form


def test_real_array_has_all_its_elements(shared_data: Callable[[str], Path], read: Callable[..., Reading]) -> None:
    (path,) = shared_data("ecommerce_challenge").rglob("mock_data.json")
    want = json.loads(path.read_text())
    reading = read(path, group_bytes=50_000)
    assert [json.loads(raw) for raw in reading.column("raw")] == want
    assert len(want) == 2000
