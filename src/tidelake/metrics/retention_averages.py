"""The average of complete cohorts, period by period: the curve of a retention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tidelake.metrics.intervals import Bounds, wilson
from tidelake.metrics.kinds.retention import SOURCES, Cell


def averages_of(
    rows: Sequence[Mapping[str, Any]],
    cells: Sequence[Cell],
    by: Sequence[str],
    bounds: Mapping[tuple[Any, ...], Bounds] | None,
) -> list[dict[str, Any]]:
    """By source of the cohort, segment and cell: the mean over complete cells, with its set of cohorts.

    Args:
        rows: Those of the cohorts; `_key` = cohort, origin and segments.
        bounds: By origin, segments and cell; None = Wilson's, since every actor counts once.
    """
    groups: dict[tuple[Any, ...], dict[int, list[Mapping[str, Any]]]] = {}
    for row in rows:
        held = groups.setdefault(row["_key"][1:], {}).setdefault(row["period"], [])
        if row["status"] == "complete":
            held.append(row)
    found = []
    for key, by_cell in groups.items():
        before: frozenset[Any] | None = None
        for cell in cells:
            held = by_cell[cell.number]
            behind = frozenset(row["_key"][0] for row in held)
            numerator = sum(row["numerator"] for row in held)
            denominator = sum(row["denominator"] for row in held)
            own = wilson(numerator, denominator) if bounds is None else bounds.get((*key, cell.number), (None, None))
            found.append(
                {
                    "cohort_source": SOURCES[key[0]],
                    **dict(zip(by, key[1:], strict=True)),
                    "period": cell.number,
                    "period_label": cell.label,
                    "pooled": numerator / denominator if denominator else None,
                    "ci_low": own[0],
                    "ci_high": own[1],
                    "simple": sum(row["value"] for row in held) / len(held) if held else None,
                    "numerator": numerator,
                    "denominator": denominator,
                    "cohorts": len(held),
                    "set_changes": before is not None and behind != before,
                }
            )
            before = behind
    return found


def averages_table(averages: Sequence[Mapping[str, Any]], by: Sequence[str]) -> pa.Table:
    """The averages, one row a source of the cohort, segment and cell."""
    shares = ("pooled", "ci_low", "ci_high", "simple")
    schema = pa.schema(
        [
            pa.field("cohort_source", pa.string()),
            *(pa.field(name, pa.string()) for name in by),
            pa.field("period", pa.int64()),
            pa.field("period_label", pa.string()),
            *(pa.field(name, pa.float64(), metadata={"unit": "share"}) for name in shares),
            *(pa.field(name, pa.int64()) for name in ("numerator", "denominator", "cohorts")),
            pa.field("set_changes", pa.bool_()),
        ]
    )
    return pa.Table.from_pylist(list(averages), schema=schema)
