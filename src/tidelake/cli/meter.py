"""Progress on stderr: bars with rate and time left on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from tidelake.cli.streams import console
from tidelake.engine.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

PLAIN_EVERY_S = 4.0


@contextmanager
def meter(*, quiet: bool = False) -> Iterator[Progress]:
    """Progress for the time of one command."""
    if quiet or not sys.stderr.isatty():
        yield PlainLines(sys.stderr, quiet=quiet)
        return
    with _bars() as bars:
        yield TerminalBars(bars)


class Pace:
    """Since when each stage has been at work: since the last stage said something, for its first word may be late.

    Args:
        start: When work began.
    """

    def __init__(self, start: float) -> None:
        self._last = start
        self._started: dict[str, float] = {}

    def seconds(self, stage: str, now: float) -> float:
        """Seconds that a stage has been at work."""
        started = self._started.setdefault(stage, self._last)
        self._last = now
        return now - started


class PlainLines:
    """A line when some seconds have passed since the last one, so that logs stay short.

    Args:
        stream: Where lines go.
        quiet: Print what is said, but no progress.
        clock: Seconds that only grow.
    """

    def __init__(self, stream: TextIO, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._quiet, self._clock = stream, quiet, clock
        self._printed = clock()
        self._pace = Pace(self._printed)

    def __call__(self, stage: str, done: int, total: int | None = None, unit: str = "rows") -> None:
        """Take note of how far a stage is."""
        now = self._clock()
        seconds = self._pace.seconds(stage, now)
        if self._quiet or now - self._printed < PLAIN_EVERY_S:
            return
        self._printed = now
        self.say(_line(stage, done, total, unit, seconds))

    def say(self, text: str) -> None:
        """Print one sentence."""
        self._stream.write(text + "\n")
        self._stream.flush()


def _line(stage: str, done: int, total: int | None, unit: str, seconds: float) -> str:
    line = f"{stage}: {amount(done, unit)}"
    if total is not None:
        part = f"{done:,}" if unit != "bytes" else amount(done, unit)
        line = f"{stage}: {part} of {amount(total, unit)}"
    if seconds > 0 and done > 0:
        rate = done / seconds
        if rate >= 1:
            line += f", {amount(int(rate), unit)}/s"
        if total is not None and total > done:
            line += f", {duration((total - done) * seconds / done)} left"
    return line


def amount(count: int, unit: str) -> str:
    """A count with its unit: bytes as MB, the rest with thousands separators."""
    if unit == "bytes":
        return f"{count / 1e6:,.1f} MB" if count < 1e10 else f"{count / 1e9:,.1f} GB"
    return f"{count:,} {unit}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


class TerminalBars:
    """A bar for each stage that is at work, and a line that shows that something is."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._pace = Pace(time.monotonic())
        self._alive = bars.add_task("at work", total=None, said="")

    def __call__(self, stage: str, done: int, total: int | None = None, unit: str = "rows") -> None:
        """Take note of how far a stage is."""
        seconds = self._pace.seconds(stage, time.monotonic())
        said = _line("", done, total, unit, seconds).removeprefix(": ")
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, said=said)
        is_done = total is not None and done >= total
        self._bars.update(self._tasks[stage], completed=done, total=total, said=said, visible=not is_done)

    def say(self, text: str) -> None:
        """Print one sentence."""
        self._bars.console.print(text, highlight=False, markup=False)


def _bars() -> Bars:
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    return Bars(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}", style="dim"),
        console=console(stderr=True),
        transient=True,
    )
