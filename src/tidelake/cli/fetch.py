"""Data for a demo from a web address: one file, or an archive that is unpacked."""

from __future__ import annotations

import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from tidelake.engine.progress import Progress
from tidelake.errors import ProjectError

TIMEOUT_S = 60
_PIECE = 1 << 20
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def fetch(url: str, folder: Path, progress: Progress) -> Path:
    """Download a file into a folder, and unpack it where it is an archive.

    A download that breaks off leaves no half file.

    Returns:
        The folder that holds the files: where an archive holds one folder only, that one.

    Raises:
        ProjectError: The address has no file's name, cannot be reached, or is no sound archive.
    """
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    if not name:
        raise ProjectError(f"{url} names no file.", hint="Give the address of a file or of a .zip or .tar.gz archive.")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    if not target.exists():
        _download(url, target, progress)
    if not name.endswith(_ARCHIVES):
        return folder
    inner = folder / "unpacked"
    if not inner.exists():
        _unpack(target, inner)
    return _only_folder(inner)


def _download(url: str, target: Path, progress: Progress) -> None:
    draft = target.with_name(target.name + ".part")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, draft.open("wb") as stream:
            _copy(answer, stream, int(answer.headers.get("Content-Length") or 0) or None, progress)
        draft.replace(target)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise ProjectError(f"{url} cannot be fetched: {error}.", hint="Check the address and the network.") from error
    finally:
        draft.unlink(missing_ok=True)


def _copy(answer: BinaryIO, stream: BinaryIO, size: int | None, progress: Progress) -> None:
    done = 0
    while piece := answer.read(_PIECE):
        stream.write(piece)
        done += len(piece)
        progress("downloading", done, size, "bytes")
    if size is not None and done < size:
        raise ConnectionError(f"it broke off after {done:,} of {size:,} bytes")


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack beside, then rename: a crash leaves no half folder. Members may not leave the folder."""
    draft = folder.with_name(folder.name + ".part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as bundle:
                bundle.extractall(draft)
        else:
            with tarfile.open(archive) as bundle:
                _unpack_tar(bundle, draft)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise ProjectError(
            f"{archive.name} cannot be unpacked: {error}.", hint="Unpack it by hand; give the folder."
        ) from error
    draft.rename(folder)


def _unpack_tar(bundle: tarfile.TarFile, folder: Path) -> None:
    """Files and folders of a tar archive; `extractall(filter="data")` is not there before Python 3.11.4.

    Raises:
        TarError: A member lies outside of the folder, or is a link or a device.
    """
    root = folder.resolve()
    for member in bundle:
        target = (root / member.name).resolve()
        if not target.is_relative_to(root):
            raise tarfile.TarError(f"{member.name} lies outside of it")
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        content = bundle.extractfile(member) if member.isfile() else None
        if content is None:
            raise tarfile.TarError(f"{member.name} is neither a file nor a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            shutil.copyfileobj(content, file)


def _only_folder(folder: Path) -> Path:
    """The innermost folder while there is nothing else beside it."""
    inside = list(folder.iterdir())
    return _only_folder(inside[0]) if len(inside) == 1 and inside[0].is_dir() else folder
