"""Run a program as a whole process and say how long it took and how much memory it needed."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Run:
    """One whole process, from its start to its end.

    Attributes:
        seconds: Wall time, interpreter and imports included.
        peak_mb: Largest memory (resident set, 1 MB = 10^6 bytes): what the system accounts to the process, or the
            sum over it and its children seen by samples (a Java machine below Python), whichever is more.
        cpu_seconds: Processor time over all cores of it and its children, accounted or sampled like memory. On
            a busy machine it says more than wall time.
        output: What it wrote on stdout.
    """

    seconds: float
    peak_mb: float
    cpu_seconds: float
    output: str


class ChildError(Exception):
    """A measured program failed."""


def run(command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Run:
    """Start a program, wait for it, and measure.

    Raises:
        ChildError: It did not end with exit code 0; carries the end of what it wrote.
    """
    paths = [str(REPOSITORY / "src"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    full = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "NO_COLOR": "1", **(env or {})}
    full.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once, not in every run
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        child = subprocess.Popen(command, cwd=cwd, env=full, stdout=out, stderr=err)
        sampler = _Sampler(child.pid)
        sampler.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:  # interrupted: leave nothing behind
            child.kill()
            child.wait()
            raise
        seconds = time.perf_counter() - started
        sampler.finish()
        child.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    if child.returncode != 0:
        tail = "\n".join((texts[0] + texts[1]).splitlines()[-15:])
        raise ChildError(f"exit code {child.returncode}: {' '.join(command)}\n{tail}")
    own = usage.ru_maxrss * 1024 / 1e6 if os.uname().sysname == "Linux" else usage.ru_maxrss / 1e6
    processor = max(usage.ru_utime + usage.ru_stime, sampler.cpu_seconds)
    return Run(seconds, max(own, sampler.peak_mb), processor, texts[0])


class _Sampler(threading.Thread):
    """Adds up memory and processor time of a process and its descendants, five times a second (Linux only)."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.peak_mb = 0.0
        self._cpu: dict[int, float] = {}
        self._done = threading.Event()

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the whole family when it was last seen."""
        return sum(self._cpu.values())

    def run(self) -> None:
        while not self._done.wait(0.2):
            self.peak_mb = max(self.peak_mb, self._now())

    def finish(self) -> None:
        self._done.set()
        self.join()

    def _now(self) -> float:
        family = [self.root]
        for pid in family:
            try:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    family += [int(word) for word in (task / "children").read_text().split()]
            except OSError:
                continue
        if len(family) == 1:
            return 0.0  # the system's own account is exact
        total = 0.0
        for pid in family:
            try:
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
                words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                self._cpu[pid] = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
            except (OSError, IndexError):
                continue
        return total
