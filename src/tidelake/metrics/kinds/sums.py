"""Sums: additive over periods and, where each row has one value, over segments."""

from __future__ import annotations

from collections.abc import Sequence

from tidelake.gold.sqltext import EXACT


def sum_sql(rows: str, segments: Sequence[str], *, is_whole: bool) -> str:
    """Sum of `amount` by period and segment; n = rows behind it.

    Fractions are added as decimals, so that the order of rows does not matter.
    """
    kind = "BIGINT" if is_whole else EXACT
    names = "".join(f", {name}" for name in segments)
    return (
        f"SELECT days.period_start{names}, CAST(sum(CAST(amount AS {kind})) AS DOUBLE) AS value, "
        "CAST(sum(CAST(amount AS " + kind + ")) AS DOUBLE) AS numerator, CAST(NULL AS DOUBLE) AS denominator, "
        "CAST(sum(weight) AS BIGINT) AS n, CAST(NULL AS DOUBLE) AS ci_low, CAST(NULL AS DOUBLE) AS ci_high "
        f"FROM ({rows}) AS facts JOIN temp.metric_days AS days ON days.day = facts.day "
        f"GROUP BY days.period_start{names}"
    )
