"""The tests' own foundations: marked tests are never skipped in silence, servers are real, modes hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest

from tests.servers import S3Server

ROOT = Path(__file__).parent.parent
MARKED_TEST = "import pytest\n\n@pytest.mark.spark\ndef test_marked() -> None:\n    pass\n"


def run_marked(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one test marked `spark` under this folder's conftest, where no Delta jars are."""
    tests = folder / "tests"
    tests.mkdir()
    for name in ("conftest.py", "forked.py", "servers.py"):
        shutil.copy(ROOT / "tests" / name, tests)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (tests / "test_marked.py").write_text(MARKED_TEST)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TIDELAKE", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**inherited, "TIDELAKE_SPARK_JARS": str(folder / "none"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_marked_test_is_skipped_with_what_is_missing(tmp_path: Path) -> None:
    done = run_marked(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    assert any(word in done.stdout for word in ("no Java", "no pyspark", "no Delta jars")), done.stdout


def test_marked_test_that_is_skipped_fails_where_all_must_run(tmp_path: Path) -> None:
    done = run_marked(tmp_path, TIDELAKE_REQUIRE_ALL="1")
    assert done.returncode == 1, done.stdout
    assert "must run with TIDELAKE_REQUIRE_ALL=1" in done.stdout


def test_file_modes_hold_for_the_ordinary_user(
    tmp_path: Path, ordinary_user: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    code = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('x')"
    refused = ordinary_user([sys.executable, "-c", code, closed / "file"])
    assert refused.returncode == 1
    assert "PermissionError" in refused.stderr
    assert ordinary_user([sys.executable, "-c", code, tmp_path / "file"]).returncode == 0


@pytest.mark.server
def test_s3_server_takes_delta_commits_and_refuses_a_wrong_key(s3_server: S3Server) -> None:
    address = f"s3://{s3_server.bucket}/conftest/table"
    options = s3_server.environment
    deltalake.write_deltalake(address, pa.table({"n": [1]}), storage_options=options)
    deltalake.write_deltalake(address, pa.table({"n": [2]}), mode="append", storage_options=options)
    assert deltalake.DeltaTable(address, storage_options=options).version() == 1
    with pytest.raises((OSError, deltalake.exceptions.DeltaError)):
        deltalake.DeltaTable(address, storage_options={**options, "AWS_SECRET_ACCESS_KEY": "wrong"})
