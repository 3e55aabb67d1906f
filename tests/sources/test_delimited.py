"""CSV: every record once, its text as received and its fields as Python's csv module reads them."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.sources.conftest import Reading, reader_of
from tidelake.errors import ContractError, DefinitionError, SourceError
from tidelake.sources.base import Take

FIELD = st.text(st.sampled_from(list("ab1. ,;|\"\n\r\t\\'é☃\x01")), max_size=6) | st.sampled_from(
    ['"', '""', "\n", 'a"b', "a\r\nb", "", " "]
)


def records_of(reading: Reading) -> list[dict[str, str]]:
    return [json.loads(row["record"]) for row in reading.rows if row["record"] is not None]


@settings(max_examples=300)
@given(
    rows=st.lists(st.lists(FIELD, min_size=3, max_size=3), max_size=12),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    group_bytes=st.sampled_from([8, 200, 1 << 20]),
)
@example(rows=[["a\rb", "c", "d"]], delimiter=",", line_end="\n", quoting=csv.QUOTE_MINIMAL, group_bytes=1 << 20)
def test_fields_are_those_that_python_reads(
    rows: list[list[str]], delimiter: str, line_end: str, quoting: Any, group_bytes: int
) -> None:
    # Python's writer leaves a carriage return bare, and at a line's end that is a line end.
    rows = [[first, second, third.rstrip("\r")] for first, second, third in rows]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerow(["x", "y", "z"])
    writer.writerows(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.csv")
        path.write_bytes(text.getvalue().encode())
        reading = Reading(reader_of(path, format="csv", delimiter=delimiter), group_bytes=group_bytes)
    assert [list(record.values()) for record in records_of(reading)] == rows
    assert [row["kind"] for row in reading.rows] == ["header"] + ["record"] * len(rows)
    assert line_end.join([*reading.column("raw"), ""]) == text.getvalue()
    assert set(reading.column("problem")) <= {None}


LINE = st.sampled_from(
    [
        "a,b",
        'a,"b',
        '"a",b',
        'a"x,b',
        '"a"x,b',
        "a,b,c",
        "a",
        "",
        '"a\nb",c',
        '"',
        '""',
        'a,""',
        '"a,b"',
        "é,ü",
        " ",
        '"a"\rb,c',
        "a\rb,c",
        '"a","b"\r',
    ]
)


@settings(max_examples=300)
@given(
    lines=st.lists(LINE, max_size=10), group_bytes=st.sampled_from([4, 40, 1 << 20]), last=st.sampled_from(["", "\n"])
)
def test_broken_quotes_lose_nothing(lines: list[str], group_bytes: int, last: str) -> None:
    text = "x,y\n" + "\n".join(lines) + last
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.csv")
        path.write_bytes(text.encode())
        parts = Reading(reader_of(path, format="csv", max_line_bytes=1000), group_bytes=group_bytes)
        whole = Reading(reader_of(path, format="csv", max_line_bytes=1000))
    assert parts.rows == whole.rows
    joined = "\n".join(whole.column("raw"))
    received = f"{text}\n".replace("\r\n", "\n").removesuffix("\n")
    assert joined in (received, received.removesuffix("\n"))
    for row in whole.rows:
        assert (row["record"] is not None) == (row["kind"] == "record" and row["problem"] is None)
        if row["record"] is not None:
            bare = '"' not in row["raw"]
            (want,) = [row["raw"].split(",")] if bare else csv.reader(io.StringIO(row["raw"], newline=""))
            assert list(json.loads(row["record"]).values()) == want


def test_unclosed_quote_costs_one_line(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    reading = read(write("a.csv", 'x,y\n1,"open\n2,b\n3,c\n'))
    assert [(row["raw"], row["problem"]) for row in reading.rows[1:]] == [
        ('1,"open', "bad_quoting"),
        ("2,b", None),
        ("3,c", None),
    ]


def test_quote_inside_of_a_bare_field_is_a_character(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    reading = read(write("a.csv", 'x,y\n1,5" pipe\n2,"said ""so"""\n3,"a"b\n'))
    assert records_of(reading) == [{"x": "1", "y": '5" pipe'}, {"x": "2", "y": 'said "so"'}]
    assert reading.column("problem") == [None, None, None, "bad_quoting"]


def test_ragged_rows_are_set_aside_and_text_stays_text(
    write: Callable[..., Path], read: Callable[..., Reading]
) -> None:
    reading = read(write("a.csv", "id,version,note\n1,1.10,\n2,1.2\n3,007,x,y\n\n4,NULL,NA"))
    assert reading.column("problem") == [None, None, "wrong_shape", "wrong_shape", None, None]
    assert reading.column("kind") == ["header", "record", "record", "record", "blank", "record"]
    assert records_of(reading) == [
        {"id": "1", "version": "1.10", "note": ""},
        {"id": "4", "version": "NULL", "note": "NA"},
    ]
    assert reading.only.ends_with_newline is False


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("a,b\n1,2\n", {"a": "1", "b": "2"}),
        ("a;b\n1,5;2\n", {"a": "1,5", "b": "2"}),
        ("a\tb c\n1\t2 3\n", {"a": "1", "b c": "2 3"}),
        ("a|b\n1|2\n", {"a": "1", "b": "2"}),
        ("a b\n1 2\n", {"a": "1", "b": "2"}),
        ("  a   b\n 10  2\n", {"a": "10", "b": "2"}),
        ("Date,Total,Desktop site\n2015-05-01,1,2\n", {"Date": "2015-05-01", "Total": "1", "Desktop site": "2"}),
        ("only\nvalue\n", {"only": "value"}),
    ],
    ids=["comma", "semicolon", "tab", "pipe", "space", "aligned", "comma-before-space", "one-column"],
)
def test_delimiter_is_found(
    text: str, record: dict[str, str], write: Callable[..., Path], read: Callable[..., Reading]
) -> None:
    assert records_of(read(write("a.csv", text))) == [record]


def test_columns_by_name_in_another_order_and_added(
    write: Callable[..., Path], read: Callable[..., Reading], tmp_path: Path
) -> None:
    write("1.csv", "a,b\n1,2\n")
    write("2.csv", "b,a\n2,1\n")
    write("3.csv", "a,b,c\n1,2,3\n")
    reading = read(tmp_path)
    assert records_of(reading) == [{"a": "1", "b": "2"}, {"a": "1", "b": "2"}, {"a": "1", "b": "2", "c": "3"}]
    assert [reading.files[name].notes for name in ("1.csv", "2.csv", "3.csv")] == [
        (),
        ("columns in another order",),
        ("columns added: c",),
    ]


def test_repeated_and_empty_names_are_told_apart(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    reading = read(write("a.csv", "id,v,v,\n1,2,3,4\n"))
    assert records_of(reading) == [{"id": "1", "v": "2", "v_2": "3", "column_4": "4"}]
    assert reading.only.notes == ("column 3 'v' is called 'v_2'", "column 4 '' is called 'column_4'")


def test_headers_of_every_kind_name_their_columns(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    wide = ",".join(f"column number {number}" for number in range(10_000))
    values = ",".join(map(str, range(10_000)))
    assert len(records_of(read(write("wide.csv", f"{wide}\n{values}\n")))[0]) == 10_000
    for header, names in (
        ('a,5" b,c', ["a", '5" b', "c"]),
        ('"a\nb",c,d', ["a\nb", "c", "d"]),
        ("a\u2028b,c,d", ["a\u2028b", "c", "d"]),
        ("\n \na,b,c", ["a", "b", "c"]),
    ):
        reading = read(write("a.csv", f"{header}\n1,2,3\n"), delimiter=",")
        assert records_of(reading) == [dict(zip(names, "123", strict=True))]
        assert [kind for kind in reading.column("kind") if kind != "blank"] == ["header", "record"]


def test_without_header_the_settings_name_the_columns(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    path = write("a.txt", "1 2 3\n4 5 6\n")
    assert records_of(read(path, header="no", columns=["from", "to", "at"])) == [
        {"from": "1", "to": "2", "at": "3"},
        {"from": "4", "to": "5", "at": "6"},
    ]
    assert records_of(read(path, header="no"))[0] == {"column_1": "1", "column_2": "2", "column_3": "3"}


def test_byte_order_mark_is_no_part_of_the_first_name(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    reading = read(write("a.csv", b"\xef\xbb\xbfid,name\r\n1,\xc3\xa9\r\n2,\xff\r\n"))
    assert records_of(reading) == [{"id": "1", "name": "é"}]
    assert reading.column("raw") == ["id,name", "1,é", "2,\\xff"]
    assert reading.column("problem") == [None, None, "invalid_utf8"]


def test_missing_required_column_stops_before_anything_is_read(write: Callable[..., Path], tmp_path: Path) -> None:
    write("1.csv", "id,name\n1,a\n")
    write("2.csv", "id,nom\n1,a\n")
    reader = reader_of(tmp_path, contract={"fields": {"name": {"required": True}}})
    with pytest.raises(ContractError, match=r"2\.csv lacks the column 'name'"):
        reader.groups([Take(look) for look in reader.looks()], group_bytes=1 << 20)


def test_utf16_is_refused(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    with pytest.raises(SourceError, match="UTF-16"):
        read(write("a.csv", "id,name\n".encode("utf-16")))


def test_path_fields_must_match(write: Callable[..., Path], read: Callable[..., Reading], tmp_path: Path) -> None:
    write("a.csv", "n\n1\n")
    assert records_of(read(tmp_path, path_fields=r"(?P<site>[^/]+)\.csv$")) == [{"site": "a", "n": "1"}]
    with pytest.raises(DefinitionError, match="does not match"):
        read(tmp_path, path_fields=r"(?P<site>[^/]+)\.tsv$")
    with pytest.raises(DefinitionError, match="no named group"):
        read(tmp_path, path_fields="csv")


@pytest.mark.parametrize("name", ["cookie_cats", "online_shoppers_uci", "telco_churn", "streampro_events"])
def test_real_files_are_what_python_reads(
    name: str, shared_data: Callable[[str], Path], read: Callable[..., Reading]
) -> None:
    paths = list(shared_data(name).rglob("*.csv"))
    assert paths
    for path in paths:
        with path.open(encoding="utf-8-sig", newline="") as file:
            want = list(csv.DictReader(file))
        assert records_of(read(path, group_bytes=1_000_000)) == want


def test_daily_counts_of_all_sites_add_up_to_the_total(shared_data: Callable[[str], Path]) -> None:
    folder = next(shared_data("wikimedia_projectview_daily").rglob("daily"))
    reader = reader_of(folder, path_fields=r"(?P<site>[^/]+)\.csv$")
    totals: dict[str, int] = {}
    published: dict[str, int] = {}
    for group in reader.groups([Take(look) for look in reader.looks()], group_bytes=16 << 20):
        assert group.lines["problem"].null_count == group.lines.num_rows
        for text in filter(None, group.lines["record"].to_pylist()):
            record = orjson.loads(text)
            if record["site"] == "all":
                published[record["Date"]] = int(record["Total"])
            else:
                totals[record["Date"]] = totals.get(record["Date"], 0) + int(record["Total"])
    assert totals == published
    assert len(published) > 500
