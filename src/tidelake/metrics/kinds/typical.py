"""Actors whose usual row lies within bounds: the median of an actor's rows in the period, and whose it is."""

from __future__ import annotations

from collections.abc import Sequence

from tidelake.metrics.kinds.distinct import CENSUS


def typical_sql(
    rows: str, segments: Sequence[str], *, quantile: float, at_least: float | None, below: float | None
) -> str:
    """Number of actors whose quantile of `amount` over their rows of a period lies in [at_least, below)."""
    names = "".join(f", {name}" for name in segments)
    actors = typical_actors_sql(rows, segments, quantile=quantile, at_least=at_least, below=below)
    return (
        f"SELECT period_start{names}, CAST(value AS DOUBLE) AS value, {CENSUS} FROM ("
        f"SELECT period_start{names}, count(*) AS value FROM ({actors}) AS chosen "
        f"GROUP BY period_start{names}) AS counted"
    )


def typical_actors_sql(
    rows: str, segments: Sequence[str], *, quantile: float, at_least: float | None, below: float | None
) -> str:
    """Those actors: one row per period, segment and actor.

    The quantile is linear between the two nearest values (type 7 of Hyndman and Fan).
    """
    names = "".join(f", {name}" for name in segments)
    share, keys = f"{quantile}e0", f"period_start{names}, actor_id"
    bounds = [f"usual >= {at_least}e0"] if at_least is not None else []
    bounds += [f"usual < {below}e0"] if below is not None else []
    return (
        f"SELECT {keys} FROM ("
        f"SELECT {keys}, max(CASE WHEN place = floor((n - 1) * {share}) + 1 THEN amount END) "
        f"+ (max(CASE WHEN place = ceil((n - 1) * {share}) + 1 THEN amount END) "
        f"- max(CASE WHEN place = floor((n - 1) * {share}) + 1 THEN amount END)) "
        f"* max((n - 1) * {share} - floor((n - 1) * {share})) AS usual FROM ("
        f"SELECT {keys}, CAST(amount AS DOUBLE) AS amount, "
        f"row_number() OVER (PARTITION BY {keys} ORDER BY amount) AS place, count(*) OVER (PARTITION BY {keys}) AS n "
        f"FROM ({rows}) AS facts JOIN temp.metric_days AS days ON days.day = facts.day "
        f"WHERE amount IS NOT NULL) AS ranked GROUP BY {keys}) AS usual_rows WHERE {' AND '.join(bounds)}"
    )
