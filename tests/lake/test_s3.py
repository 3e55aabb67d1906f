"""A lake and sources on a real S3 server: built, grown, measured, killed, and two writers at once."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from pyarrow import fs

from tests.servers import S3Server
from tests.session.killing import Outcome, killer
from tests.session.lakes import build, digests, event, events_with, lines, make_project, rows_of
from tidelake import session as tl
from tidelake.errors import BusyError
from tidelake.lake import commit_points

pytestmark = pytest.mark.server
FIRST = lines(event(number) for number in range(40))
MORE = lines([*(event(number) for number in range(30, 60)), event(3, amount=5, received="2024-03-09T00:00:00Z")])


def users_by_day(numbers: Iterable[int]) -> dict[date, int]:
    """How many users have an event on each day in Berlin, one hour ahead of UTC in March."""
    users: dict[date, set[str]] = {}
    for number in numbers:
        row = event(number)
        local = datetime.fromisoformat(row["ts"]) + timedelta(hours=1)
        users.setdefault(local.date(), set()).add(row["user"])
    return {day: len(found) for day, found in users.items()}


@pytest.fixture
def bucket(s3_environment: S3Server) -> tuple[fs.FileSystem, str]:
    """A file system of the server and a prefix of the test's own."""
    store = fs.S3FileSystem(
        access_key=s3_environment.access_key,
        secret_key=s3_environment.secret_key,
        endpoint_override=s3_environment.endpoint.removeprefix("http://"),
        scheme="http",
        region=s3_environment.region,
    )
    return store, f"{s3_environment.bucket}/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def on_s3(tmp_path: Path, bucket: tuple[fs.FileSystem, str]) -> Path:
    """A project whose lake is on the server and whose files are here."""
    root = make_project(tmp_path / "s3", {"app": events_with()}, lake=f"s3://{bucket[1]}/lake")
    (root / "data/a.jsonl").write_text(FIRST)
    return root


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of a local lake with all files, built at once."""
    root = make_project(tmp_path_factory.mktemp("local"), {"app": events_with()})
    (root / "data/a.jsonl").write_text(FIRST)
    (root / "data/b.jsonl").write_text(MORE)
    build(root)
    return digests(root)


def test_builds_in_steps_equal_a_local_lake(on_s3: Path, expected: dict[str, str]) -> None:
    assert build(on_s3).verdict == "balanced"
    assert build(on_s3).verdict == "unchanged"
    (on_s3 / "data/b.jsonl").write_text(MORE)
    assert build(on_s3).verdict == "balanced"
    assert digests(on_s3, deep=True) == expected
    assert not (on_s3 / "lake").exists()
    with tl.open(on_s3) as session:
        dau = session.measure("dau").to_dicts()
    assert {row["period_start"]: row["value"] for row in dau if row["value"]} == users_by_day(range(60))
    assert rows_of(on_s3, "SELECT count(*) AS n FROM silver.app") == [{"n": 60}]


def test_sources_on_s3_are_read_once(
    tmp_path: Path, bucket: tuple[fs.FileSystem, str], expected: dict[str, str]
) -> None:
    store, prefix = bucket
    root = make_project(tmp_path / "p", {"app": events_with(path=f"s3://{prefix}/in/*.jsonl")})
    for name, text in (("a", FIRST), ("b", MORE)):
        with store.open_output_stream(f"{prefix}/in/{name}.jsonl") as stream:
            stream.write(text.encode())
        build(root)
    assert build(root).verdict == "unchanged"
    assert digests(root, deep=True) == expected


def test_a_killed_build_is_finished_by_the_next(on_s3: Path, expected: dict[str, str]) -> None:
    (on_s3 / "data/b.jsonl").write_text(MORE)
    with killer() as run:
        for name in ("silver.app before", "gold.user_day before"):
            outcome: Outcome = run(on_s3, "build", until=name)
            assert outcome.killed, name
        run(on_s3, "build")
        found = run(on_s3, "check").answer
    assert found["wrong"] == []
    assert found["digests"] == expected


def test_of_two_writers_the_late_one_is_told_to_try_again(on_s3: Path, expected: dict[str, str]) -> None:
    """It looked at the lake before the other one committed: it must not write the same rows again."""
    build(on_s3)
    (on_s3 / "data/b.jsonl").write_text(MORE)
    observed: list[str] = []

    def other_build(what: str, moment: str) -> None:
        if not observed:
            observed.append(what)
            build(on_s3)

    commit_points.observers.append(other_build)
    try:
        with pytest.raises(BusyError):
            build(on_s3)
    finally:
        commit_points.observers.remove(other_build)
    assert observed == ["bronze.app"]
    assert build(on_s3).verdict == "unchanged"
    assert digests(on_s3) == expected


def test_a_first_build_goes_on_where_the_other_one_gave_up(on_s3: Path, expected: dict[str, str]) -> None:
    """The other one begins later, makes bronze and is stopped: it must not stop the first one too."""
    (on_s3 / "data/b.jsonl").write_text(MORE)
    began: list[str] = []

    def other_build(what: str, moment: str) -> None:
        if not began:
            began.append(what)
            with pytest.raises(RuntimeError):
                build(on_s3)
            began.append("given up")
        elif len(began) == 1 and (what, moment) == ("silver.app", "before"):
            raise RuntimeError

    commit_points.observers.append(other_build)
    try:
        assert build(on_s3).verdict == "balanced"
    finally:
        commit_points.observers.remove(other_build)
    assert began == ["bronze.app (new)", "given up"]
    assert digests(on_s3) == expected


def test_two_processes_at_once_double_nothing(on_s3: Path, expected: dict[str, str]) -> None:
    (on_s3 / "data/b.jsonl").write_text(MORE)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command = [sys.executable, "-m", "tidelake", "build", "--project", str(on_s3)]
    running = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[1] for process in running]
    assert {0} <= {process.returncode for process in running} <= {0, 75}, said
    build(on_s3)
    assert digests(on_s3) == expected
