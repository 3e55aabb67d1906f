"""Asking a tiny project for metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.gold.tiny import Tiny
from tidelake.metrics.measure import MeasureResult, measure


def ask(tiny: Tiny, metric: str, **options: Any) -> MeasureResult:
    return tiny.ask(measure, metric, **options)


def row_of(tiny: Tiny, metric: str, **options: Any) -> dict[str, Any]:
    """The first row of an answer."""
    return ask(tiny, metric, **options).to_dicts()[0]


def parts_of(tiny: Tiny, metric: str, **options: Any) -> tuple[Any, Any, Any]:
    """Value, numerator and denominator of an answer's first row."""
    row = row_of(tiny, metric, **options)
    return row["value"], row["numerator"], row["denominator"]


def own(tiny: Tiny, name: str, text: str) -> None:
    """Write a metric of the project's own."""
    folder = Path(tiny.project.root) / "metrics"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yml").write_text(text, encoding="utf-8")
