"""What a lake's storage says, in words that a person can read."""

from __future__ import annotations

from deltalake.exceptions import DeltaError

from tidelake.lake.faults import read_error


def test_colours_lines_and_backtraces_of_a_library_are_left_out() -> None:
    said = (
        "Kernel error -> Generic error\n    \x1b[31m↳\x1b[0m Unable to open x\n"
        "     \x1b[31m↳\x1b[0m broken\n   0: main\n   1: y"
    )
    assert str(read_error(DeltaError(said), "Table a")) == (
        "Table a cannot be read: Kernel error -> Generic error: Unable to open x: broken"
    )


def test_missing_rights_are_said_in_two_words() -> None:
    error = read_error(DeltaError("Kernel error\n \x1b[31m↳\x1b[0m Permission denied (os error 13)\n"), "Table a")
    assert (str(error), error.hint) == (
        "Table a cannot be read: permission denied.",
        "Give this user the right to read it.",
    )
