"""Which files there are, what grew, what changed, what cannot be read."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import S3Server
from tests.sources.conftest import Reading, look_at, reader_of
from tidelake.errors import BusyError, ProjectError, SourceError
from tidelake.sources.base import LINES, Take
from tidelake.sources.prefetch import prefetch


def names_of(path: Path | str, **settings: Any) -> list[str]:
    return [look.source_path for look in reader_of(path, **settings).looks()]


def test_file_folder_and_glob_name_the_same_files(write: Callable[..., Path], tmp_path: Path) -> None:
    for name in (
        "b.jsonl",
        "a.jsonl",
        "deep/er/c.jsonl",
        "notes.txt",
        "_SUCCESS",
        ".hidden",
        "_old/d.jsonl",
        "e.jsonl.tmp",
    ):
        write(name, '{"a":1}\n')
    assert names_of(tmp_path) == ["a.jsonl", "b.jsonl", "deep/er/c.jsonl", "notes.txt"]
    assert names_of(tmp_path / "a.jsonl") == ["a.jsonl"]
    assert names_of(tmp_path / "*.jsonl") == ["a.jsonl", "b.jsonl"]
    assert names_of(tmp_path / "**" / "*.jsonl") == ["a.jsonl", "b.jsonl", "deep/er/c.jsonl"]
    assert names_of(tmp_path / "d*") == ["deep/er/c.jsonl"]
    assert names_of(tmp_path / "[ab].jsonl") == ["a.jsonl", "b.jsonl"]


def test_files_that_a_glob_does_not_match_are_named(write: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.json", "c.txt", "deep/er/d.json", "_SUCCESS", ".hidden"):
        write(name, '{"a":1}\n')
    assert reader_of(tmp_path / "*.jsonl").passed_over() == ["a.json", "c.txt"]
    assert reader_of(tmp_path / "**" / "*.jsonl").passed_over() == ["a.json", "c.txt", "deep/er/d.json"]
    assert reader_of(tmp_path / "deep" / "*" / "*.jsonl").passed_over() == ["er/d.json"]
    assert reader_of(tmp_path).passed_over() == []


def test_names_with_glob_characters_are_found(write: Callable[..., Path]) -> None:
    assert names_of(write("day [1].jsonl", "{}\n")) == ["day [1].jsonl"]


def test_nothing_there_yet_is_no_error_but_a_wrong_path_is(tmp_path: Path) -> None:
    assert names_of(tmp_path) == []
    assert names_of(tmp_path / "*.jsonl") == []
    for wrong in (tmp_path / "gone", tmp_path / "gone" / "*.jsonl"):
        with pytest.raises(ProjectError, match="leads nowhere") as caught:
            names_of(wrong)
        assert caught.value.hint
    with pytest.raises(ProjectError, match="cannot be read"):
        names_of("ftp://host/file")


DENIED = """
import sys
from tests.sources.conftest import Reading, reader_of
from tidelake.errors import SourceError
try:
    Reading(reader_of(sys.argv[1]))
except SourceError as error:
    print(error)
"""


def test_no_right_to_read_is_said(
    write: Callable[..., Path], ordinary_user: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    path = write("a.jsonl", "{}\n")
    path.chmod(0)
    done = ordinary_user([sys.executable, "-c", DENIED, path], env={"PYTHONPATH": os.pathsep.join(sys.path)})
    assert "a.jsonl cannot be read: Permission denied" in done.stdout, done.stderr


def test_a_look_tells_every_kind_of_change(write: Callable[..., Path]) -> None:
    path = write("a.jsonl", b"x" * 20_000)
    reader = reader_of(path)
    first = look_at(reader)
    assert look_at(reader) == first
    os.utime(path, ns=(1, 10**18))
    touched = look_at(reader)
    stamps = {first.stamp, touched.stamp}
    for offset in (0, 4095, 19_999):
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(b"y")
        os.utime(path, ns=(1, 10**18))
        stamps.add(look_at(reader).stamp)
    replacement = path.with_name("b")
    replacement.write_bytes(path.read_bytes())
    os.utime(replacement, ns=(1, 10**18))
    replacement.rename(path)
    stamps.add(look_at(reader).stamp)
    assert len(stamps) == 6


def test_tail_of_a_file_that_grew(write: Callable[..., Path]) -> None:
    path = write("a.jsonl", '{"n":1}\n{"n":2}\n')
    reader = reader_of(path)
    before = Reading(reader)
    with path.open("a") as file:
        file.write('{"n":3}\n{"n":4}')
    look = look_at(reader)
    size = before.only.size
    assert reader.prefix_hash(look, size) == before.only.content_hash
    tail = Reading(reader, takes=[Take(look, start_byte=size, first_line=3)])
    assert [(row["source_position"], row["raw"]) for row in tail.rows] == [(3, '{"n":3}'), (4, '{"n":4}')]
    assert tail.only.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (tail.only.first_line, tail.only.lines, tail.only.ends_with_newline) == (3, 2, False)
    assert tail.bytes_read == look.size - size


def test_tail_of_a_csv_keeps_the_columns(write: Callable[..., Path]) -> None:
    path = write("a.csv", "id,name\n1,a\n")
    reader = reader_of(path)
    before = Reading(reader)
    with path.open("a") as file:
        file.write("2,b\n")
    look = look_at(reader)
    assert reader.prefix_hash(look, before.only.size) == before.only.content_hash
    tail = Reading(reader, takes=[Take(look, start_byte=before.only.size, first_line=3)])
    assert [(row["kind"], row["record"]) for row in tail.rows] == [("record", '{"id":"2","name":"b"}')]


def test_changed_start_gives_another_prefix_hash(write: Callable[..., Path]) -> None:
    path = write("a.jsonl", '{"n":1}\n')
    reader = reader_of(path)
    known = Reading(reader).only
    path.write_text('{"n":9}\n{"n":2}\n')
    assert reader.prefix_hash(look_at(reader), known.size) != known.content_hash
    path.write_text("{")
    assert reader.prefix_hash(look_at(reader), known.size) is None


def test_forms_that_cannot_grow_say_so(write: Callable[..., Path]) -> None:
    import gzip

    path = write("a.jsonl.gz", gzip.compress(b"{}\n"))
    reader = reader_of(path)
    known = Reading(reader).only
    assert reader.prefix_hash(look_at(reader), known.size) == known.content_hash
    path.write_bytes(path.read_bytes() + gzip.compress(b"{}\n"))
    assert reader.prefix_hash(look_at(reader), known.size) is None


def test_growth_while_reading_waits_for_the_next_run(write: Callable[..., Path]) -> None:
    path = write("a.jsonl", '{"n":1}\n')
    reader = reader_of(path)
    look = look_at(reader)
    with path.open("a") as file:
        file.write('{"n":2}\n')
    reading = Reading(reader, takes=[Take(look)])
    assert reading.column("raw") == ['{"n":1}']
    assert reading.only.look == look
    assert look_at(reader).stamp != look.stamp


def test_rewritten_while_reading_is_seen_by_the_next_run(write: Callable[..., Path]) -> None:
    path = write("a.jsonl", '{"n":1}\n{"n":2}\n')
    reader = reader_of(path)
    look = look_at(reader)
    path.write_text('{"m":1}\n')
    reading = Reading(reader, takes=[Take(look)])
    assert reading.column("raw") == ['{"m":1}']
    assert reading.only.content_hash == hashlib.sha256(b'{"m":1}\n').hexdigest()
    assert reading.only.size == 8
    assert reading.only.look.stamp != look_at(reader).stamp


def test_file_that_vanished_is_said(write: Callable[..., Path]) -> None:
    path = write("a.jsonl", "{}\n")
    reader = reader_of(path)
    look = look_at(reader)
    path.unlink()
    with pytest.raises(BusyError, match="vanished"):
        list(reader_of(path.parent, format="jsonl").groups([Take(look)], group_bytes=100))


def test_forms_can_be_mixed_in_a_folder(
    write: Callable[..., Path], tmp_path: Path, read: Callable[..., Reading]
) -> None:
    write("1.jsonl", '{"id":1}\n')
    write("2.csv", "id\n2\n")
    write("3.json", '[{"id":3}]')
    write("4.json", '{"id":4}\n')
    reading = read(tmp_path)
    assert [row["record"] or row["raw"] for row in reading.rows if row["kind"] == "record"] == [
        '{"id":1}',
        '{"id":"2"}',
        '{"id":3}',
        '{"id":4}',
    ]


def test_small_files_share_a_group_and_large_ones_are_not_split_without_need(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    for number in range(6):
        write(f"{number}.jsonl", '{"a":1}\n' * 100)
    reader = reader_of(tmp_path, format="jsonl")
    groups = list(reader.groups([Take(look) for look in reader.looks()], group_bytes=2000))
    assert [len(group.files) for group in groups] == [2, 2, 2]
    assert all(all(group.done) for group in groups)
    assert all(group.lines.schema == LINES for group in groups)


def test_six_hundred_files_are_looked_at_quickly(write: Callable[..., Path], tmp_path: Path) -> None:
    for number in range(600):
        write(f"{number:03}.jsonl", "{}\n" * 3000)
    reader = reader_of(tmp_path)
    reader.looks()
    started = time.process_time()
    assert len(reader.looks()) == 600
    # 15 ms when measured alone; a bound that only a change of kind would pass.
    assert time.process_time() - started < 0.5


def test_thousands_of_files_do_not_stay_open(write: Callable[..., Path], tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in range(300):
        write(f"{number:03}.jsonl", "{}\n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        assert len(Reading(reader_of(tmp_path)).rows) == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_next_item_is_made_while_the_last_is_worked_on_and_no_more() -> None:
    made: list[int] = []
    both = threading.Event()

    def items() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            if number == 1:
                both.set()
            yield number

    stream = prefetch(items())
    assert next(stream) == 0
    assert both.wait(5)
    time.sleep(0.05)
    assert made == [0, 1]
    assert list(stream) == [1, 2, 3, 4]


def test_error_of_the_maker_reaches_the_caller_at_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise SourceError("broken")

    stream = prefetch(items())
    assert next(stream) == 1
    with pytest.raises(SourceError, match="broken"):
        next(stream)


def test_caller_that_stops_early_stops_the_maker() -> None:
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    stream = prefetch(items())
    next(stream)
    stream.close()
    assert closed == [True]
    assert not any(thread.name == "tidelake-reader" for thread in threading.enumerate())


@pytest.mark.server
def test_objects_of_an_s3_bucket(s3_environment: S3Server) -> None:
    from tidelake.lake.location import s3_filesystem

    files = s3_filesystem()
    base = f"{s3_environment.bucket}/raw"
    content = {f"2025/day_{day}.jsonl": f'{{"day":{day}}}\n' * 3 for day in range(5)}
    content |= {"2025/_SUCCESS": "", "other.csv": "id\n1\n"}
    for name, text in content.items():
        with files.open_output_stream(f"{base}/{name}") as stream:
            stream.write(text.encode())
    assert names_of(f"s3://{base}/2025/day_*.jsonl") == [f"day_{day}.jsonl" for day in range(5)]
    assert names_of(f"s3://{base}") == [f"2025/day_{day}.jsonl" for day in range(5)] + ["other.csv"]
    assert names_of(f"s3://{base}/**/day_[12].jsonl") == ["2025/day_1.jsonl", "2025/day_2.jsonl"]
    assert names_of(f"s3://{base}/other.csv") == ["other.csv"]
    reading = Reading(reader_of(f"s3://{base}/2025"))
    assert [row["raw"] for row in reading.rows] == [f'{{"day":{day}}}' for day in range(5) for _ in range(3)]
    name = "2025/day_1.jsonl"
    assert reading.files["day_1.jsonl"].content_hash == hashlib.sha256(content[name].encode()).hexdigest()

    reader = reader_of(f"s3://{base}/{name}")
    before = look_at(reader)
    with files.open_output_stream(f"{base}/{name}") as stream:
        stream.write(content[name].replace("1", "7").encode())
    assert look_at(reader).stamp != before.stamp
    with pytest.raises(BusyError):
        Reading(reader, takes=[Take(before)])
    with pytest.raises(ProjectError, match="leads nowhere"):
        names_of(f"s3://{base}/nothing.jsonl")
    assert names_of(f"s3://{base}/2025/*.parquet") == []
    assert reader_of(f"s3://{base}/2025/*.parquet").passed_over() == [f"day_{day}.jsonl" for day in range(5)]


@pytest.mark.server
def test_parquet_on_s3(s3_environment: S3Server) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    from tidelake.lake.location import s3_filesystem

    path = f"{s3_environment.bucket}/table/a.parquet"
    parquet.write_table(pa.table({"id": [1, 2]}), path, filesystem=s3_filesystem())
    assert Reading(reader_of(f"s3://{path}")).column("raw") == ['{"id":1}', '{"id":2}']


@pytest.mark.server
def test_wrong_key_is_said(s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SourceError, match="cannot be read"):
        names_of(f"s3://{s3_environment.bucket}/raw")
