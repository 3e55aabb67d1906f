"""Data from a web address, against a real server on this machine."""

from __future__ import annotations

import functools
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidelake.cli.fetch import fetch
from tidelake.engine.progress import silent
from tidelake.errors import ProjectError


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(address, folder) of a server that lives for one test."""
    folder = tmp_path / "site"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def test_a_file_is_taken_as_it_is(site: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = site
    (folder / "day_1.json").write_bytes(b"{}\n")
    assert fetch(f"{address}/day_1.json", tmp_path / "in", silent) == tmp_path / "in"
    assert (tmp_path / "in" / "day_1.json").read_bytes() == b"{}\n"


def test_archives_are_unpacked_down_to_their_files(site: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = site
    with zipfile.ZipFile(folder / "logs.zip", "w") as bundle:
        bundle.writestr("engagement_logs/day_1.json", "{}\n")
    with tarfile.open(folder / "logs.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("day_1.json")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"{}\n"))
    for name in ("logs.zip", "logs.tar.gz"):
        found = fetch(f"{address}/{name}", tmp_path / name, silent)
        assert [path.name for path in found.iterdir()] == ["day_1.json"]


def test_an_archive_cannot_write_outside_of_its_folder(site: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = site
    with tarfile.open(folder / "evil.tar", "w") as tar:
        member = tarfile.TarInfo("../../evil")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"{}\n"))
    with pytest.raises(ProjectError, match="cannot be unpacked"):
        fetch(f"{address}/evil.tar", tmp_path / "in", silent)
    assert not (tmp_path / "evil").exists()


def test_what_is_not_there_says_so(site: tuple[str, Path], tmp_path: Path) -> None:
    address, _ = site
    with pytest.raises(ProjectError, match="404"):
        fetch(f"{address}/nothing.zip", tmp_path / "in", silent)
    assert list((tmp_path / "in").iterdir()) == []
