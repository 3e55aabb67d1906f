"""The bytes of one file: hashed as they lie on disk, handed on decompressed, in bounded memory."""

from __future__ import annotations

import bz2
import hashlib
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tidelake.errors import SourceError
from tidelake.sources.base import Known, Look
from tidelake.sources.listing import EDGE_BYTES, Handle, Listing

_BLOCK = 1 << 18
_OUTPUT = 1 << 20
# A zstd decoder returns all that its input gives: a slice of 1 kB holds at most 256 blocks of 128 kB,
# so that even a decompression bomb gives 32 MB at a time.
_SLICE = 1 << 10
_PACKED = (".gz", ".bz2", ".zst", ".zstd")
_CUT_OFF = "cut off: the compressed file has no end"

GZIP, BZIP2, ZSTD = b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd"
_REFUSED = {
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf": "7z",
    b"\x04\x22\x4d\x18": "lz4",
}


def compression_of(head: bytes) -> str | None:
    """`gz`, `bz2`, `zst` or None, by a file's first bytes (a name can lie)."""
    if head.startswith(GZIP):
        return "gz"
    if head.startswith(BZIP2) and head[3:4].isdigit():
        return "bz2"
    if head.startswith(ZSTD) or (len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):
        return "zst"
    return None


def refused_compression(head: bytes) -> str | None:
    """The name of a packing that is known and not supported, by a file's first bytes."""
    return next((name for magic, name in _REFUSED.items() if head.startswith(magic)), None)


class _Disk:
    """The file's bytes in order, counted and hashed; remembers head and tail for the stamp."""

    def __init__(self, handle: Handle, limit: int, salt: bytes) -> None:
        self._handle = handle
        self._limit = limit
        self._hasher = hashlib.sha256(salt)
        self._back = b""
        self.size = 0
        self.head = b""
        self.tail = b""

    def readinto(self, view: memoryview) -> int:
        """Fill `view` as far as the file goes; 0 at the end (or where the file was cut short)."""
        if self._back:
            count = min(len(self._back), len(view))
            view[:count] = self._back[:count]
            self._back = self._back[count:]
            return count
        room = min(len(view), self._limit - self.size)
        count = self._handle.readinto(view[:room]) if room else 0
        part = view[:count]
        self._hasher.update(part)
        self.size += count
        if len(self.head) < EDGE_BYTES:
            self.head += bytes(part[: EDGE_BYTES - len(self.head)])
        if count:
            self.tail = (self.tail + bytes(part[-EDGE_BYTES:]))[-EDGE_BYTES:]
        return count

    def read(self, count: int) -> bytes:
        block = bytearray(count)
        return bytes(block[: self.readinto(memoryview(block))])

    def peek(self, count: int) -> bytes:
        """The next bytes, which the next read gives again."""
        taken = b""
        while len(taken) < count and (more := self.read(count - len(taken))):
            taken += more
        self._back = taken + self._back
        return taken

    def skip(self, count: int) -> None:
        """Read and hash `count` bytes that were taken before."""
        block = memoryview(bytearray(min(count, 1 << 20)))
        while count and (got := self.readinto(block[: min(count, len(block))])):
            count -= got

    def drain(self) -> None:
        """Read to the end, for the hash."""
        block = memoryview(bytearray(1 << 20))
        while self.readinto(block):
            pass

    @property
    def digest(self) -> str:
        return self._hasher.hexdigest()


@dataclass
class Outcome:
    """How decompression ended."""

    truncated: bool = False
    notes: list[str] = field(default_factory=list)

    def damaged(self, text: str) -> None:
        """The rest cannot be had."""
        self.truncated = True
        self.notes.append(text)


class FileBytes:
    """The text of one file.

    A compressed file is decompressed; one that is cut off or damaged gives what comes before the damage,
    and `outcome` says so. A file that grows while it is read is read to the size of its look.
    """

    def __init__(self, listing: Listing, look: Look, *, salt: bytes = b"", start: int = 0) -> None:
        self._listing = listing
        self._look = look
        self._handle = listing.open(look)
        self._disk = _Disk(self._handle, look.size, salt)
        self._left = b""
        self.outcome = Outcome()
        try:
            self._disk.skip(start)
            self.compression = None if start else self._compression(look)
        except BaseException:
            self.close()
            raise
        self._blocks = _decompress(self._disk, self.compression, self.outcome) if self.compression else None

    def _compression(self, look: Look) -> str | None:
        head = self._disk.peek(6)
        name = refused_compression(head)
        if name is not None:
            raise SourceError(
                f"{look.path} is packed with {name}, which cannot be read.",
                hint="Pack it with gz, zst or bz2, or not at all.",
            )
        return compression_of(head)

    def readinto(self, view: memoryview) -> int:
        """Fill `view` as far as it goes in one step; 0 at the end."""
        if self._blocks is None:
            return self._disk.readinto(view)
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = block
        count = min(len(self._left), len(view))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, fewer only at the end."""
        block = memoryview(bytearray(count))
        filled = 0
        while filled < count and (got := self.readinto(block[filled:])):
            filled += got
        return bytes(block[:filled])

    @property
    def disk_bytes(self) -> int:
        """Bytes read from disk so far, a part that was skipped included."""
        return self._disk.size

    def finish(self) -> tuple[Look, str, int]:
        """Read on to the end, close, and give (look of what was read, content hash, size)."""
        self._disk.drain()
        self.close()
        self._listing.settled(self._look)
        disk = self._disk
        stamp = self._listing.stamp_of(self._look, disk.size, disk.head, disk.tail)
        return replace(self._look, size=disk.size, stamp=stamp), disk.digest, disk.size

    def close(self) -> None:
        """Release the file."""
        self._handle.close()


def is_compressed(listing: Listing, look: Look) -> bool:
    """Whether a file is compressed, by its first bytes."""
    content = FileBytes(listing, look)
    content.close()
    return content.compression is not None


def hash_prefix(listing: Listing, look: Look, size: int, *, salt: bytes = b"") -> str | None:
    """The content hash of a file's first `size` bytes; None when it is shorter."""
    handle = listing.open(look)
    try:
        disk = _Disk(handle, size, salt)
        disk.drain()
    finally:
        handle.close()
    return disk.digest if disk.size == size else None


def begins_as(listing: Listing, look: Look, known: Sequence[Known], *, salt: bytes = b"") -> Known | None:
    """The longest of some contents with which a file, or the text of a packed one, begins; None where none does."""
    likely = listing.likely_begins(look, known)
    if likely:
        handle = listing.open(look)
        try:
            found = _longest(handle.readinto, likely, salt)
        finally:
            handle.close()
        if found is not None:
            return found
    content = FileBytes(listing, look)
    try:
        plain = [item for item in known if not item.source_path.endswith(_PACKED)] if content.compression else []
        return _longest(content.readinto, plain, salt)
    finally:
        content.close()


def _longest(readinto: Callable[[memoryview], int], known: Sequence[Known], salt: bytes) -> Known | None:
    """The longest of some contents with which a stream begins, in one pass over as much of it as that takes."""
    hasher, done, found = hashlib.sha256(salt), 0, None
    block = memoryview(bytearray(_OUTPUT))
    for item in sorted(known, key=lambda item: item.size):
        while done < item.size:
            count = readinto(block[: item.size - done])
            if not count:
                return found
            hasher.update(block[:count])
            done += count
        if hasher.hexdigest() == item.content_hash:
            found = item
    return found


def _decompress(disk: _Disk, compression: str, outcome: Outcome) -> Iterator[bytes]:
    """The text of a file of one or more compressed streams, in blocks of bounded size."""
    decode = _gzip_stream if compression == "gz" else _sliced_stream
    data = disk.read(_BLOCK)
    while True:
        data = yield from decode(disk, data, compression, outcome)
        data = _after_padding(disk, data)
        if outcome.truncated or not data:
            return
        if compression_of(data[:6]) != compression:
            outcome.notes.append("bytes after the end of the compressed text were ignored")
            return


def _after_padding(disk: _Disk, data: bytes) -> bytes:
    """What follows a stream, without zero bytes (tape padding), at least 6 bytes where there are so many."""
    data = data.lstrip(b"\0")
    while len(data) < 6 and (more := disk.read(_BLOCK)):
        data = (data + more).lstrip(b"\0")
    return data


def _gzip_stream(disk: _Disk, data: bytes, _: str, outcome: Outcome) -> Generator[bytes, None, bytes]:
    """The text of one gzip member; returns the bytes that follow it."""
    decoder = zlib.decompressobj(wbits=31)
    while not decoder.eof:
        data = data or disk.read(_BLOCK)
        if not data:
            yield decoder.flush()
            if not decoder.eof:
                outcome.damaged(_CUT_OFF)
            return b""
        before = decoder.copy()
        try:
            block = decoder.decompress(data, _OUTPUT)
        except zlib.error as error:
            yield from _rescue(before, data)
            outcome.damaged(f"damaged: {error}; what follows is missing")
            return b""
        data = decoder.unconsumed_tail
        yield block
    return decoder.unused_data


def _rescue(decoder: Any, data: bytes) -> Iterator[bytes]:
    """What a damaged stretch gives before its damage, found byte by byte so that it is always the same."""
    try:
        for index in range(len(data)):
            yield decoder.decompress(data[index : index + 1])
    except zlib.error:
        return


def _sliced_stream(disk: _Disk, data: bytes, compression: str, outcome: Outcome) -> Generator[bytes, None, bytes]:
    """The text of one bz2 or zstd stream; returns the bytes that follow it."""
    decoder, failures = _decoder(compression)
    while not decoder.eof:
        piece = b""
        if decoder.needs_input:
            data = data or disk.read(_BLOCK)
            piece, data = data[:_SLICE], data[_SLICE:]
            if not piece:
                outcome.damaged(_CUT_OFF)
                return b""
        try:
            yield decoder.decompress(piece, _OUTPUT)
        except failures as error:
            outcome.damaged(f"damaged: {error}; what follows is missing")
            return b""
    return bytes(decoder.unused_data) + data


class _ZstdDecoder:
    """A zstd decoder with the shape of the standard library's others."""

    needs_input = True

    def __init__(self) -> None:
        import zstandard

        self._decoder = zstandard.ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._decoder.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._decoder.unused_data)

    def decompress(self, piece: bytes, _: int) -> bytes:
        return self._decoder.decompress(piece)


def _decoder(compression: str) -> tuple[Any, tuple[type[Exception], ...]]:
    if compression == "bz2":
        return bz2.BZ2Decompressor(), (OSError, ValueError)
    import zstandard

    return _ZstdDecoder(), (zstandard.ZstdError,)
