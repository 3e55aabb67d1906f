"""The rows that bound a median or another quantile of rows which cluster in actors (decision 0012)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from tidelake.gold.context import Gold
from tidelake.metrics.intervals import Bounds, quantile_places
from tidelake.metrics.kinds.quantiles import PLACES, bounds_sql, quantile_sql

Query = Callable[[str], list[dict[str, Any]]]


def row_bounds(
    gold: Gold,
    rows: str,
    segments: Sequence[str],
    found: Sequence[Mapping[str, Any]],
    *,
    share: float,
    query: Query | None = None,
) -> dict[tuple[Any, ...], Bounds]:
    """The 95 % bounds of quantiles, by period and segment; None for one that so few rows cannot give.

    Args:
        rows: SELECT of `period_start`, the segments, `actor_id` and `amount`.
        segments: Text columns that tell the quantiles of a period apart.
        found: What `quantile_sql` gives of these rows.
        share: Which quantile; 0.5 is the median.
        query: Runs a SELECT; None = without parameters.
    """
    keys = ("period_start", *segments)
    places = [
        quantile_places(share, row["n"], row["actors"], row["below"], *(row[name] for name in ("yy", "xy", "xx")))
        for row in found
    ]
    columns = {
        name: pa.array([row[name] for row in found], pa.date32() if name == "period_start" else pa.string())
        for name in keys
    }
    columns |= {
        name: pa.array([pair[side] for pair in places], pa.int64())
        for side, name in enumerate(("low_place", "high_place"))
    }
    gold.temp(PLACES.removeprefix("temp."), pa.table(columns))
    bounds = (query or gold.query)(bounds_sql(rows, segments))
    return {tuple(row[key] for key in keys): (row["ci_low"], row["ci_high"]) for row in bounds}


def median_bounds(gold: Gold, rows: str, segments: Sequence[str]) -> dict[tuple[Any, ...], Bounds]:
    """The bounds of the medians of some rows, as `row_bounds` has them."""
    found = gold.query(quantile_sql(rows, segments, quantile=0.5))
    return row_bounds(gold, rows, segments, found, share=0.5) if found else {}


def places_of_actors(actors: int) -> tuple[int | None, int | None]:
    """The places, from 1, of the rows that bound a median where each of so many actors has one row."""
    half = actors / 2
    return quantile_places(0.5, actors, actors, half, half, half, actors) if actors else (None, None)
