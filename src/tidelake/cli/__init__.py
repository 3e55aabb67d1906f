"""The `tide` command: parses, calls the Session, prints. Data goes to stdout, all else to stderr."""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    from tidelake.cli.run import run

    return run(arguments)
