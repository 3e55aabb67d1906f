"""Bad input and faults, each with its verdict, through the real command; `docs/bad-input.md` is the table of it."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.projects import APP, SOURCE_ROOT, TinyProject, event, lines, without_override

DOCUMENT = Path(__file__).parent.parent / "docs" / "bad-input.md"
GOOD = [event(number) for number in range(100)]


@pytest.fixture
def project(tmp_path: Path) -> TinyProject:
    return TinyProject.make(tmp_path / "project")


# --- one file with a row of every kind ---------------------------------------------------------------------------

HEAD = '{"id":"%s","at":"2025-11-01T10:00:00Z","user":"u","name":"x"'


def bad(name: str, rest: str) -> bytes:
    return (HEAD % name + rest + "}").encode()


def at(name: str, time: str) -> bytes:
    return json.dumps({"id": name, "at": time, "user": "u", "name": "x"}).encode()


@dataclass(frozen=True)
class Row:
    """A row that must go to quarantine, and why."""

    raw: bytes
    reasons: tuple[str, ...]


QUARANTINED = {
    "invalid UTF-8": Row(HEAD.encode() % b"b1" + b',"version":"\xff\xfe"}', ("invalid_utf8",)),
    "a 50 MB line": Row(bad("b2", ',"version":"' + "x" * 50_000_000 + '"'), ("line_too_long",)),
    "deep nesting": Row(bad("b3", ',"deep":' + "[" * 5000 + "]" * 5000), ("too_deep",)),
    "duplicate keys": Row(bad("b4", ',"value":1,"value":2'), ("duplicate_key",)),
    "NaN": Row(bad("b5", ',"score":NaN'), ("not_finite:score",)),
    "NaN as text": Row(bad("b6", ',"score":"NaN"'), ("not_finite:score",)),
    "infinity": Row(bad("b7", ',"score":-Infinity'), ("not_finite:score",)),
    "a number past the largest double": Row(bad("b8", ',"score":1e999'), ("not_finite:score",)),
    "an integer past 64 bits": Row(bad("b9", ',"value":9223372036854775808'), ("wrong_type:value",)),
    "an integer of thirty digits": Row(bad("b10", ',"value":123456789012345678901234567890'), ("wrong_type:value",)),
    "text where an integer belongs": Row(bad("b11", ',"value":"abc"'), ("wrong_type:value",)),
    "a fraction where an integer belongs": Row(bad("b12", ',"value":1.5'), ("wrong_type:value",)),
    "an object where an integer belongs": Row(bad("b13", ',"value":{"a":1}'), ("wrong_type:value",)),
    "a list where text belongs": Row(bad("b14", ',"version":["1.10"]'), ("wrong_type:version",)),
    "a boolean where a number belongs": Row(bad("b15", ',"score":true'), ("wrong_type:score",)),
    "no time": Row(b'{"id":"b16","user":"u","name":"x"}', ("missing_required:at",)),
    "two faults at once": Row(
        b'{"id":"b17","at":"2025-11-01T10:00:00Z","name":"x","value":"abc"}',
        ("missing_required:user", "wrong_type:value"),
    ),
    "a date of 1970": Row(at("b18", "1970-01-01T00:00:00Z"), ("clock_skew:event_time",)),
    "a date of 2106": Row(at("b19", "2106-02-07T06:28:16Z"), ("clock_skew:event_time",)),
    "dd/mm/yyyy undeclared": Row(at("b20", "05/06/2025 10:00"), ("ambiguous_time:at",)),
    "dd/mm/yyyy undeclared, day past 12": Row(at("b21", "25/06/2025"), ("ambiguous_time:at",)),
    "a date that does not exist": Row(at("b22", "2025-02-30T00:00:00Z"), ("wrong_time:at",)),
    "words where a time belongs": Row(at("b23", "yesterday"), ("wrong_time:at",)),
    "no JSON": Row(b"not json", ("invalid_json",)),
    "JSON cut off": Row(HEAD.encode() % b"b24", ("invalid_json",)),
    "JSON that is no object": Row(b"[1, 2]", ("not_an_object",)),
    "a zero byte": Row(HEAD.encode() % b"b25" + b',"version":"a\x00b"}', ("nul_byte",)),
}  # fmt: skip
TAKEN = {
    "1.10 stays text": (bad("t1", ',"version":"1.10"'), {"version": "1.10"}),
    "a whole number as text is cast, without loss": (bad("t2", ',"value":"12"'), {"value": 12}),
    "the largest integer": (bad("t3", ',"value":9223372036854775807'), {"value": 9223372036854775807}),
    "a number where text belongs": (bad("t4", ',"version":12'), {"version": "12"}),
    "an extra field": (bad("t5", ',"extra":"new"'), {"extra": "new"}),
    "a fraction": (bad("t6", ',"score":0.1'), {"score": 0.1}),
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyProject, str]:
    """100 good rows, every bad and every strange one, a BOM, CRLF and blank lines, in one file."""
    project = TinyProject.make(tmp_path_factory.mktemp("mixed") / "project")
    rows = [json.dumps(item).encode() for item in GOOD]
    rows += [b"", b"   "]
    rows += [row.raw for row in QUARANTINED.values()] + [raw for raw, _ in TAKEN.values()]
    project.write("events.jsonl", b"\xef\xbb\xbf" + b"\r\n".join(rows) + b"\r\n")
    return project, project.build()


@pytest.fixture(scope="module")
def waiting(mixed: tuple[TinyProject, str]) -> list[dict[str, Any]]:
    return mixed[0].open_quarantine()


@pytest.mark.parametrize("name", QUARANTINED)
def test_row_goes_to_quarantine_with_its_reason(waiting: list[dict[str, Any]], name: str) -> None:
    place = 103 + list(QUARANTINED).index(name)
    [row] = [row for row in waiting if row["source_position"] == place]
    assert tuple(sorted(row["reasons"])) == QUARANTINED[name].reasons
    assert row["source_path"] == "events.jsonl"


@pytest.mark.parametrize("name", TAKEN)
def test_row_is_taken(mixed: tuple[TinyProject, str], name: str) -> None:
    project, _ = mixed
    raw, expected = TAKEN[name]
    [row] = [row for row in project.rows("silver.app") if row["event_id"] == json.loads(raw)["id"]]
    assert {column: row[column] for column in expected} == expected


def test_every_line_is_accounted_for(mixed: tuple[TinyProject, str]) -> None:
    project, printed = mixed
    assert len(project.rows("silver.app")) == len(GOOD) + len(TAKEN)
    assert len(project.open_quarantine()) == len(QUARANTINED)
    assert len(project.rows("bronze.app")) == len(GOOD) + len(TAKEN) + len(QUARANTINED) + 2
    project.check_balance()
    assert "extra" in printed  # a new field is said


def test_readable_text_of_a_bad_row_is_kept(mixed: tuple[TinyProject, str]) -> None:
    project, _ = mixed
    kept = project.reasons()
    assert kept["not json"] == ["invalid_json"]
    assert any(raw.startswith('{"id":"b2"') for raw in kept)  # of the 50 MB line the beginning at least


# --- limits --------------------------------------------------------------------------------------------------------


def test_too_many_bad_rows_end_with_3_and_keep_what_is_good(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "p", APP.replace("0.5", "0.05"))
    project.write("a.jsonl", lines(GOOD[:90]) + "broken\n" * 10)
    printed = project.build(expect=3)
    assert "app" in printed
    assert (len(project.ids()), len(project.open_quarantine())) == (90, 10)
    project.check_balance()
    # Nothing new does not mend it; a limit of 10 % or other rows do.
    again = project.build(expect=3)
    assert "nothing new" in again
    assert "10 of 100 rows are in quarantine (10.0%; the contract allows 5.0%): invalid_json 10." in again
    assert "This is of build 1 (" in again
    assert ", batch 1) and stands until a build takes mended files or the contract is mended." in again
    (project.root / "sources/app.yml").write_text(APP.replace("0.5", "0.1"))
    assert "fault" not in project.build()
    (project.root / "sources/app.yml").write_text(APP.replace("0.5", "0.05"))
    project.build(expect=3)
    project.write("b.jsonl", lines([event(number) for number in range(100, 1000)]))
    assert "fault" not in project.build()
    assert "fault" not in project.build()
    assert len(project.ids()) == 990


def test_quarantined_rows_are_taken_in_after_the_contract_is_mended(project: TinyProject) -> None:
    project.write("a.jsonl", lines([*GOOD[:10], event(11, value=1.5)]))
    project.build()
    assert project.ids() == sorted(f"e{number}" for number in range(10))
    path = project.root / "sources" / "app.yml"
    path.write_text(path.read_text().replace("value: {type: integer}", "value: {type: number}"))
    project.build()
    assert "e11" in project.ids()
    assert project.open_quarantine() == []
    project.check_balance()


def test_same_id_with_the_same_content(project: TinyProject) -> None:
    project.write("a.jsonl", lines([*GOOD[:10], GOOD[3]]))
    project.write("b.jsonl", lines([GOOD[4], GOOD[20]]))
    project.build()
    assert project.ids() == sorted([*(f"e{number}" for number in range(10)), "e20"])
    assert len(project.rows("silver.duplicates")) == 2
    assert project.open_quarantine() == []
    project.check_balance()


def test_same_id_with_other_content(tmp_path: Path) -> None:
    source = APP.replace("event_name: name}", "event_name: name, received_at: got}")
    project = TinyProject.make(tmp_path / "p", source)
    project.write(
        "a.jsonl", lines([event(1, got="2025-11-02T00:00:00Z", value=2), event(2, got="2025-11-02T00:00:00Z")])
    )
    project.build()
    project.write("b.jsonl", lines([event(1, got="2025-11-01T23:00:00Z", value=1)]))
    project.write("c.jsonl", lines([event(2, got="2025-11-03T00:00:00Z", value=3)]))
    project.build()
    assert {row["event_id"]: row["value"] for row in project.rows("silver.app")} == {"e1": 2, "e2": 3}
    assert {json.loads(raw)["value"]: reasons for raw, reasons in project.reasons().items()} == {
        1: ["conflict"],
        2: ["conflict"],
    }
    project.check_balance()


# --- files cut off -------------------------------------------------------------------------------------------------


def complete_gzip_lines(data: bytes) -> int:
    return zlib.decompressobj(31).decompress(data).count(b"\n")


def complete_zstd_lines(data: bytes) -> int:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data).count(b"\n")


def complete_bz2_lines(data: bytes) -> int:
    return bz2.BZ2Decompressor().decompress(data).count(b"\n")


@pytest.mark.parametrize(
    ("suffix", "pack", "count"),
    [
        ("gz", gzip.compress, complete_gzip_lines),
        ("zst", zstandard.compress, complete_zstd_lines),
        ("bz2", bz2.compress, complete_bz2_lines),
    ],
)
def test_compressed_file_cut_off(
    project: TinyProject, suffix: str, pack: Callable[[bytes], bytes], count: Callable[[bytes], int]
) -> None:
    events = [event(number, version=os.urandom(300).hex()) for number in range(3000)]
    whole = pack(lines(events).encode())
    half = whole[: len(whole) * 2 // 3]
    complete = count(half)
    assert 0 < complete < 3000
    project.write(f"a.jsonl.{suffix}", half)
    printed = project.build(expect=3)
    assert "truncated" in printed
    assert len(project.ids()) == complete
    assert [row["state"] for row in project.rows("ops.files")] == ["truncated"]
    project.check_balance()
    # The whole file takes the place of the part; nothing is doubled, nothing is lost.
    project.write(f"a.jsonl.{suffix}", whole)
    project.build()
    assert project.ids() == sorted(item["id"] for item in events)
    project.check_balance()


# --- forms ---------------------------------------------------------------------------------------------------------

CSV = APP.replace("jsonl", "csv")
HEADER = "id,at,user,name,value"


def csv_rows(first: int, last: int) -> str:
    return "".join(f"e{n},2025-11-01T10:{n // 60:02d}:{n % 60:02d}Z,u{n % 7},play,{n}\n" for n in range(first, last))


def test_columns_in_another_order(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "p", CSV)
    project.write("a.csv", f"{HEADER}\n{csv_rows(0, 50)}")
    project.write("b.csv", "value,name,user,at,id\n7,stop,u1,2025-11-01T11:00:00Z,z\n")
    printed = project.build()
    [row] = [row for row in project.rows("silver.app") if row["event_id"] == "z"]
    assert (row["value"], row["event_name"], row["actor_id"]) == (7, "stop", "u1")
    assert "order" in printed
    project.check_balance()


def test_extra_columns_evolve(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "p", CSV)
    project.write("a.csv", f"{HEADER}\n{csv_rows(0, 50)}")
    project.build()
    project.write("b.csv", f"{HEADER},country\nz,2025-11-01T11:00:00Z,u1,play,1,DE\n")
    printed = project.build()
    assert "country" in printed
    found = {row["event_id"]: row.get("country") for row in project.rows("silver.app")}
    assert (found["z"], found["e0"], len(found)) == ("DE", None, 51)
    project.check_balance()


def test_fields_whose_names_differ_in_case_only(project: TinyProject) -> None:
    project.write("a.jsonl", lines([event(number, User="x", NEW=1, new=2) for number in range(20)]))
    printed = project.build()
    assert "'User'" in printed
    assert len(project.ids()) == 20
    row = project.rows("silver.app")[0]
    assert (row["actor_id"], row["NEW"]) == ("u0", "1")
    project.check_balance()


def test_missing_required_column_takes_nothing(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "p", CSV)
    project.write("a.csv", f"{HEADER}\n{csv_rows(0, 50)}")
    project.write("b.csv", "id,at,name,value\nz,2025-11-01T11:00:00Z,play,1\n")
    printed = project.build(expect=3)
    assert "b.csv" in printed
    assert "'user'" in printed
    assert project.rows("bronze.app") == []
    assert project.rows("silver.app") == []
    (project.root / "data" / "b.csv").unlink()
    project.build()
    assert len(project.ids()) == 50


def test_lines_of_the_wrong_shape(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "p", CSV)
    project.write("a.csv", f'{HEADER}\n{csv_rows(0, 50)}only,two\na,b,c,d,e,f,g\n"open quote,2025,u,n,1\n')
    project.build()
    assert len(project.ids()) == 50
    kept = {reason for row in project.open_quarantine() for reason in row["reasons"]}
    assert kept == {"wrong_shape", "bad_quoting"}
    project.check_balance()


def test_quoted_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "p", CSV)
    project.write("a.csv", f'{HEADER}\r\nz,2025-11-01T11:00:00Z,"a, ""b""","two\nlines",1\r\n')
    project.build()
    [row] = project.rows("silver.app")
    assert (row["actor_id"], row["event_name"]) == ('a, "b"', "two\nlines")
    project.check_balance()


def test_binary_under_a_text_name(project: TinyProject) -> None:
    project.write("a.jsonl", lines(GOOD))
    project.write("b.jsonl", bytes(range(256)) * 4)
    project.build()
    assert len(project.ids()) == 100
    assert all(row["source_path"] == "b.jsonl" for row in project.open_quarantine())
    project.check_balance()


# --- nothing there -------------------------------------------------------------------------------------------------


def test_empty_folder(project: TinyProject) -> None:
    printed = project.build()
    assert re.search(r"no files|0 files|empty", printed)
    assert project.rows("silver.app") == []


def test_empty_file(project: TinyProject) -> None:
    project.write("a.jsonl", "")
    project.write("b.jsonl", lines(GOOD[:3]))
    project.build()
    assert project.ids() == ["e0", "e1", "e2"]
    assert {row["source_path"]: row["lines"] for row in project.rows("ops.files")} == {"a.jsonl": 0, "b.jsonl": 3}
    project.check_balance()


def test_only_empty_files(project: TinyProject) -> None:
    project.write("a.jsonl", "")
    project.build()
    assert project.rows("silver.app") == []
    project.build()


def test_header_without_rows(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "p", CSV)
    project.write("a.csv", f"{HEADER}\n")
    project.build()
    assert project.rows("silver.app") == []
    project.check_balance()


def test_folder_that_does_not_exist(project: TinyProject) -> None:
    (project.root / "data").rmdir()
    printed = project.build(expect=2)
    assert "data" in printed
    assert "next:" in printed


# --- files that change ---------------------------------------------------------------------------------------------


def test_a_file_that_grew(project: TinyProject) -> None:
    path = project.write("a.jsonl", lines(GOOD[:10]))
    project.build()
    with path.open("a") as stream:
        stream.write(lines(GOOD[10:15]))
    project.build()
    assert project.ids() == sorted(f"e{number}" for number in range(15))
    assert len(project.rows("bronze.app")) == 15  # the first ten were not read again
    project.check_balance()


def test_a_file_whose_last_line_was_not_finished(project: TinyProject) -> None:
    text = lines(GOOD[:10])
    path = project.write("a.jsonl", text[:-20])
    project.build()
    assert len(project.ids()) == 9
    path.write_text(text)
    project.build()
    assert project.ids() == sorted(f"e{number}" for number in range(10))
    assert project.open_quarantine() == []
    project.check_balance()


def test_a_file_that_changed(project: TinyProject) -> None:
    project.write("a.jsonl", lines(GOOD[:10]))
    project.build()
    changed = [event(0, value=1000), *GOOD[1:8]]
    project.write("a.jsonl", lines(changed))
    project.build()
    rows = {row["event_id"]: row["value"] for row in project.rows("silver.app")}
    assert rows == {"e0": 1000, **{f"e{number}": number for number in range(1, 8)}}
    project.check_balance()


def test_a_file_that_vanished(project: TinyProject) -> None:
    path = project.write("a.jsonl", lines(GOOD[:10]))
    project.write("b.jsonl", lines(GOOD[10:12]))
    project.build()
    path.unlink()
    printed = project.build()
    assert "a.jsonl" in printed
    assert len(project.ids()) == 12
    project.check_balance()


@pytest.mark.parametrize(("name", "is_used_again"), [("app.log.1", True), ("app.log.1.gz", False)])
def test_a_file_that_was_renamed(tmp_path: Path, name: str, is_used_again: bool) -> None:
    project = TinyProject.make(tmp_path / "p", APP.replace("dedup: key", "dedup: none"))
    path = project.write("app.log", lines(GOOD[:10]))
    project.build()
    path.unlink()
    whole = lines(GOOD[:12]).encode()
    project.write(name, gzip.compress(whole) if name.endswith("gz") else whole)
    if is_used_again:
        project.write("app.log", lines(GOOD[12:20]))
    printed = project.build()
    assert f"{name} (was app.log)" in printed
    assert "vanished" not in printed
    assert project.ids() == sorted(item["id"] for item in GOOD[: 20 if is_used_again else 12])
    taken = [(row["source_path"], row["source_position"]) for row in project.rows("bronze.app")]
    assert (name, 12) in taken
    assert ((name, 1) in taken) == name.endswith("gz")  # a packed file is read anew as a whole
    project.check_balance()


def test_a_copy_of_a_file_is_not_counted_twice(project: TinyProject) -> None:
    project.write("a.jsonl", lines(GOOD[:10]))
    project.write("copy.jsonl", lines(GOOD[:10]))
    printed = project.build()
    assert "copy.jsonl" in printed
    assert len(project.ids()) == 10


def test_a_file_that_may_not_be_read(project: TinyProject) -> None:
    project.write("a.jsonl", lines(GOOD[:10]))
    secret = project.write("b.jsonl", lines(GOOD[10:20]))
    secret.chmod(0)
    printed = project.build(expect=1, preexec=without_override)
    assert "b.jsonl" in printed
    assert "next:" in printed
    secret.chmod(0o644)
    project.build()
    assert len(project.ids()) == 20


# --- times ---------------------------------------------------------------------------------------------------------


def test_epoch_of_the_project_lets_old_dates_in(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "p", settings="epoch: 1970-01-01\n")
    project.write("a.jsonl", lines([event(1, at="1970-01-01T00:00:00Z")]))
    project.build()
    assert project.ids() == ["e1"]


def test_events_from_the_future(project: TinyProject) -> None:
    tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3 * 86400))
    project.write("a.jsonl", lines([*GOOD[:5], event(900, at=tomorrow)]))
    project.build()
    [row] = project.open_quarantine()
    assert row["reasons"] == ["clock_skew:event_time"]
    # Declared, they are allowed; the rows that waited are judged again.
    path = project.root / "sources" / "app.yml"
    path.write_text("future_tolerance: 7d\n" + path.read_text())
    project.build()
    assert "e900" in project.ids()
    project.check_balance()


def test_received_at_decides_what_the_future_is(tmp_path: Path) -> None:
    source = APP.replace("event_name: name}", "event_name: name, received_at: got}")
    project = TinyProject.make(tmp_path / "p", source)
    project.write(
        "a.jsonl",
        lines(
            [
                event(1, at="2025-11-01T10:09:59Z", got="2025-11-01T10:00:00Z"),
                event(2, at="2025-11-01T10:10:01Z", got="2025-11-01T10:00:00Z"),  # 10 min and 1 s ahead
            ]
        ),
    )
    project.build()
    assert project.ids() == ["e1"]
    assert [row["reasons"] for row in project.open_quarantine()] == [["clock_skew:event_time"]]


def test_dates_are_read_once_their_form_is_declared(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "p")
    project.write("a.jsonl", lines([event(1, at="05/06/2025"), event(2, at="25/06/2025")]))
    project.build(expect=3)
    assert project.ids() == []
    path = project.root / "sources" / "app.yml"
    path.write_text('time_format: "%d/%m/%Y"\n' + path.read_text())
    project.build()
    times = {row["event_id"]: row["event_time"].isoformat() for row in project.rows("silver.app")}
    assert times == {"e1": "2025-06-05T00:00:00+00:00", "e2": "2025-06-25T00:00:00+00:00"}


def test_local_times_that_do_not_exist_or_exist_twice(tmp_path: Path) -> None:
    # Berlin 2025: clocks went from 02:00 to 03:00 on 30 March, and from 03:00 back to 02:00 on 26 October.
    project = TinyProject.make(tmp_path / "p", "timezone: Europe/Berlin\n" + APP)
    given = {
        "e1": "2025-03-30T01:59:59",
        "e2": "2025-03-30T02:30:00",
        "e3": "2025-03-30T03:00:00",
        "e4": "2025-10-26T02:30:00",
        "e5": "2025-10-26T03:00:00",
        "e6": "2025-10-26T02:30:00+02:00",
    }
    project.write("a.jsonl", lines([event(int(name[1:]), at=at) for name, at in given.items()]))
    project.build()
    times = {row["event_id"]: row["event_time"].isoformat() for row in project.rows("silver.app")}
    assert times == {
        "e1": "2025-03-30T00:59:59+00:00",
        "e3": "2025-03-30T01:00:00+00:00",
        "e5": "2025-10-26T02:00:00+00:00",
        "e6": "2025-10-26T00:30:00+00:00",
    }
    reasons = {json.loads(raw)["id"]: reasons for raw, reasons in project.reasons().items()}
    assert reasons == {"e2": ["nonexistent_time:at"], "e4": ["ambiguous_time:at"]}


# --- the lake ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here (needs root and the right to mount)")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk(project: TinyProject, small_disk: Path) -> None:
    (project.root / "lake").symlink_to(small_disk)
    events = [event(number, version=os.urandom(300).hex()) for number in range(8000)]
    project.write("a.jsonl", lines(events[:1000]))
    project.build()
    project.write("b.jsonl", lines(events[1000:]))
    printed = project.build(expect=1)
    assert "full" in printed
    assert "next:" in printed
    assert project.ids() == sorted(item["id"] for item in events[:1000])
    # More room, the same command: as if nothing had happened.
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    project.build()
    assert project.ids() == sorted(item["id"] for item in events)
    project.check_balance()


def test_read_only_lake(project: TinyProject) -> None:
    project.write("a.jsonl", lines(GOOD[:10]))
    project.build()
    project.write("b.jsonl", lines(GOOD[10:20]))
    folders = [project.lake, *(path for path in project.lake.rglob("*") if path.is_dir())]
    files = [path for path in project.lake.rglob("*") if path.is_file()]
    for path in files:
        path.chmod(0o444)
    for path in folders:
        path.chmod(0o555)
    try:
        printed = project.build(expect=1, preexec=without_override)
        assert "permission denied" in printed.lower()
        assert "next:" in printed
    finally:
        for path in folders:
            path.chmod(0o755)
        for path in files:
            path.chmod(0o644)
    assert len(project.ids()) == 10
    project.build()
    assert len(project.ids()) == 20
    project.check_balance()


def test_table_that_may_not_be_read(project: TinyProject) -> None:
    project.write("a.jsonl", lines(GOOD[:10]))
    project.build()
    table = project.lake / "gold" / "user_day"
    for folder in (table / "_delta_log", table):  # a closed table is not taken for one that is not there
        folder.chmod(0o000)
        try:
            done = project.tide("measure", "dau", preexec=without_override)
            looked = project.tide("doctor", preexec=without_override)
        finally:
            folder.chmod(0o755)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{table}" in done.stderr
        assert "cannot be read: permission denied.\n  next: Give this user the right to read it.\n" in done.stderr
        assert "\x1b" not in done.stderr
        assert looked.returncode == 1
        assert "permission denied. Give this user the right to read it." in looked.stdout
    assert project.tide("measure", "dau").returncode == 0


HOLD = """
import sys
from tidelake.lake import Lake
with Lake(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_builds_at_once(project: TinyProject) -> None:
    project.write("a.jsonl", lines(GOOD[:10]))
    project.build()
    project.write("b.jsonl", lines(GOOD[10:20]))
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(project.lake)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE_ROOT)},
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        printed = project.build(expect=75)
        assert "Another build" in printed
        assert "next:" in printed
        assert len(project.ids()) == 10
        holder.kill()  # the lock of a process that died is free at once
        holder.wait(10)
        project.build()
    finally:
        holder.kill()
        holder.wait(10)
        holder.stdin.close()
        holder.stdout.close()
    assert len(project.ids()) == 20
    project.check_balance()


def test_two_real_builds_at_once_take_everything_once(project: TinyProject) -> None:
    for day in range(4):
        project.write(f"{day}.jsonl", lines([event(day * 2000 + number) for number in range(2000)]))
    command = [sys.executable, "-m", "tidelake.cli", "build"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE_ROOT), "NO_COLOR": "1"}
    both = [
        subprocess.Popen(command, cwd=project.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=300)[0].decode() for process in both]
    assert not any("Traceback" in text for text in printed), printed
    assert {process.returncode for process in both} <= {0, 75}, printed
    project.build()
    assert len(project.ids()) == 8000
    assert len(set(project.ids())) == 8000
    project.check_balance()


def test_lake_of_a_newer_version(project: TinyProject) -> None:
    project.write("a.jsonl", lines(GOOD[:10]))
    project.build()
    mark = project.lake / "_tidelake.json"
    given = mark.read_text()
    mark.write_text(json.dumps({"format": 99}))
    project.write("b.jsonl", lines(GOOD[10:20]))
    printed = project.build(expect=1)
    assert "format 99" in printed
    assert "next:" in printed
    mark.write_text(given)
    project.build()
    assert len(project.ids()) == 20


# --- the page ------------------------------------------------------------------------------------------------------


def test_page_names_every_reason_that_these_tests_expect() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    expected = {reason.split(":")[0] for row in QUARANTINED.values() for reason in row.reasons}
    expected |= {"wrong_shape", "bad_quoting", "nonexistent_time", "conflict", "truncated"}
    assert not {reason for reason in expected if f"`{reason}" not in text}


def test_page_names_a_test_for_every_row() -> None:
    """The last column of the page's tables holds names of tests of this file."""
    named = set(re.findall(r"`(test_\w+)`", DOCUMENT.read_text(encoding="utf-8")))
    here: dict[str, Any] = globals()
    assert named
    assert not {name for name in named if name not in here}


def test_a_mapped_field_that_no_record_has(tmp_path: Path) -> None:
    project = TinyProject.make(tmp_path / "p", APP.replace("event_name: name", "event_name: nam"))
    project.write("a.jsonl", lines([event(number) for number in range(3)]))
    assert "mapping: event_name: no record has a field 'nam'. Did you mean 'name'?" in project.build(expect=3)
    assert [row["event_name"] for row in project.rows("silver.app")] == [None] * 3
    (project.root / "sources/app.yml").write_text(APP)
    project.build()
    project.check_balance()
    assert [row["event_name"] for row in project.rows("silver.app")] == ["play"] * 3
