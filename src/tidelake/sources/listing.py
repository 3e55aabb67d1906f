"""Which files a source has now, and how to open one: a local file, folder or glob, or an `s3://` address."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from tidelake.errors import BusyError, ProjectError, SourceError
from tidelake.sources.base import Known, Look

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

EDGE_BYTES = 4096
"""How much of a file's head and of its tail goes into the cheap look."""

_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".crc")
_MAGIC = re.compile(r"[*?\[]")
_S3_LOOKERS = 32


class Handle(Protocol):
    """An open file, read from its start."""

    def readinto(self, view: memoryview) -> int:
        """Read bytes into `view`; 0 at the end."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class Listing(Protocol):
    """The files of one source."""

    def looks(self) -> list[Look]:
        """The files that are there now, by path."""
        ...

    def passed_over(self) -> list[str]:
        """Names of files that lie where a glob looks and that it does not match; none without a glob."""
        ...

    def open(self, look: Look) -> Handle:
        """Open one of them."""
        ...

    def random_access(self, look: Look) -> Any:
        """A seekable file object for formats whose directory is at the end."""
        ...

    def unchanged(self, look: Look) -> bool:
        """Whether the file still is the one that was looked at."""
        ...

    def settled(self, look: Look) -> None:
        """Raise BusyError where parts of two versions may have been read (a local file's stamp tells instead)."""
        ...

    def stamp_of(self, look: Look, size: int, head: bytes, tail: bytes) -> str:
        """The stamp of a file at the size to which it was read."""
        ...

    def likely_begins(self, look: Look, known: Sequence[Known]) -> list[Known]:
        """Contents that a file may begin with, after a cheap look; all that it does begin with are among them."""
        ...


def find_listing(path: str, *, root: Path, storage: Mapping[str, str] | None = None) -> Listing:
    """The listing behind a source's `path` (relative paths start at the project's folder)."""
    if path.startswith("s3://"):
        return S3Listing(path.removeprefix("s3://"), dict(storage or {}))
    if "://" in path and not path.startswith("file://"):
        raise ProjectError(
            f"The source's path '{path}' is of a kind that cannot be read.",
            hint="Use a file, a folder, a glob, or an s3:// address.",
        )
    bare = os.path.expanduser(path.removeprefix("file://"))
    return LocalListing(os.path.normpath(os.path.join(root, bare)), shown=path)


def is_data_file(source_path: str) -> bool:
    """Whether a file met in a folder or by a glob holds data.

    Names (of it or of a folder below the root) that start with `.` or `_` are notes of other programs
    (`_SUCCESS`, `.crc`); `.tmp`, `.part`, `.partial`, `.crdownload` are files still being written.
    """
    return not source_path.endswith(_UNFINISHED) and not any(part[:1] in "._" for part in source_path.split("/"))


def edge_hash(head: bytes, tail: bytes) -> str:
    """A short hash of a file's first and last 4 kB."""
    return blake2b(head + b"|" + tail, digest_size=8).hexdigest()


@dataclass(frozen=True)
class LocalListing:
    """A file, a folder (with all below it) or a glob on this machine."""

    address: str
    shown: str

    def looks(self) -> list[Look]:
        """The files that are there now, by path.

        An empty folder, or a glob that matches nothing in a folder that exists, gives an empty list.

        Raises:
            ProjectError: The file, or the folder in which to look, is not there.
            SourceError: No right to read.
        """
        found: list[Look] = []
        for path, source_path in sorted(set(self._paths())):
            look = _look(path, source_path)
            if look is not None:
                found.append(look)
        return found

    def passed_over(self) -> list[str]:
        """Names of files that lie where a glob looks and that it does not match; none without a glob."""
        base = self._base
        if base is None:
            return []
        known = {path for path, _ in self._paths()}
        if os.sep in os.path.relpath(self.address, base) or "**" in self.address:
            return sorted(name for path, name in _walk(base, "") if path not in known)
        return sorted(name for path, name in _walk(base, "", deep=False) if path not in known)

    @property
    def _base(self) -> str | None:
        """The folder in which a glob begins to look; None where the path names a file or folder."""
        magic = _MAGIC.search(self.address)
        if magic is None or os.path.exists(self.address):
            return None
        return os.path.dirname(self.address[: magic.start()])

    def _paths(self) -> Iterator[tuple[str, str]]:
        base = self._base
        if base is not None:
            self._must_exist(base)
            names = glob.glob(os.path.relpath(self.address, base), root_dir=base, recursive=True)
            for name in map(os.path.normpath, names):
                shown, path = name.replace(os.sep, "/"), os.path.join(base, name)
                if is_data_file(shown):
                    yield from _walk(path, f"{shown}/") if os.path.isdir(path) else [(path, shown)]
            return
        self._must_exist(self.address)
        if os.path.isdir(self.address):
            yield from _walk(self.address, "")
        else:
            yield self.address, os.path.basename(self.address)

    def _must_exist(self, path: str) -> None:
        try:
            os.stat(path)
        except FileNotFoundError:
            raise ProjectError(
                f"The source's path '{self.shown}' leads nowhere: {path} does not exist.",
                hint="Correct `path:` in the source's file, or bring the files there.",
            ) from None
        except OSError as error:
            raise _denied(path, error) from error

    def open(self, look: Look) -> Handle:
        """Open one of the files.

        Raises:
            BusyError: It vanished since the look.
            SourceError: No right to read it.
        """
        try:
            return open(look.path, "rb", buffering=0)
        except FileNotFoundError as error:
            raise _vanished(look, error) from error
        except OSError as error:
            raise _denied(look.path, error) from error

    def random_access(self, look: Look) -> Any:
        """The open file itself, which can seek."""
        return self.open(look)

    def unchanged(self, look: Look) -> bool:
        """Whether a new look gives the same stamp."""
        now = _look(look.path, look.source_path)
        return now is not None and now.stamp == look.stamp

    def settled(self, look: Look) -> None:
        """Nothing: what was read is what was hashed, and its stamp is made of that."""

    def stamp_of(self, look: Look, size: int, head: bytes, tail: bytes) -> str:
        """The stamp with the look's time and inode."""
        time_and_inode = look.stamp.split(":")[1:3]
        return ":".join((str(size), *time_and_inode, edge_hash(head, tail)))

    def likely_begins(self, look: Look, known: Sequence[Known]) -> list[Known]:
        """Those in whose stamps are the edges that the file has up to their size."""
        try:
            descriptor = os.open(look.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except FileNotFoundError as error:
            raise _vanished(look, error) from error
        except OSError as error:
            raise _denied(look.path, error) from error
        try:
            return [
                item
                for item in known
                if item.size <= look.size and item.stamp.endswith(f":{edge_hash(*_edges(descriptor, item.size))}")
            ]
        finally:
            os.close(descriptor)


def _walk(folder: str, below: str, *, deep: bool = True) -> Iterator[tuple[str, str]]:
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise _denied(folder, error) from error
    for entry in entries:
        name = f"{below}{entry.name}"
        if not is_data_file(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, f"{name}/") if deep else ()
        elif entry.is_file():
            yield entry.path, name


def _look(path: str, source_path: str) -> Look | None:
    """The look at one file; None where it is not a plain file or vanished this moment."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _denied(path, error) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        size = status.st_size
        head, tail = _edges(descriptor, size)
    finally:
        os.close(descriptor)
    modified_us = status.st_mtime_ns // 1000
    stamp = f"{size}:{modified_us}:{status.st_ino}:{edge_hash(head, tail)}"
    return Look(path=path, source_path=source_path, size=size, modified_us=modified_us, stamp=stamp)


def _edges(descriptor: int, size: int) -> tuple[bytes, bytes]:
    """The first and the last 4 kB of the first `size` bytes of a file."""
    head = os.pread(descriptor, min(size, EDGE_BYTES), 0)
    return head, os.pread(descriptor, min(size, EDGE_BYTES), max(0, size - EDGE_BYTES))


def _denied(path: str, error: OSError) -> SourceError:
    return SourceError(
        f"{path} cannot be read: {error.strerror or error}.",
        hint="Give this user the right to read it, or leave it out of the source's `path:`.",
    )


def _vanished(look: Look, error: Exception) -> BusyError:
    return BusyError(
        f"{look.path} vanished while the build was at work ({error}).",
        hint="Run the command again; rows taken from it before stay.",
    )


class S3Listing:
    """Objects under `bucket/prefix`, or that match a glob there."""

    def __init__(self, address: str, storage: Mapping[str, str]) -> None:
        self.address = address.rstrip("/")
        self.storage = storage
        self._opened: FileSystem | None = None

    @property
    def _files(self) -> FileSystem:
        if self._opened is None:
            from tidelake.lake.location import s3_filesystem

            self._opened = s3_filesystem(self.storage)
        return self._opened

    def looks(self) -> list[Look]:
        """The objects that are there now; their ETag takes the place of inode and edges."""
        base, infos, _ = self._found()
        names = [(info, name) for info in infos if is_data_file(name := _name_below(base, info.path))]
        if not names:
            return []
        with ThreadPoolExecutor(min(_S3_LOOKERS, len(names))) as pool:
            return sorted(pool.map(lambda pair: self._look(*pair), names), key=lambda look: look.path)

    def passed_over(self) -> list[str]:
        """Names of objects below a glob's prefix that it does not match; none without a glob."""
        base, _, others = self._found()
        return sorted(name for info in others if is_data_file(name := _name_below(base, info.path)))

    def _found(self) -> tuple[str, list[Any], list[Any]]:
        """The prefix below which to look, the objects that are meant, and those there that a glob does not match."""
        from pyarrow import fs

        magic = _MAGIC.search(self.address)
        base = self.address[: magic.start()].rpartition("/")[0] if magic else self.address
        try:
            if not magic:
                info = self._files.get_file_info(self.address)
                if info.type == fs.FileType.File:
                    return os.path.dirname(self.address), [info], []
                if info.type == fs.FileType.NotFound:
                    raise ProjectError(
                        f"The source's path 's3://{self.address}' leads nowhere.",
                        hint="Correct `path:` in the source's file, or bring the files there.",
                    )
            selector = fs.FileSelector(base, recursive=True, allow_not_found=False)
            infos = [info for info in self._files.get_file_info(selector) if info.type == fs.FileType.File]
        except FileNotFoundError as error:
            raise ProjectError(
                f"The source's path 's3://{self.address}' leads nowhere: {error}",
                hint="Correct `path:` in the source's file, or bring the files there.",
            ) from error
        except OSError as error:
            raise self._failed(error) from error
        if magic:
            wanted = glob_pattern(self.address)
            others = [info for info in infos if not wanted.fullmatch(info.path)]
            return base, [info for info in infos if wanted.fullmatch(info.path)], others
        return base, infos, []

    def _look(self, info: Any, source_path: str) -> Look:
        modified_us = (info.mtime_ns or 0) // 1000
        path = f"s3://{info.path}"
        stamp = f"{info.size}:{modified_us}:{self._tag(info.path)}"
        return Look(path=path, source_path=source_path, size=info.size, modified_us=modified_us, stamp=stamp)

    def _tag(self, path: str) -> str:
        try:
            with self._files.open_input_file(path) as stream:
                return _tag_of(stream)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise self._failed(error) from error

    def open(self, look: Look) -> Handle:
        """Open an object; BusyError when it is another one than was looked at."""
        path = look.path.removeprefix("s3://")
        try:
            stream = self._files.open_input_stream(path)
        except FileNotFoundError as error:
            raise _vanished(look, error) from error
        except OSError as error:
            raise self._failed(error) from error
        if _tag_of(stream) != look.stamp.split(":")[2]:
            stream.close()
            raise _replaced(look)
        return cast("Handle", stream)

    def random_access(self, look: Look) -> Any:
        """A seekable object."""
        try:
            return self._files.open_input_file(look.path.removeprefix("s3://"))
        except FileNotFoundError as error:
            raise _vanished(look, error) from error
        except OSError as error:
            raise self._failed(error) from error

    def settled(self, look: Look) -> None:
        """Raise when the object was replaced: its parts are fetched one by one."""
        if not self.unchanged(look):
            raise _replaced(look)

    def stamp_of(self, look: Look, size: int, head: bytes, tail: bytes) -> str:
        """The stamp with the look's time and ETag."""
        return ":".join((str(size), *look.stamp.split(":")[1:]))

    def likely_begins(self, look: Look, known: Sequence[Known]) -> list[Known]:
        """All that are not longer: an object's stamp says nothing of its beginning."""
        return [item for item in known if item.size <= look.size]

    def unchanged(self, look: Look) -> bool:
        """Whether the object still is the one that was looked at."""
        return self._tag(look.path.removeprefix("s3://")) == look.stamp.split(":")[2]

    def _failed(self, error: OSError) -> SourceError:
        return SourceError(
            f"s3://{self.address} cannot be read: {error}",
            hint="Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL and AWS_REGION.",
        )


def _name_below(base: str, path: str) -> str:
    return path[len(base) :].lstrip("/") or path.rsplit("/", 1)[-1]


def _tag_of(stream: Any) -> str:
    """An open object's ETag, as stamps have it."""
    tag = bytes((stream.metadata() or {}).get("ETag", b"")).decode()
    return tag.strip('"').replace(":", "_")


def _replaced(look: Look) -> BusyError:
    return BusyError(f"{look.path} was replaced while it was read.", hint="Run the command again in a moment.")


def glob_pattern(text: str) -> re.Pattern[str]:
    """A glob as a regular expression over whole paths: `*` and `?` stay within a folder, `**/` does not."""
    parts: Sequence[str] = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", text)
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile(
        "".join(
            words[part] if part in words else part.replace("[!", "[^") if part.startswith("[") else re.escape(part)
            for part in parts
        )
    )
