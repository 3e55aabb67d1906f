"""Distinct actors under one value each: that of their first or last day within the period or window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tidelake.metrics.kinds.distinct import CENSUS

Edge = Literal["first", "last"]


def edge_distinct_sql(rows: str, segments: Sequence[str], *, edge: Edge) -> str:
    """Distinct actors by period and the value of their first, or last, day in it.

    Args:
        rows: SELECT of day, segments and actor_id: one row an actor and day.
        segments: Columns to cut by.
    """
    names = "".join(f", {name}" for name in segments)
    joined = f"FROM ({rows}) AS facts JOIN temp.metric_days AS days ON days.day = facts.day"
    actors = edge_actors_sql(joined, segments, edge=edge)
    return (
        f"SELECT period_start{names}, CAST(value AS DOUBLE) AS value, {CENSUS} FROM ("
        f"SELECT period_start{names}, count(*) AS value FROM ({actors}) AS chosen "
        f"GROUP BY period_start{names}) AS counted"
    )


def edge_actors_sql(joined: str, segments: Sequence[str], *, edge: Edge) -> str:
    """Each actor of a period once, under that value: period_start, segments, actor_id.

    Args:
        joined: FROM and what follows: `facts` beside the `days` that make the periods.
    """
    order = "facts.day" if edge == "first" else "facts.day DESC"
    window = f"OVER (PARTITION BY period_start, actor_id ORDER BY {order})"
    values = "".join(f", first_value({name}) {window} AS {name}" for name in segments)
    return f"SELECT DISTINCT period_start{values}, actor_id {joined}"


def rolling_edge_sql(rows: str, segments: Sequence[str], *, window_days: int, edge: Edge) -> str:
    """Distinct actors of the window that ends on a date, by the value of their first, or last, day in it.

    An actor's day is the last one of the windows that end from it up to the day before the next, and the first one of
    those that no longer hold the day before it; at most `window_days` of them. So every day adds its actor to some
    dates one after the other, which are added up along the calendar.

    Args:
        rows: SELECT of day, segments and actor_id: one row an actor and day.
        segments: Columns to cut by.
        window_days: Length of the window.
    """
    names = "".join(f"{name}, " for name in segments)
    after = "".join(f", {name}" for name in segments)
    by_actor = "OVER (PARTITION BY actor_id ORDER BY day)"
    out = f"add_days(day, {window_days})"
    begins, ends = (
        ("day", f"least({out}, coalesce(lead(day) {by_actor}, {out}))")
        if edge == "last"
        else (f"greatest(day, coalesce(add_days(lag(day) {by_actor}, {window_days}), day))", out)
    )
    return (
        f"WITH held AS (SELECT {names}{begins} AS begins, {ends} AS ends FROM ({rows}) AS facts), "
        f"steps AS (SELECT {names}begins AS day, count(*) AS step FROM held WHERE begins < ends GROUP BY {names}begins "
        f"UNION ALL SELECT {names}ends AS day, -count(*) AS step FROM held WHERE begins < ends GROUP BY {names}ends "
        f"UNION ALL SELECT {names}grid.day, 0 AS step FROM (SELECT DISTINCT {names}1 AS one FROM held) AS found "
        "CROSS JOIN (SELECT DISTINCT day FROM temp.metric_days) AS grid), "
        f"daily AS (SELECT {names}day, CAST(sum(step) AS BIGINT) AS step FROM steps GROUP BY {names}day), "
        f"running AS (SELECT {names}day, CAST(sum(step) OVER (PARTITION BY {names.rstrip(', ')} ORDER BY day "
        "ROWS UNBOUNDED PRECEDING) AS BIGINT) AS value FROM daily) "
        f"SELECT days.period_start{after}, CAST(value AS DOUBLE) AS value, {CENSUS} "
        "FROM running JOIN temp.metric_days AS days ON days.day = running.day"
    )
