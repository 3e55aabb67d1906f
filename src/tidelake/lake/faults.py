"""What the lake's storage says, as errors that say what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from deltalake.exceptions import CommitFailedError, DeltaError

from tidelake.errors import BusyError, LakeError


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
            raise BusyError(f"Another build has just made {table}.", hint="Run the same command again.") from error
        raise storage_error(error, place) from error


def overtaken(table: str) -> BusyError:
    """What to raise when another build committed to the table first."""
    return BusyError(f"Another build has just written to {table}.", hint="Run the same command again.")


def storage_error(error: Exception, place: str) -> LakeError:
    """A full disk, missing rights or another fault of the storage, with what to do."""
    text = str(error).split("\n   0:")[0]  # delta-rs appends its own backtrace
    number = getattr(error, "errno", None)
    if number == errno.ENOSPC or "No space left" in text or "os error 28" in text:
        return LakeError(
            f"The disk is full while writing {place}.",
            hint="Free some space and run the same command again; what was committed stays, nothing is doubled.",
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS) or "ermission denied" in text or "os error 13" in text:
        return LakeError(
            f"{place} cannot be written: permission denied.",
            hint="Give this user the right to write there, or choose another lake in tide.yml (`lake:`).",
        )
    return LakeError(f"Writing {place} failed: {text}", hint="Run the same command again; `tide doctor` looks closer.")
