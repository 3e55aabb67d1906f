"""Sums: additive over periods and, where each row has one value, over segments."""

from __future__ import annotations

from collections.abc import Sequence

from tidelake.gold.sqltext import exact_sum


def sum_sql(rows: str, segments: Sequence[str]) -> str:
    """Sum of `amount` by period and segment; n = rows behind it."""
    names = "".join(f", {name}" for name in segments)
    total = exact_sum("amount", "WIDE")
    return (
        f"SELECT days.period_start{names}, {total} AS value, {total} AS numerator, "
        "CAST(NULL AS DOUBLE) AS denominator, "
        "CAST(sum(weight) AS BIGINT) AS n, CAST(NULL AS DOUBLE) AS ci_low, CAST(NULL AS DOUBLE) AS ci_high "
        f"FROM ({rows}) AS facts JOIN temp.metric_days AS days ON days.day = facts.day "
        f"GROUP BY days.period_start{names}"
    )
