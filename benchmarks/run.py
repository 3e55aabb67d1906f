"""Speed and memory of a build, as ratios to bare DuckDB over the same files in the same run.

    make bench                          everything (about half an hour; 12 GB of disk)
    make bench BENCH_ARGS=--quick       200,000 rows, one repetition, no long history
    python -m benchmarks.run --only full nothing day --repeat 5

Prints one table, and writes `target/benchmark.md` and `target/benchmark.json`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import engagement
from benchmarks.child import REPOSITORY, ChildError, Run, run
from benchmarks.generate import generate
from benchmarks.project import add_file, make_project, read_truth, verify

HERE = Path(__file__).resolve().parent
FILES = {"none": "*.jsonl", "gz": "*.jsonl.gz", "zst": "*.jsonl.zst"}
SEED = 7
PARTS: dict[str, Callable[[Bench], None]]


@dataclass
class Line:
    """One line of the table.

    Attributes:
        runs: One a repetition.
        base: B over the same files, run right before each repetition; empty = no ratio.
        goal: What the design asks for, in words; empty = nothing.
    """

    name: str
    runs: list[Run]
    base: list[Run] = field(default_factory=list)
    goal: str = ""
    skipped: str = ""

    @property
    def seconds(self) -> list[float]:
        return [one.seconds for one in self.runs]

    @property
    def ratio(self) -> float | None:
        """Median of the ratios of neighbouring runs, so that a change of the machine's load cancels."""
        pairs = [own.seconds / base.seconds for own, base in zip(self.runs, self.base, strict=False)]
        return statistics.median(pairs) if pairs else None

    @property
    def cpu_ratio(self) -> float | None:
        """The same of processor time."""
        pairs = [own.cpu_seconds / base.cpu_seconds for own, base in zip(self.runs, self.base, strict=False)]
        return statistics.median(pairs) if pairs else None

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """Median, range, ratio, ratio of processor time and memory as text."""
        seconds = self.seconds
        return (
            f"{statistics.median(seconds):.2f} s",
            f"{min(seconds):.2f} to {max(seconds):.2f}" if len(seconds) > 1 else "",
            "" if self.ratio is None else f"{self.ratio:.1f} B",
            "" if self.cpu_ratio is None else f"{self.cpu_ratio:.1f}",
            f"{max(one.peak_mb for one in self.runs):,.0f} MB",
        )


@dataclass
class Bench:
    """What all parts share."""

    rows: int
    days: int
    repeat: int
    work: Path
    python: str
    dlt_python: str
    history: int
    large: int
    events: int
    lines: list[Line] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)

    def data(self, rows: int, days: int, *, compression: str = "none", first: int = 0) -> Path:
        """Generate a data set, or take the one that an earlier run left."""
        name = f"data-{rows}-{days}-{compression}" + (f"-from-{first}" if first else "")
        folder = self.work / name
        if not (folder / "truth.json").is_file():
            say(f"generating {rows:,} lines in {days} files ({compression})")
            shutil.rmtree(folder, ignore_errors=True)
            generate(rows, days, folder, seed=SEED, compression=compression, first=first)
        for path in sorted((folder / "events").iterdir()):
            path.read_bytes()  # into the system's cache, for every contestant alike
        return folder

    def bare(self, data: Path, compression: str = "none") -> Run:
        return run([self.python, str(HERE / "bare.py"), str(data / "events" / FILES[compression])])

    def build(self, project: Path) -> Run:
        return run([self.python, "-m", "tidelake", "build"], cwd=project)

    def rows_a_day(self) -> int:
        return -(-self.rows // self.days)

    def add(self, line: Line) -> None:
        self.lines.append(line)
        say(show_line(line))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def files_of(data: Path) -> list[Path]:
    return sorted((data / "events").iterdir())


def whole_build(bench: Bench, name: str, data: Path, *, compression: str = "none", goal: str = "") -> Path:
    """Raw files to bronze, silver and gold, from nothing, beside B over the same files."""
    base, own = [], []
    project = bench.work / f"project-{name.replace(' ', '-')}"
    for _ in range(bench.repeat):
        base.append(bench.bare(data, compression))
        make_project(project, files_of(data))
        own.append(bench.build(project))
        verify(project, read_truth(data))
    bench.add(Line(f"B: {name}", base))
    bench.add(Line(f"build: {name}", own, base, goal))
    return project


def full(bench: Bench) -> None:
    """The build of the main data set."""
    data = bench.data(bench.rows, bench.days)
    whole_build(bench, f"{bench.rows:,} rows", data, goal="at most 9 B, aim 6.5; 1 GB")


def nothing(bench: Bench) -> None:
    """A build that finds nothing new."""
    data = bench.data(bench.rows, bench.days)
    project = make_project(bench.work / "project-nothing", files_of(data))
    bench.build(project)
    runs = [bench.build(project) for _ in range(max(3, bench.repeat))]
    bench.add(Line("build: nothing new", runs, goal="at most 1 s, aim .4"))
    shutil.rmtree(project)


def day(bench: Bench) -> None:
    """One new day on a short history."""
    _one_more_day(bench, bench.days)


def history(bench: Bench) -> None:
    """One new day on a long history."""
    _one_more_day(bench, bench.history)


def _one_more_day(bench: Bench, days: int) -> None:
    data = bench.data(bench.rows_a_day() * days, days)
    more = max(3, bench.repeat)
    fresh = bench.data(bench.rows_a_day() * (days + more), days + more, first=days)
    project = make_project(bench.work / "project-day", files_of(data))
    bench.build(project)
    runs = []
    for path in files_of(fresh):
        add_file(project, path)
        runs.append(bench.build(project))
    bench.add(Line(f"build: one day on top of {days}", runs, goal="at most 1.5 s at any length"))
    shutil.rmtree(project)


def gz(bench: Bench) -> None:
    """gzip input."""
    whole_build(bench, "gz input", bench.data(bench.rows, bench.days, compression="gz"), compression="gz")


def zst(bench: Bench) -> None:
    """zstandard input."""
    whole_build(bench, "zst input", bench.data(bench.rows, bench.days, compression="zst"), compression="zst")


def large(bench: Bench) -> None:
    """Five times as many rows, with as many a day."""
    days = -(-bench.large // bench.rows_a_day())
    data = bench.data(bench.rows_a_day() * days, days)
    once = Bench(**{**vars(bench), "repeat": 1})
    project = whole_build(once, f"{bench.large:,} rows", data, goal="at most 10 B; at most 1.3 times the memory")
    shutil.rmtree(project)


def questions(bench: Bench) -> None:
    """Questions of engagement over 90 days, beside the best DuckDB query by hand."""
    users = bench.events * 9 // 200
    say(f"generating and building {bench.events:,} events of {users:,} users")
    project = engagement.make_project(bench.work / f"engagement-{bench.events}", bench.events, users, 90)
    bench.build(project)
    asked = ["-m", "benchmarks.questions", str(project), "--repeat", str(bench.repeat)]
    bench.tables.append(f"{bench.events:,} events of {users:,} users\n\n{run([bench.python, *asked]).output}")
    shutil.rmtree(project / "lake")


def spark(bench: Bench) -> None:
    """The way of R1's document."""
    missing = _spark_missing(bench.python)
    if missing:
        bench.add(Line("R1's way: PySpark local[2]", [], skipped=missing))
        return
    _contestant(bench, "R1's way: PySpark local[2]", [bench.python, str(HERE / "spark_way.py")])


def _spark_missing(python: str) -> str:
    jars = Path(os.environ.get("TIDELAKE_SPARK_JARS", REPOSITORY / ".cache" / "spark-jars"))
    if not _has(python, "pyspark"):
        return "pyspark is not installed: pip install 'tidelake[spark]'"
    if shutil.which("java") is None:
        return "there is no Java: install a Java 17 runtime"
    if not any(jars.glob("delta-spark_*.jar")):
        return f"no Delta jars in {jars.name}: run .ci/spark-jars, or set TIDELAKE_SPARK_JARS"
    return ""


def dlt(bench: Bench) -> None:
    """dlt loads the same files; nothing else."""
    if not _has(bench.dlt_python, "dlt"):
        bench.add(
            Line("dlt, loading only", [], skipped="dlt is not installed: pip install 'dlt[duckdb,parquet]' orjson")
        )
        return
    _contestant(bench, "dlt, loading only", [bench.dlt_python, str(HERE / "dlt_way.py")])


def _contestant(bench: Bench, name: str, command: list[str]) -> None:
    data = bench.data(bench.rows, bench.days)
    base = bench.bare(data)
    with tempfile.TemporaryDirectory(dir=bench.work) as folder:
        try:
            made = run([*command, str(data), folder])
        except ChildError as error:
            bench.add(Line(name, [], skipped=f"it failed: {str(error).splitlines()[-1]}"))
            return
    bench.add(Line(name, [made], [base]))


def _has(python: str, module: str) -> bool:
    if python == sys.executable:
        return importlib.util.find_spec(module) is not None
    try:
        run([python, "-c", f"import {module}"])
    except (ChildError, OSError):
        return False
    return True


PARTS = {
    "full": full,
    "nothing": nothing,
    "day": day,
    "gz": gz,
    "zst": zst,
    "large": large,
    "history": history,
    "questions": questions,
    "spark": spark,
    "dlt": dlt,
}
_LONG = ("large", "history")


def show_line(line: Line) -> str:
    if line.skipped:
        return f"{line.name:34} skipped: {line.skipped}"
    seconds, spread, ratio, cpu, peak = line.cells
    processor = f"(cpu {cpu})" if cpu else ""
    return f"{line.name:34} {seconds:>10} {spread:>16} {ratio:>8} {processor:>11} {peak:>9}  {line.goal}".rstrip()


def markdown(bench: Bench) -> str:
    rows = [
        "| what | wall time (median) | range | ratio to B | ratio of processor time | peak memory | goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in bench.lines:
        cells = ("skipped", "", "", "", "", line.skipped) if line.skipped else (*line.cells, line.goal)
        rows.append(f"| {line.name} | " + " | ".join(cells) + " |")
    return "\n\n".join(["\n".join(rows), *bench.tables]) + "\n"


def _record(line: Line) -> dict[str, Any]:
    """A line for the JSON report, without what the programs printed."""

    def plain(runs: list[Run]) -> list[dict[str, Any]]:
        return [{name: value for name, value in asdict(one).items() if name != "output"} for one in runs]

    found = asdict(line) | {"runs": plain(line.runs), "base": plain(line.base)}
    return found | {"ratio": line.ratio, "cpu_ratio": line.cpu_ratio}


def machine() -> dict[str, Any]:
    """What a reader needs to know of the machine: nothing that names it."""
    import duckdb

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processors": os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
        "load_before": load,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--large", type=int, default=10_000_000, help="rows of the large data set")
    parser.add_argument("--history", type=int, default=600, help="days of the long history")
    parser.add_argument("--events", type=int, default=20_000_000, help="events that questions are asked of")
    parser.add_argument("--repeat", type=int, default=3, help="pairs of B and build")
    parser.add_argument("--only", nargs="+", choices=sorted(PARTS), default=None)
    parser.add_argument("--quick", action="store_true", help="200,000 rows, one repetition, nothing long")
    parser.add_argument(
        "--work", type=Path, default=REPOSITORY / "target" / "benchmark", help="where data and lakes go"
    )
    parser.add_argument("--keep", action="store_true", help="keep data and lakes for the next run")
    parser.add_argument("--dlt-python", default=sys.executable, help="interpreter that has dlt")
    asked = parser.parse_args()
    chosen = asked.only or [name for name in PARTS if not (asked.quick and name in _LONG)]
    asked.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        rows=200_000 if asked.quick else asked.rows,
        days=asked.days,
        repeat=1 if asked.quick else asked.repeat,
        work=asked.work.resolve(),
        python=sys.executable,
        dlt_python=asked.dlt_python,
        history=asked.history,
        large=asked.large,
        events=200_000 if asked.quick else asked.events,
    )
    before = machine()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for name in PARTS:
            if name in chosen:
                PARTS[name](bench)
    finally:
        if not asked.keep:
            shutil.rmtree(bench.work, ignore_errors=True)
    target = REPOSITORY / "target"
    target.mkdir(exist_ok=True)
    (target / "benchmark.md").write_text(markdown(bench))
    report = {"machine": before, "lines": [_record(line) for line in bench.lines], "tables": bench.tables}
    (target / "benchmark.json").write_text(json.dumps(report, indent=1) + "\n")
    print("\n\n".join(["\n".join(show_line(line) for line in bench.lines), *bench.tables]))
    print(f"B is bare DuckDB over the same files. Written: {target / 'benchmark.md'}")


if __name__ == "__main__":
    main()
