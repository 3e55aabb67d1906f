"""From the command line's words to an exit code: what went wrong is said in words, where, and what to do next.

Exit codes: 0 done, 1 failed, 2 wrong usage or project, 3 data quality, ledger or invariant, 4 a `--fail-on`
condition met, 5 engines disagree, 75 try again, 130 interrupted.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tidelake.cli.streams import coloured, plain_help, quiet_stdout, say
from tidelake.errors import TidelakeError, nearest

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130
_NOTHING_LOST = (
    "What was committed stays. Run the same command again: it goes on from there, nothing lost, nothing twice."
)


def run(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after `tide`; None = those of this process.
    """
    words = sys.argv[1:] if arguments is None else arguments
    with _interrupts() as interrupts:
        try:
            code = _run(words)
        except BrokenPipeError:
            quiet_stdout()
            return 0
        except KeyboardInterrupt:
            return _interrupted()
        except Exception as error:
            # Libraries turn an interrupt into errors of their own ("Query interrupted").
            if interrupts or type(error).__name__ == "Abort":
                return _interrupted()
            if "--debug" in words or os.environ.get("TIDE_DEBUG"):
                raise
            return _explained(error)
    _flush()
    return _interrupted() if code == INTERRUPTED else code


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Every Ctrl-C that came meanwhile, and came through as KeyboardInterrupt.

    A process that was started with interrupts ignored (`nohup`, a shell's background job) stays so.
    """
    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield came
        return

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted() -> int:
    return _say("Interrupted.", _NOTHING_LOST, INTERRUPTED)


def _explained(error: Exception) -> int:
    """Say what went wrong in words."""
    if isinstance(error, TidelakeError):
        return _say(str(error), error.hint, error.exit_code)
    if hasattr(error, "format_message"):
        return _wrong_usage(error)
    return _unforeseen(error)


def _flush() -> None:
    """Push out what stdout still holds; a reader that went away does not change the verdict."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        quiet_stdout()


def _run(words: list[str]) -> int:
    from tidelake.cli.app import app_for

    plain_help()
    given = [word for word in words if word != "--debug"]
    code = app_for(given)(given, prog_name="tide", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _say(message: str, hint: str | None, code: int) -> int:
    """Print what was wrong and what to do next, on stderr."""
    bold, red, dim, off = ("\033[1m", "\033[31m", "\033[2m", "\033[0m") if coloured() else ("", "", "", "")
    label = "" if code == INTERRUPTED else f"{bold}{red}error:{off} "
    lines = [f"{label}{message}"]
    if hint:
        lines.append(f"{dim}  next:{off} {hint}")
    say("\n".join(lines))
    return code


_NO_DATE = re.compile(r"Invalid value for '(--[a-z-]+)': '(.*)' does not match the formats? '%Y-%m-%d'")


def _wrong_usage(error: Any) -> int:
    """An error of the parser (an unknown command or option, a missing or wrong value)."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tide"
    if type(error).__name__ == "NoArgsIsHelpError":
        say(error.format_message())
        return 0 if path == "tide" else WRONG_USAGE
    message = str(error.format_message()).replace("Value error, ", "")
    if found := _NO_DATE.search(message):
        return _say(f"{found[1]} {found[2]} is not a date.", "Write it as 2025-11-17.", WRONG_USAGE)
    message, _, near = message.partition(" Did you mean")
    message, _, near_option = message.partition(" (Possible options:")
    hint = f"Did you mean{near}" if near else _near_option(error)
    if "unexpected extra argument" in message:
        hint = "Put globs and SQL in quotes."
    if near_option and not hint:
        hint = f"Possible: {near_option.rstrip(')')}"
    more = f"`{path} --help` shows what there is."
    return _say(message, f"{hint} {more}" if hint else more, WRONG_USAGE)


def _near_option(error: Any) -> str:
    """The nearest options, for an option that nothing carries."""
    name, context = getattr(error, "option_name", None), getattr(error, "ctx", None)
    if not name or context is None:
        return ""
    known = [option for parameter in context.command.params for option in parameter.opts if option.startswith("--")]
    near = nearest(name, known)[:2]
    return f"Did you mean {' or '.join(near)}?" if near else ""


def _unforeseen(error: Exception) -> int:
    """An error that nobody foresaw: full disks and missing rights are named, the rest asks for a report."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}", "`tide doctor` looks at space and rights.", FAILED)
    message = f"{type(error).__name__}: {error}"
    return _say(message, "This is a fault of Tidelake. `--debug` shows where; please report it.", FAILED)
