"""What the lake's storage says, as errors that say what to do."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from deltalake.exceptions import CommitFailedError, DeltaError

from tidelake.errors import BusyError, LakeError

_AGAIN = "Run the same command again."
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class OvertakenError(BusyError):
    """Another build committed first."""


@contextmanager
def explained(table: str, place: str) -> Iterator[None]:
    """Turn what the lake's storage says into errors that say what to do."""
    try:
        yield
    except CommitFailedError as error:
        raise overtaken(table) from error
    except OSError as error:
        raise storage_error(error, place) from error
    except DeltaError as error:
        if "already exists at that location" in str(error):  # somebody made the table in between
            raise OvertakenError(f"Another build has just made {table}.", hint=_AGAIN) from error
        raise storage_error(error, place) from error


def overtaken(table: str) -> OvertakenError:
    """What to raise when another build committed to the table first."""
    return OvertakenError(f"Another build has just written to {table}.", hint=_AGAIN)


def storage_error(error: Exception, place: str) -> LakeError:
    """A full disk, missing rights or another fault of the storage, with what to do."""
    text = _words_of(error)
    number = getattr(error, "errno", None)
    if number == errno.ENOSPC or "No space left" in text or "os error 28" in text:
        return LakeError(
            f"The disk is full while writing {place}.",
            hint="Free some space and run the same command again; what was committed stays, nothing is doubled.",
        )
    if number == errno.EROFS or _is_denied(error, text):
        return LakeError(
            f"{place} cannot be written: permission denied.",
            hint="Give this user the right to write there, or choose another lake in tide.yml (`lake:`).",
        )
    return LakeError(f"Writing {place} failed: {text}", hint="Run the same command again; `tide doctor` looks closer.")


def read_error(error: Exception, what: str) -> LakeError:
    """Something that cannot be read, why, and what to do."""
    text = _words_of(error)
    if _is_denied(error, text):
        return LakeError(f"{what} cannot be read: permission denied.", hint="Give this user the right to read it.")
    return LakeError(f"{what} cannot be read: {text}", hint="`tide doctor` checks rights and formats.")


def is_folder(path: str) -> bool:
    """Whether there is a folder; one that may not be looked at is an error, where `os.path.isdir` says no.

    Raises:
        LakeError: It may not be looked at.
    """
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise read_error(error, path) from error


def _words_of(error: Exception) -> str:
    """What was said, on one line: delta-rs colours its words, sets each cause below the last, adds a backtrace."""
    text = _COLOUR.sub("", str(error)).split("\n   0:")[0]
    return ": ".join(part for line in text.splitlines() if (part := line.strip(" ↳")))


def _is_denied(error: Exception, text: str) -> bool:
    number = getattr(error, "errno", None)
    return number in (errno.EACCES, errno.EPERM) or "ermission denied" in text or "os error 13" in text
