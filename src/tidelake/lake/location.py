"""Where a lake lies: a local folder or an `s3://` address, behind the few file operations it needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidelake.errors import LakeError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_S3_SETTINGS = {
    "access_key": ("AWS_ACCESS_KEY_ID", "aws_access_key_id"),
    "secret_key": ("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key"),
    "session_token": ("AWS_SESSION_TOKEN", "aws_session_token"),
    "region": ("AWS_REGION", "aws_region"),
    "endpoint_override": ("AWS_ENDPOINT_URL", "aws_endpoint"),
}


def s3_filesystem(options: Mapping[str, str] | None = None) -> FileSystem:
    """An S3 file system from the usual AWS environment variables, or from options of the same names."""
    from pyarrow import fs

    given = {**os.environ, **(options or {})}
    settings: dict[str, Any] = {
        name: given[variable] for name, (variable, _) in _S3_SETTINGS.items() if given.get(variable)
    }
    endpoint = settings.get("endpoint_override", "")
    if "://" in endpoint:
        settings["scheme"], settings["endpoint_override"] = endpoint.split("://", 1)
    return fs.S3FileSystem(**settings)


@dataclass(frozen=True)
class Location:
    """The lake's address and how to read and write plain files there.

    Attributes:
        address: Absolute folder or `s3://bucket/prefix`, without a slash at its end.
        storage: Settings for S3 beyond the environment (AWS_ENDPOINT_URL and the like).
    """

    address: str
    storage: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        return "://" not in self.address

    @property
    def delta_options(self) -> dict[str, str] | None:
        """Storage options in delta-rs' words; None for a local folder."""
        if self.is_local:
            return None
        given = {**os.environ, **self.storage}
        options = {option: given[name] for name, option in _S3_SETTINGS.values() if given.get(name)}
        if options.get("aws_endpoint", "").startswith("http://"):
            options["aws_allow_http"] = "true"
        options.setdefault("aws_region", "us-east-1")
        options["aws_conditional_put"] = "etag"
        return options

    def uri(self, *parts: str) -> str:
        """The address of a table or file below the lake."""
        return "/".join((self.address, *parts))

    def filesystem(self) -> FileSystem:
        from pyarrow import fs

        return fs.LocalFileSystem() if self.is_local else s3_filesystem(self.storage)

    def bare(self, uri: str) -> str:
        """A file's address as its file system takes it (without `s3://`)."""
        return uri if self.is_local else uri.removeprefix("s3://")

    def exists(self, *parts: str) -> bool:
        if self.is_local:
            return os.path.exists(self.uri(*parts))
        from pyarrow.fs import FileType

        info = self.filesystem().get_file_info([self.bare(self.uri(*parts))])[0]
        return bool(info.type != FileType.NotFound)

    def read_text(self, *parts: str) -> str | None:
        """A small file's text, or None where there is no such file."""
        if self.is_local:
            path = Path(self.uri(*parts))
            return path.read_text(encoding="utf-8") if path.is_file() else None
        try:
            with self.filesystem().open_input_file(self.bare(self.uri(*parts))) as stream:
                return bytes(stream.read()).decode("utf-8")
        except FileNotFoundError:
            return None

    def write_text(self, text: str, *parts: str) -> None:
        """Write a small file as a whole: a reader sees the old text or the new one, never half of it."""
        uri = self.uri(*parts)
        if self.is_local:
            os.makedirs(os.path.dirname(uri), exist_ok=True)
            draft = f"{uri}.{os.getpid()}.draft"
            Path(draft).write_text(text, encoding="utf-8")
            os.replace(draft, uri)
            return
        with self.filesystem().open_output_stream(self.bare(uri)) as stream:
            stream.write(text.encode())

    def names(self, folder: str) -> list[str]:
        """The files in a folder of the lake; none where there is no folder."""
        from pyarrow.fs import FileSelector

        selector = FileSelector(self.bare(self.uri(folder)), allow_not_found=True)
        return [info.base_name for info in self.filesystem().get_file_info(selector)]

    def remove_file(self, *parts: str) -> None:
        self.filesystem().delete_file(self.bare(self.uri(*parts)))

    def make_folder(self, uri: str) -> None:
        if self.is_local:
            os.makedirs(uri, exist_ok=True)

    def remove_folder(self, uri: str) -> None:
        """Delete a folder with all that is in it; nothing happens where there is none."""
        if self.is_local:
            shutil.rmtree(uri, ignore_errors=not os.path.isdir(uri))
            return
        from pyarrow.fs import FileType

        system = self.filesystem()
        if system.get_file_info([self.bare(uri)])[0].type == FileType.Directory:
            system.delete_dir(self.bare(uri))

    def move_in(self, local: str, uri: str) -> None:
        """Bring a finished local file to its place in the lake."""
        if self.is_local:
            shutil.move(local, uri)
            return
        with open(local, "rb") as source, self.filesystem().open_output_stream(self.bare(uri)) as target:
            shutil.copyfileobj(source, target, 8 * 1024 * 1024)
        os.unlink(local)

    def check_writable(self) -> None:
        """Raise LakeError when a file cannot be written in the lake."""
        try:
            if self.is_local:
                os.makedirs(self.address, exist_ok=True)
                if not os.access(self.address, os.W_OK | os.X_OK):
                    raise PermissionError(13, "Permission denied", self.address)
        except OSError as error:
            raise LakeError(
                f"The lake {self.address} cannot be written: {error.strerror or error}.",
                hint="Give this user the right to write there, or choose another lake in tide.yml (`lake:`).",
            ) from error
