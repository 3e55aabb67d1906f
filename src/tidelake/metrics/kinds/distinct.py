"""Distinct actors: a census, so without an interval; sums of it over periods or segments are refused."""

from __future__ import annotations

from collections.abc import Sequence

CENSUS = (
    "CAST(value AS DOUBLE) AS numerator, CAST(NULL AS DOUBLE) AS denominator, CAST(value AS BIGINT) AS n, "
    "CAST(NULL AS DOUBLE) AS ci_low, CAST(NULL AS DOUBLE) AS ci_high"
)


def distinct_sql(rows: str, segments: Sequence[str]) -> str:
    """Distinct actors by period and segment."""
    names = "".join(f", {name}" for name in segments)
    return (
        f"SELECT period_start{names}, CAST(value AS DOUBLE) AS value, {CENSUS} FROM ("
        f"SELECT days.period_start{names}, count(DISTINCT actor_id) AS value "
        f"FROM ({rows}) AS facts JOIN temp.metric_days AS days ON days.day = facts.day "
        f"GROUP BY days.period_start{names}) AS counted"
    )


def rolling_distinct_sql(rows: str, segments: Sequence[str], *, window_days: int) -> str:
    """Distinct actors of the window that ends on a date, for every date of `temp.metric_days`.

    An actor counts from each active date until the window has passed or the next active date takes over:
    +1 on the date, -1 on the earlier of both, added up along the calendar. Exact, and no self-join.
    """
    names = "".join(f"{name}, " for name in segments)
    after = "".join(f", {name}" for name in segments)
    parts = f"PARTITION BY {', '.join(segments)} " if segments else ""
    calendar = (
        f"SELECT DISTINCT {names}grid.day AS at_day, 0 AS step FROM active CROSS JOIN "
        "(SELECT DISTINCT day FROM temp.metric_days) AS grid"
    )
    return (
        f"WITH active AS (SELECT DISTINCT {names}actor_id, day FROM ({rows}) AS facts), "
        f"spans AS (SELECT {names}day, add_days(day, {window_days}) AS left_day, "
        f"lead(day) OVER (PARTITION BY {names}actor_id ORDER BY day) AS next_day FROM active), "
        f"steps AS (SELECT {names}day AS at_day, 1 AS step FROM spans "
        f"UNION ALL SELECT {names}least(left_day, coalesce(next_day, left_day)) AS at_day, -1 AS step FROM spans "
        f"UNION ALL {calendar}), "
        f"daily AS (SELECT {names}at_day, sum(step) AS step FROM steps GROUP BY {names}at_day), "
        f"running AS (SELECT {names}at_day, sum(step) OVER ({parts}ORDER BY at_day ROWS UNBOUNDED PRECEDING) AS value "
        "FROM daily) "
        f"SELECT days.period_start{after}, CAST(value AS DOUBLE) AS value, {CENSUS} "
        "FROM running JOIN temp.metric_days AS days ON days.day = running.at_day"
    )


def mean_of_days_sql(rows: str, segments: Sequence[str]) -> str:
    """Mean of the daily distinct actors over the dates of `temp.metric_days`; days without any count as 0."""
    names = "".join(f", {name}" for name in segments)
    return (
        f"SELECT found.period_start{names}, safe_divide(total, length_days) AS value, "
        "CAST(total AS DOUBLE) AS numerator, CAST(length_days AS DOUBLE) AS denominator, length_days AS n, "
        "CAST(NULL AS DOUBLE) AS ci_low, CAST(NULL AS DOUBLE) AS ci_high FROM ("
        f"SELECT period_start{names}, sum(daily) AS total FROM ("
        f"SELECT days.period_start, facts.day{names}, count(DISTINCT actor_id) AS daily "
        f"FROM ({rows}) AS facts JOIN temp.metric_days AS days ON days.day = facts.day "
        f"GROUP BY days.period_start, facts.day{names}) AS by_day GROUP BY period_start{names}) AS found "
        "JOIN (SELECT period_start, count(*) AS length_days FROM temp.metric_days GROUP BY period_start) AS lengths "
        "ON lengths.period_start = found.period_start"
    )
