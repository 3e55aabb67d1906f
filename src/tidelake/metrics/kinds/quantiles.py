"""Quantiles over rows that cluster in actors, and the rows that bound them."""

from __future__ import annotations

from collections.abc import Sequence

PLACES = "temp.metric_places"  # by period and segment: `low_place` and `high_place` of the rows that bound the quantile


def quantile_sql(rows: str, segments: Sequence[str], *, quantile: float) -> str:
    """A quantile of `amount`, linear between the two nearest values (type 7 of Hyndman and Fan).

    Beside it what its interval needs: `actors`, and with x an actor's rows and y those not above the quantile the sums
    over actors of y, y * y, x * y and x * x.

    Args:
        rows: SELECT of `period_start`, the segments, `actor_id` and `amount`.
        segments: Columns that tell the quantiles of a period apart.
        quantile: Which one.
    """
    names = "".join(f", {name}" for name in segments)
    share = f"{quantile}e0"
    same = " AND ".join(f"found.{name} = ranked.{name}" for name in ("period_start", *segments))
    none = "CAST(NULL AS DOUBLE)"
    return (
        f"WITH ranked AS ({_ranked(rows, segments)}), "
        f"found AS (SELECT period_start{names}, n, CAST(low + (high - low) * share AS DOUBLE) AS value FROM ("
        f"SELECT period_start{names}, max(n) AS n, "
        f"max(CASE WHEN place = floor((n - 1) * {share}) + 1 THEN amount END) AS low, "
        f"max(CASE WHEN place = ceil((n - 1) * {share}) + 1 THEN amount END) AS high, "
        f"max((n - 1) * {share} - floor((n - 1) * {share})) AS share "
        f"FROM ranked GROUP BY period_start{names}) AS ends), "
        f"parts AS (SELECT ranked.period_start{names.replace(', ', ', ranked.')}, ranked.actor_id, max(found.n) AS n, "
        "max(found.value) AS value, count(*) AS x, count(*) FILTER (WHERE ranked.amount <= found.value) AS y "
        f"FROM ranked JOIN found ON {same} "
        f"GROUP BY ranked.period_start{names.replace(', ', ', ranked.')}, ranked.actor_id) "
        f"SELECT period_start{names}, max(value) AS value, {none} AS numerator, {none} AS denominator, max(n) AS n, "
        f"{none} AS ci_low, {none} AS ci_high, count(*) AS actors, CAST(sum(y) AS BIGINT) AS below, "
        "CAST(sum(y * y) AS DOUBLE) AS yy, CAST(sum(x * y) AS DOUBLE) AS xy, CAST(sum(x * x) AS DOUBLE) AS xx "
        f"FROM parts GROUP BY period_start{names}"
    )


def bounds_sql(rows: str, segments: Sequence[str]) -> str:
    """The amounts at the places of `temp.metric_places`, by period and segment: `ci_low` and `ci_high`."""
    keys = ", ".join(f"ranked.{name}" for name in ("period_start", *segments))
    same = " AND ".join(f"places.{name} = ranked.{name}" for name in ("period_start", *segments))
    return (
        f"SELECT {keys}, max(CASE WHEN place = low_place THEN amount END) AS ci_low, "
        f"max(CASE WHEN place = high_place THEN amount END) AS ci_high FROM ({_ranked(rows, segments)}) AS ranked "
        f"JOIN {PLACES} AS places ON {same} WHERE place = low_place OR place = high_place GROUP BY {keys}"
    )


def dated(rows: str, segments: Sequence[str]) -> str:
    """Facts with the period of `temp.metric_days` that their day is of."""
    names = "".join(f", {name}" for name in segments)
    return (
        f"SELECT period_start{names}, actor_id, amount FROM ({rows}) AS facts "
        "JOIN temp.metric_days AS days ON days.day = facts.day"
    )


def _ranked(rows: str, segments: Sequence[str]) -> str:
    """The rows with an amount, each with its place among those of its period and segment."""
    names = "".join(f", {name}" for name in segments)
    partition = f"PARTITION BY period_start{names}"
    return (
        f"SELECT period_start{names}, actor_id, CAST(amount AS DOUBLE) AS amount, "
        f"row_number() OVER ({partition} ORDER BY amount) AS place, count(*) OVER ({partition}) AS n "
        f"FROM ({rows}) AS facts WHERE amount IS NOT NULL"
    )
