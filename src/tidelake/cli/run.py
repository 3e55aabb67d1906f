"""From the command line's words to an exit code: what went wrong is said in words, where, and what to do next.

Exit codes: 0 done, 1 failed, 2 wrong usage or project, 3 data quality, ledger or invariant, 4 a `--fail-on`
condition met, 5 engines disagree, 75 try again, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from typing import Any

from tidelake.cli.streams import coloured, quiet_stdout, say
from tidelake.errors import TidelakeError

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
    debug = "--debug" in words or bool(os.environ.get("TIDE_DEBUG"))
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader went away (`tide sql ... | head`); it has what it wanted.
        quiet_stdout()
        return 0
    except KeyboardInterrupt:
        return _say("Interrupted.", _NOTHING_LOST, INTERRUPTED)
    except TidelakeError as error:
        if debug:
            raise
        return _say(str(error), error.hint, error.exit_code)
    except Exception as error:
        if debug:
            raise
        if hasattr(error, "format_message"):
            return _wrong_usage(error)
        if type(error).__name__ == "Abort":
            return _say("Interrupted.", _NOTHING_LOST, INTERRUPTED)
        return _unforeseen(error)


def _run(words: list[str]) -> int:
    from tidelake.cli.app import app

    code = app([word for word in words if word != "--debug"], prog_name="tide", standalone_mode=False)
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


def _wrong_usage(error: Any) -> int:
    """An error of the parser (an unknown command or option, a missing or wrong value)."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tide"
    if type(error).__name__ == "NoArgsIsHelpError":
        say(error.format_message())
        return 0 if path == "tide" else WRONG_USAGE
    message = str(error.format_message())
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
    near = get_close_matches(name, known, n=2, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else ""


def _unforeseen(error: Exception) -> int:
    """An error that nobody foresaw: full disks and missing rights are named, the rest asks for a report."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}", "`tide doctor` looks at space and rights.", FAILED)
    message = f"{type(error).__name__}: {error}"
    return _say(message, "This is a fault of Tidelake. `--debug` shows where; please report it.", FAILED)
