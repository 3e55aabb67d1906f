"""What `tide doctor` looks at: each look gives findings, none of them raises."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tidelake.errors import TidelakeError

if TYPE_CHECKING:
    from tidelake.config import Project
    from tidelake.engine.result import Result
    from tidelake.lake import Lake

Status = Literal["ok", "warn", "fail", "absent"]

REQUIRED = ("tidelake", "duckdb", "deltalake", "pyarrow", "sqlglot", "pydantic", "numpy")
# distribution, what it is for, how to get it
OPTIONAL = (
    ("pandas", "Result.to_pandas()", "pip install pandas"),
    ("polars", "Result.to_polars()", "pip install polars"),
    ("pyspark", "--engine spark", "pip install 'tidelake[spark]'"),
    ("delta-spark", "--engine spark", "pip install 'tidelake[spark]'"),
)
LOW_SPACE_BYTES = 1_000_000_000
_NETWORK_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "fuse.s3fs", "vboxsf"}


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, and what to do about it."""

    part: str
    status: Status
    found: str
    next: str = ""


def examine(project: Path, *, target: str | None = None, all_parts: bool = False) -> list[Finding]:
    """Every finding, from the interpreter to the lake's tables."""
    findings = [python(), *packages(), time_zones(), *optional_parts()]
    settings, project_findings = _project(project)
    findings.extend(project_findings)
    if settings is not None:
        findings.extend(_lake(settings, target))
    return [finding for finding in findings if all_parts or finding.status != "absent"]


def as_result(findings: list[Finding], *, for_people: bool = False) -> Result:
    """Findings as a table: part, status, found, next (null where there is nothing to do).

    Args:
        findings: What was found.
        for_people: Put what to do below the table, where it is never shortened, instead of into a column.
    """
    import pyarrow as pa

    from tidelake.engine.result import Result

    table = pa.table(
        {
            "part": [finding.part for finding in findings],
            "status": [finding.status for finding in findings],
            "found": [finding.found for finding in findings],
            "next": pa.array([finding.next or None for finding in findings], pa.string()),
        }
    )
    failed = sum(finding.status == "fail" for finding in findings)
    warned = sum(finding.status == "warn" for finding in findings)
    verdict = f"{failed} failed, {warned} to look at" if failed or warned else "All is well."
    advice = tuple(_sentences(one) for one in findings if one.status in ("warn", "fail"))
    if for_people:
        return Result(table.drop_columns(["next"]), title="Tidelake's health", notes=(*advice, verdict))
    return Result(table, title="Tidelake's health", notes=(verdict,))


def _sentences(finding: Finding) -> str:
    """A finding and what to do about it, with a stop between them."""
    stop = "" if finding.found.endswith((".", "!", "?")) else "."
    return f"{finding.part}: {finding.found}{stop} {finding.next}".rstrip()


def python() -> Finding:
    """The interpreter and the machine."""
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    return Finding("python", "ok", found)


def packages() -> list[Finding]:
    """The libraries that every command needs."""
    return [_required(name) for name in REQUIRED]


def _required(name: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        if name == "tidelake":
            return Finding(name, "ok", "run from its source folder, not installed")
        return Finding(name, "fail", "not installed", f"pip install {name}")


def optional_parts() -> Iterator[Finding]:
    """Libraries and programs that only some commands need."""
    for name, purpose, how in OPTIONAL:
        try:
            yield Finding(name, "ok", f"{version(name)} ({purpose})")
        except PackageNotFoundError:
            yield Finding(name, "absent", f"not installed ({purpose})", how)
    yield java()


def java() -> Finding:
    """The Java that Spark would use."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if program is None or not Path(program).exists():
        return Finding("java", "absent", "not found (--engine spark)", "Install Java 17, or set JAVA_HOME.")
    try:
        answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("java", "warn", f"{program} does not run: {error}", "Set JAVA_HOME to a Java 17.")
    lines = (answer.stderr or answer.stdout).strip().splitlines()
    return Finding("java", "ok", lines[0] if lines else program)


def time_zones() -> Finding:
    """The time zone database, without which local dates cannot be made."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError:
        return Finding("time zones", "fail", "no time zone database", "pip install tzdata")
    return Finding("time zones", "ok", "America/New_York is known")


def _project(start: Path) -> tuple[Project | None, list[Finding]]:
    from tidelake.config import find_project, load_project
    from tidelake.contracts.source import load_sources
    from tidelake.silver.fields import check_patterns

    try:
        path = find_project(start)
    except TidelakeError as error:
        return None, [Finding("project", "warn", str(error), error.hint or "")]
    try:
        settings = load_project(path)
        sources = load_sources(settings.root)
        check_patterns(sources)
    except TidelakeError as error:
        return None, [Finding("project", "fail", str(error).replace("\n", " "), error.hint or "")]
    found = f"{settings.name}: {', '.join(sources)} ({path})"
    return settings, [Finding("project", "ok", found)]


def _lake(settings: Project, target: str | None) -> list[Finding]:
    from tidelake.lake import Lake

    try:
        lake = Lake(settings.lake_address(target))
    except TidelakeError as error:
        return [Finding("lake", "fail", str(error), error.hint or "")]
    address = lake.location.address
    looks: list[Callable[[], Finding]] = [lambda: _format(lake), lambda: _tables(lake), lambda: _builds(lake)]
    if lake.is_local:
        looks = [
            lambda: writable(Path(address)),
            lambda: space(Path(address)),
            lambda: file_system(Path(address)),
            *looks,
        ]
    return [_calm(look) for look in looks]


def _calm(look: Callable[[], Finding]) -> Finding:
    """A look whose failure is a finding."""
    try:
        return look()
    except TidelakeError as error:
        return Finding("lake", "fail", str(error), error.hint or "")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return Finding("lake", "fail", f"{where}{error.strerror or error}", "Look at the address and its rights.")


def _format(lake: Lake) -> Finding:
    found = lake.check_format()
    if found is None:
        return Finding("lake format", "ok", "no lake yet: the first `tide build` makes it")
    return Finding("lake format", "ok", f"version {found}")


def _tables(lake: Lake) -> Finding:
    names = lake.tables()
    for name in names:
        lake.version(name)
    return Finding("lake tables", "ok", f"{len(names)} readable" if names else "none yet")


def _builds(lake: Lake) -> Finding:
    """Whether the tables are as the last finished build left them; if not, whether a build is at work."""
    from tidelake.lake.builds import BUILDS

    writer = lake.writer()  # asked before and after the tables: a build may begin or end meanwhile
    is_built = lake.version(BUILDS) is not None
    last = lake.note(BUILDS) if is_built else {}
    lake.settle_on(last.get("versions", {}))
    for name in lake.tables():
        lake.version(name)
    written = sorted(name for name in lake.held_back if not name.startswith("ops."))
    writer = writer or lake.writer()
    readers = f"metrics and SQL read build {last.get('build', '?')}" if is_built else "metrics and SQL read nothing"
    if writer is not None:
        return Finding("lake builds", "ok", f"a build is at work ({writer}); until it has ended {readers}")
    if not written:
        return Finding("lake builds", "ok", f"build {last.get('build', '?')} is whole" if is_built else "none yet")
    named = ", ".join(written[:3]) + (" ..." if len(written) > 3 else "")
    since = f"after build {last.get('build', '?')}" if is_built else "before the first build has ended"
    cause, ends = "a build was cut off", "`tide build` ends it"
    if not lake.is_local:  # S3 has no lock
        cause, ends = "a build is at work, or was cut off", "Where none is at work, `tide build` ends it"
    return Finding("lake builds", "warn", f"{named} were written {since}: {cause}.", f"{ends}; until then {readers}.")


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def writable(folder: Path) -> Finding:
    """Whether this user may write the lake."""
    there = _nearest(folder)
    if not there.is_dir():
        return Finding("lake rights", "fail", f"{there} is no folder", "Choose another lake in tide.yml.")
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("lake rights", "fail", f"{there} cannot be written", "Give this user the right to write there.")
    return Finding("lake rights", "ok", f"{folder} can be written")


def space(folder: Path) -> Finding:
    """Room on the lake's disk."""
    usage = shutil.disk_usage(_nearest(folder))
    found = f"{usage.free / 1e9:,.1f} GB free of {usage.total / 1e9:,.1f} GB"
    if usage.free < LOW_SPACE_BYTES:
        return Finding("disk space", "warn", found, "Free some space; `tide vacuum` removes files no longer needed.")
    return Finding("disk space", "ok", found)


def file_system(folder: Path) -> Finding:
    """Whether the disk is a local one: locks and renames of network disks are not to be trusted."""
    kind = _kind_of_system(_nearest(folder).resolve(), _mounts())
    if kind in _NETWORK_SYSTEMS:
        return Finding(
            "file system",
            "warn",
            f"{kind}, a network disk",
            "Let only one machine build this lake at a time, or use s3://.",
        )
    return Finding("file system", "ok", kind or "unknown kind")


def _mounts() -> list[tuple[str, str]]:
    """(mount point, kind of file system) of every mount; empty where the system does not say."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [(words[1].replace("\\040", " "), words[2]) for line in lines if len(words := line.split()) > 2]


def _kind_of_system(path: Path, mounts: list[tuple[str, str]]) -> str:
    """Kind of the mount with the longest point that holds the path."""
    holding = [(point, kind) for point, kind in mounts if path.is_relative_to(point)]
    return max(holding, key=lambda item: len(item[0]))[1] if holding else ""
