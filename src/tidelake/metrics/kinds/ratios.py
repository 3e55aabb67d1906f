"""Means and quantiles over rows that cluster in actors."""

from __future__ import annotations

from collections.abc import Sequence

Z_95 = "1.959963984540054e0"  # two-sided 95 % point of the normal distribution


def mean_sql(rows: str, segments: Sequence[str]) -> str:
    """Mean of `amount` over rows, with a 95 % interval by the delta method of a ratio of per-actor sums."""
    y, x = "sum(CAST(amount AS DECIMAL(28, 9)))", "count(*)"
    return _of_actors(rows, segments, y=y, x=x, n="CAST(denominator AS BIGINT)", where="amount IS NOT NULL")


def ratio_sql(rows: str, segments: Sequence[str], *, actor_counts_once: tuple[bool, bool]) -> str:
    """Sum of `y` over sum of `x`, with a 95 % interval by the delta method; n = actors below the line.

    Args:
        actor_counts_once: Whether an actor counts once in a period above, and below, however many rows it has.
    """
    return _of_actors(rows, segments, **parts_once(actor_counts_once), n="CAST(below AS BIGINT)", where="TRUE")


def parts_once(actor_counts_once: tuple[bool, bool]) -> dict[str, str]:
    """An actor's parts `y` and `x` as aggregates over its rows: the sum, or once for an actor that counts once."""
    chosen = zip("yx", actor_counts_once, strict=True)
    return {name: f"coalesce({'max' if once else 'sum'}({name}), 0)" for name, once in chosen}


def _of_actors(rows: str, segments: Sequence[str], *, y: str, x: str, n: str, where: str) -> str:
    """Ratio of two sums over actors.

    With y and x an actor's parts and R = sum(y) / sum(x), the variance of R is n / (n - 1) * sum((y - R x)^2) /
    sum(x)^2 over the n actors with a part in either; null for one actor.

    Source:
        Deng, Knoblich, Lu: Applying the Delta Method in Metric Analytics, KDD 2018, section 3.
    """
    names = "".join(f", {name}" for name in segments)
    return (
        f"SELECT period_start{names}, value, numerator, denominator, n, "
        f"value - {Z_95} * spread AS ci_low, value + {Z_95} * spread AS ci_high FROM ("
        f"SELECT totals.period_start{names.replace(', ', ', totals.')}, "
        f"safe_divide(numerator, denominator) AS value, numerator, denominator, {n} AS n, "
        "CASE WHEN actors > 1 THEN safe_divide(sqrt(greatest(safe_divide(actors, actors - 1) * "
        "(yy - 2 * safe_divide(numerator, denominator) * xy "
        "+ safe_divide(numerator, denominator) * safe_divide(numerator, denominator) * xx), 0)), denominator) END "
        "AS spread FROM ("
        f"SELECT period_start{names}, CAST(sum(y) AS DOUBLE) AS numerator, CAST(sum(x) AS DOUBLE) AS denominator, "
        "count(*) FILTER (WHERE x <> 0 OR y <> 0) AS actors, count(*) FILTER (WHERE x <> 0) AS below, "
        "sum(CAST(y AS DOUBLE) * CAST(y AS DOUBLE)) AS yy, sum(CAST(y AS DOUBLE) * CAST(x AS DOUBLE)) AS xy, "
        "sum(CAST(x AS DOUBLE) * CAST(x AS DOUBLE)) AS xx FROM ("
        f"{by_actor_sql(rows, segments, y=y, x=x, where=where)}) AS by_actor "
        f"GROUP BY period_start{names}) AS totals) AS spread_out"
    )


def by_actor_sql(rows: str, segments: Sequence[str], *, y: str, x: str, where: str = "TRUE") -> str:
    """Each actor's parts of a ratio, y and x, by period and segment."""
    names = "".join(f", {name}" for name in segments)
    return (
        f"SELECT period_start{names}, actor_id, {y} AS y, {x} AS x FROM ({rows}) AS facts "
        "JOIN temp.metric_days AS days ON days.day = facts.day "
        f"WHERE {where} GROUP BY period_start{names}, actor_id"
    )


def quantile_sql(rows: str, segments: Sequence[str], *, quantile: float) -> str:
    """A quantile of `amount`, linear between the two nearest values (type 7 of Hyndman and Fan)."""
    names = "".join(f", {name}" for name in segments)
    share = f"{quantile}e0"
    partition = f"PARTITION BY period_start{names}"
    return (
        f"SELECT period_start{names}, CAST(low + (high - low) * share AS DOUBLE) AS value, "
        "CAST(NULL AS DOUBLE) AS numerator, CAST(NULL AS DOUBLE) AS denominator, n, "
        "CAST(NULL AS DOUBLE) AS ci_low, CAST(NULL AS DOUBLE) AS ci_high FROM ("
        f"SELECT period_start{names}, max(n) AS n, "
        f"max(CASE WHEN place = floor((n - 1) * {share}) + 1 THEN amount END) AS low, "
        f"max(CASE WHEN place = ceil((n - 1) * {share}) + 1 THEN amount END) AS high, "
        f"max((n - 1) * {share} - floor((n - 1) * {share})) AS share FROM ("
        f"SELECT period_start{names}, CAST(amount AS DOUBLE) AS amount, "
        f"row_number() OVER ({partition} ORDER BY amount) AS place, count(*) OVER ({partition}) AS n "
        f"FROM ({rows}) AS facts JOIN temp.metric_days AS days ON days.day = facts.day "
        f"WHERE amount IS NOT NULL) AS ranked GROUP BY period_start{names}) AS found"
    )
