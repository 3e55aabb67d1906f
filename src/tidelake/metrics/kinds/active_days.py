"""How many of a window's days each actor was active: the power curve, and with it stickiness for every date."""

from __future__ import annotations

from collections.abc import Sequence

ROLLING = ("actors", "active_days", "squares", "actors_of_day")


def curve_sql(rows: str, segments: Sequence[str]) -> str:
    """Actors by number of active days (METRICS section 3).

    Args:
        rows: SELECT of `day`, segments and `actor_id` over the window.
    """
    names = "".join(f"{name}, " for name in segments)
    return (
        f"SELECT {names}active_days, count(*) AS actors FROM ({by_actor_sql(rows, segments)}) AS by_actor "
        f"GROUP BY {names}active_days"
    )


def by_actor_sql(rows: str, segments: Sequence[str]) -> str:
    """Each actor's active days; grain: segment and actor."""
    names = "".join(f"{name}, " for name in segments)
    return f"SELECT {names}actor_id, count(DISTINCT day) AS active_days FROM ({rows}) AS facts GROUP BY {names}actor_id"


def rolling_steps_sql(rows: str, segments: Sequence[str], *, window_days: int) -> str:
    """What changes from date to date in the window that ends on it; added up along the calendar it is the window's sum.

    An active day enters an actor's window on its date and leaves it `window_days` later. With L the actor's active
    days in the window: `actors` = change of the number with L > 0, `active_days` of the sum of L, `squares` of the
    sum of L * L; `actors_of_day` = actors that are active on the date (no change, but the number itself).
    """
    names = "".join(f"{name}, " for name in segments)
    return (
        f"WITH active AS (SELECT DISTINCT {names}actor_id, day FROM ({rows}) AS facts), "
        f"moves AS (SELECT {names}actor_id, at_day, sum(step) AS step, max(entered) AS entered FROM ("
        f"SELECT {names}actor_id, day AS at_day, 1 AS step, 1 AS entered FROM active "
        f"UNION ALL SELECT {names}actor_id, add_days(day, {window_days}) AS at_day, -1 AS step, 0 AS entered "
        f"FROM active) AS both_ends GROUP BY {names}actor_id, at_day), "
        f"held AS (SELECT {names}at_day, step, entered, sum(step) OVER (PARTITION BY {names}actor_id ORDER BY at_day "
        "ROWS UNBOUNDED PRECEDING) AS now FROM moves) "
        f"SELECT {names}at_day, CAST(sum(CASE WHEN now > 0 AND now = step THEN 1 WHEN now = 0 AND step < 0 THEN -1 "
        "ELSE 0 END) AS BIGINT) AS actors, CAST(sum(step) AS BIGINT) AS active_days, "
        "CAST(sum(step * (2 * now - step)) AS BIGINT) AS squares, CAST(sum(entered) AS BIGINT) AS actors_of_day "
        f"FROM held GROUP BY {names}at_day"
    )
