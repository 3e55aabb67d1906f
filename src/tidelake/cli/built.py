"""Says what a build did: a panel on a terminal, lines elsewhere, a table in the other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidelake.cli.options import FormatName
from tidelake.cli.streams import put


def tell(result: Any, *, title: str, form: FormatName, output: Path | None) -> None:
    """Print what a build did."""
    put(f"{title}: {result} {form} {output}")


def panel(result: Any, *, title: str, seconds: float, lake: str, again: bool) -> None:
    """Print what a demo's build did."""
    put(f"{title}: {result} {seconds} {lake} {again}")
