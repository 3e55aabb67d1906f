"""stdout for data, stderr for people."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str = "") -> None:
    """A line for the person at the terminal, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def put(text: str) -> None:
    """A line of data, on stdout. A reader that has gone away is no error."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        quiet_stdout()


def quiet_stdout() -> None:
    """Send what is still buffered for stdout nowhere, so that the interpreter does not complain at its end."""
    try:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - lives as long as the process


def coloured(stream: TextIO | None = None) -> bool:
    """Whether a stream (None = stderr) takes colours, bold and dim: a terminal, and neither NO_COLOR nor a dumb one."""
    is_terminal = (stream or sys.stderr).isatty()
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def console(*, stderr: bool = False) -> Console:
    """A terminal to print tables, boxes and bars on; plain where it takes no colours."""
    from rich.console import Console

    takes_colours = coloured(sys.stderr if stderr else sys.stdout)
    return Console(stderr=stderr, color_system="auto" if takes_colours else None)


def plain_help() -> None:
    """Let help be plain where the terminal takes no colours; rich would keep bold and dim text under NO_COLOR."""
    if sys.stdout.isatty() and not coloured(sys.stdout):
        from typer import rich_utils

        rich_utils.COLOR_SYSTEM = None
