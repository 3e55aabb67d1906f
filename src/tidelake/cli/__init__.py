"""The `tide` command: parses, calls the Session, prints. Data goes to stdout, all else to stderr."""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    import gc
    import os

    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")  # fresh huge pages are dear on virtual machines
    gc.set_threshold(50_000, 20, 100)  # imports make much and no cycles: looking for some took a tenth of a build
    from tidelake.cli.run import run

    return run(arguments)
