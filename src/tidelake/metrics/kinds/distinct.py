"""Distinct actors: a census, so without an interval; sums of it over periods or segments are refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from tidelake.gold.sqltext import date_literal

_BLOCKS = 4  # so many windows' lengths are read at once: more of them would make every row go through more filters

CENSUS = (
    "CAST(value AS DOUBLE) AS numerator, CAST(NULL AS DOUBLE) AS denominator, CAST(value AS BIGINT) AS n, "
    "CAST(NULL AS DOUBLE) AS ci_low, CAST(NULL AS DOUBLE) AS ci_high"
)


def distinct_sql(rows: str, segments: Sequence[str], *, is_counted_once: bool = False) -> str:
    """Distinct actors by period and segment.

    Args:
        rows: SELECT of day, segments and actor_id.
        segments: Columns to cut by.
        is_counted_once: No row stands twice and each date is a period of its own, so counting rows is enough.
    """
    names = "".join(f", {name}" for name in segments)
    value = f"SELECT period_start{names}, CAST(value AS DOUBLE) AS value, {CENSUS} FROM ("
    if is_counted_once:
        return (
            f"{value}SELECT days.period_start{names}, value FROM (SELECT facts.day{names}, count(*) AS value "
            f"FROM ({rows}) AS facts GROUP BY facts.day{names}) AS daily "
            "JOIN temp.metric_days AS days ON days.day = daily.day) AS counted"
        )
    return (
        f"{value}SELECT period_start{names}, count(actor_id) AS value FROM ("
        f"SELECT DISTINCT days.period_start{names}, actor_id FROM ({rows}) AS facts "
        f"JOIN temp.metric_days AS days ON days.day = facts.day) AS once GROUP BY period_start{names}) AS counted"
    )


def rolling_distinct_sql(
    rows: str, segments: Sequence[str], *, window_days: int, spans: Sequence[tuple[date, date]]
) -> str:
    """Distinct actors of the window that ends on a date, for every date of `temp.metric_days`.

    Days are put into blocks as long as the window, so that a window is the end of one block and the beginning of the
    next. An actor is in it whose last day in the one or first day in the other is: with places from 0 in each block,
    an actor is missing from the window that ends on place p while last <= p < first. So first and last day per actor
    and block are enough, and how many actors have which pair of them is added up along the calendar. Exact, without a
    sort of the rows or a self-join.

    Args:
        rows: SELECT of day, segments and actor_id.
        segments: Columns to cut by.
        window_days: Length of the window.
        spans: First and last dates that the rows may have, from the first day of the first window on.
    """
    names = "".join(f"{name}, " for name in segments)
    after = "".join(f", {name}" for name in segments)
    origin = min(first for first, _ in spans) - timedelta(days=1)  # so that no window ends in the first block
    numbers = [((first - origin).days - 1, (last - origin).days) for first, last in spans]
    numbers = [(low // window_days, high // window_days) for low, high in numbers]
    chunks = [
        (at, min(at + _BLOCKS, high))
        for low, high in _joined(numbers)
        for at in range(low, max(high, low + 1), _BLOCKS)
    ]
    parts = [
        _pairs(rows, segments, window_days, origin, low, high, f"actors_{index}")
        for index, (low, high) in enumerate(chunks)
    ]
    held = ", ".join(f"actors_{index} AS ({actors})" for index, (actors, _) in enumerate(parts))
    pairs = " UNION ALL ".join(pairs for _, pairs in parts)
    calendar = (
        f"SELECT {names}days_between({date_literal(origin)}, grid.day) AS place, 0 AS step FROM "
        f"(SELECT DISTINCT {names}1 AS one FROM pairs) AS found CROSS JOIN (SELECT DISTINCT day FROM temp.metric_days) "
        "AS grid"
    )
    begins = f"block * {window_days}"
    return (
        f"WITH {held}, pairs AS ({pairs}), "
        f"steps AS (SELECT {names}{begins} AS place, actors AS step FROM pairs "
        f"UNION ALL SELECT {names}{begins} + before AS place, -actors AS step FROM pairs WHERE before < after "
        f"UNION ALL SELECT {names}{begins} + after AS place, actors AS step FROM pairs "
        f"WHERE before < after AND after < {window_days} UNION ALL {calendar}), "
        f"daily AS (SELECT {names}place, sum(step) AS step FROM steps GROUP BY {names}place), "
        f"running AS (SELECT {names}place, sum(step) OVER (PARTITION BY {names}whole_divide(place, {window_days}) "
        "ORDER BY place ROWS UNBOUNDED PRECEDING) AS value FROM daily) "
        f"SELECT days.period_start{after}, CAST(value AS DOUBLE) AS value, {CENSUS} "
        f"FROM running JOIN temp.metric_days AS days ON days_between({date_literal(origin)}, days.day) = running.place"
    )


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """First and last blocks, with those put together that touch: no block may be counted twice."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found


def _pairs(
    rows: str, segments: Sequence[str], window_days: int, origin: date, low: int, high: int, actors: str
) -> tuple[str, str]:
    """SELECT of the first and last day (`f0`, `l0` ...) per actor and block, and of the pairs (block, before, after).

    The windows of block `low` lie before those that are asked for: it is only there for the ends of others.
    """
    names = "".join(f"{name}, " for name in segments)
    blocks = range(low, high + 1)
    begins = {block: origin + timedelta(days=block * window_days) for block in range(low, high + 2)}
    ends = [f"min(day) FILTER (WHERE block = {block}) AS f{block}" for block in blocks[1:]]
    ends += [f"max(day) FILTER (WHERE block = {block}) AS l{block}" for block in blocks[:-1]]
    which = " ".join(f"WHEN day < {date_literal(begins[block + 1])} THEN {block}" for block in blocks)
    held = (
        f"SELECT {names}{', '.join(ends)} FROM (SELECT {names}actor_id, day, CASE {which} END AS block "
        f"FROM ({rows}) AS facts WHERE day >= {date_literal(begins[low])} AND day < {date_literal(begins[high + 1])}"
        f") AS placed GROUP BY {names}actor_id"
    )
    pairs = [
        f"SELECT {names}{block} AS block, "
        f"coalesce(days_between({date_literal(begins[block - 1])}, l{block - 1}), 0) AS before, "
        f"coalesce(days_between({date_literal(begins[block])}, f{block}), {window_days}) AS after, "
        f"count(*) AS actors FROM {actors} GROUP BY {names}l{block - 1}, f{block}"
        for block in blocks[1:]
    ]
    return held, " UNION ALL ".join(pairs)


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
