"""Compressed files: decoded whole, in parts, cut off, damaged, and never more than memory bears."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.conftest import Reading, reader_of
from tidelake.errors import SourceError

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
LINES = [f'{{"n":{number},"text":"{hashlib.sha256(str(number).encode()).hexdigest()}"}}' for number in range(20_000)]
TEXT = ("\n".join(LINES) + "\n").encode()


@pytest.mark.parametrize("suffix", PACK)
def test_packed_lines_are_the_lines(suffix: str, write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    packed = PACK[suffix](TEXT)
    reading = read(write(f"a.jsonl.{suffix}", packed), group_bytes=300_000)
    assert reading.column("raw") == LINES
    assert reading.groups > 3
    assert reading.only.content_hash == hashlib.sha256(packed).hexdigest()
    assert (reading.only.size, reading.bytes_read, reading.only.truncated) == (len(packed), len(packed), False)


@pytest.mark.parametrize("suffix", PACK)
def test_packing_is_seen_in_the_bytes_not_in_the_name(
    suffix: str, write: Callable[..., Path], read: Callable[..., Reading]
) -> None:
    assert read(write("a.jsonl", PACK[suffix](TEXT))).column("raw") == LINES


@pytest.mark.parametrize("suffix", PACK)
@settings(max_examples=25)
@given(parts=st.lists(st.binary(max_size=2000), min_size=1, max_size=5), padding=st.sampled_from([0, 512]))
def test_several_streams_in_a_row_are_one_text(suffix: str, parts: list[bytes], padding: int) -> None:
    parts = [part.replace(b"\0", b"0") for part in parts]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.jsonl")
        path.write_bytes(b"".join(map(PACK[suffix], parts)) + bytes(padding))
        packed = Reading(reader_of(path, format="jsonl"))
        path.write_bytes(b"x" + b"".join(parts))
        plain = Reading(reader_of(path, format="jsonl"))
    first = b"".join(parts)[:3]
    if first != b"\xef\xbb\xbf":
        joined = "".join(f"{raw}\n" for raw in packed.column("raw"))
        assert "x" + joined == "".join(f"{raw}\n" for raw in plain.column("raw")) or not joined
    assert packed.only.truncated is False


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("share", [0.3, 0.7, 0.999])
def test_cut_off_file_gives_its_complete_lines(
    suffix: str, share: float, write: Callable[..., Path], read: Callable[..., Reading]
) -> None:
    packed = PACK[suffix](TEXT)
    cut = packed[: int(len(packed) * share)]
    reading = read(write(f"a.jsonl.{suffix}", cut))
    count = len(reading.rows)
    assert reading.only.truncated
    assert reading.column("raw") == LINES[:count]
    assert reading.only.content_hash == hashlib.sha256(cut).hexdigest()
    if suffix == "gz":
        whole = zlib.decompressobj(wbits=31).decompress(cut)
        assert count == whole.count(b"\n")
    elif suffix == "zst":
        whole = zstandard.ZstdDecompressor().decompressobj().decompress(cut)
        assert count == whole.count(b"\n")


def test_damage_in_the_middle_keeps_what_came_before_and_is_said(
    write: Callable[..., Path], read: Callable[..., Reading]
) -> None:
    packed = bytearray(gzip.compress(TEXT))
    middle = len(packed) // 2
    packed[middle : middle + 40] = b"\xff" * 40
    reading = read(write("a.jsonl.gz", bytes(packed)))
    assert reading.only.truncated
    assert any("damaged" in note for note in reading.only.notes)
    # Lines before the damage are whole; deflate may decode a little noise before it fails.
    assert reading.column("raw")[:9000] == LINES[:9000]
    again = read(write("b.jsonl.gz", bytes(packed)))
    assert again.column("raw") == reading.column("raw")


def test_wrong_checksum_is_said(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    packed = bytearray(gzip.compress(TEXT))
    packed[-8] ^= 1
    reading = read(write("a.jsonl.gz", bytes(packed)))
    assert reading.column("raw") == LINES
    assert reading.only.truncated
    assert "incorrect data check" in reading.only.notes[0]


def test_bytes_after_the_end_are_said(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    reading = read(write("a.jsonl.gz", gzip.compress(TEXT) + b"trailing"))
    assert reading.column("raw") == LINES
    assert reading.only.notes == ("bytes after the end of the compressed text were ignored",)


def test_packed_csv_and_json_arrays_are_read_too(
    write: Callable[..., Path], read: Callable[..., Reading], tmp_path: Path
) -> None:
    assert read(write("a.csv.gz", gzip.compress(b"id,name\n1,x\n"))).column("record") == [None, '{"id":"1","name":"x"}']
    assert read(write("b.json.bz2", bz2.compress(b'[{"a":1},\n{"a":2}]'))).column("raw") == ['{"a":1}', '{"a":2}']


@pytest.mark.parametrize(("magic", "name"), [(b"\xfd7zXZ\x00", "xz"), (b"PK\x03\x04....", "zip")])
def test_other_packings_are_refused_by_name(
    magic: bytes, name: str, write: Callable[..., Path], read: Callable[..., Reading]
) -> None:
    with pytest.raises(SourceError, match=name):
        read(write("a.jsonl", magic))


# VmHWM, since ru_maxrss of a child begins with its parent's.
BOMB = r"""
import re, sys
from pathlib import Path
from tests.sources.conftest import Reading, reader_of
reading = Reading(reader_of(sys.argv[1], format="jsonl", max_line_bytes=1 << 20), group_bytes=4 << 20)
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024
print(len(reading.rows), reading.rows[0]["problem"], peak)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux' /proc")
@pytest.mark.parametrize("suffix", PACK)
def test_decompression_bomb_stays_in_bounds(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    block = bytes(1 << 20)
    if suffix == "gz":
        with gzip.open(path, "wb", 1) as file:
            for _ in range(300):
                file.write(block)
    elif suffix == "bz2":
        path.write_bytes(bz2.compress(bytes(200 << 20)))
    else:
        with path.open("wb") as raw, zstandard.ZstdCompressor().stream_writer(raw) as packed:
            for _ in range(300):
                packed.write(block)
    assert path.stat().st_size < 4 << 20
    done = subprocess.run([sys.executable, "-c", BOMB, path], capture_output=True, text=True, check=True)
    count, problem, megabytes = done.stdout.split()
    assert (count, problem) == ("1", "line_too_long")
    assert int(megabytes) < 270
