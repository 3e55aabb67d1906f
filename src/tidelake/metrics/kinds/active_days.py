"""How many of a window's days each actor was active: the power curve, and with it stickiness for every date."""

from __future__ import annotations

from collections.abc import Sequence


def curve_sql(rows: str, segments: Sequence[str]) -> str:
    """Actors by number of active days (METRICS section 3).

    Args:
        rows: SELECT of distinct `day`, segments and `actor_id` over the window.
    """
    names = "".join(f"{name}, " for name in segments)
    return (
        f"SELECT {names}active_days, count(*) AS actors FROM ({by_actor_sql(rows, segments)}) AS by_actor "
        f"GROUP BY {names}active_days"
    )


def by_actor_sql(rows: str, segments: Sequence[str]) -> str:
    """Each actor's active days, of distinct rows; grain: segment and actor."""
    names = "".join(f"{name}, " for name in segments)
    return f"SELECT {names}actor_id, count(*) AS active_days FROM ({rows}) AS facts GROUP BY {names}actor_id"


def rolling_steps_sql(rows: str, segments: Sequence[str], *, window_days: int) -> str:
    """What each date's active actors bring to the windows that hold the date, and take from them when it leaves.

    Grain: one row a segment and date. `actors_of_day` = active actors of the date (DAU). With L an actor's active days
    in the window that ends on a date: on the date itself the number of actors with L > 0 grows by `came`, the sum of L
    by `actors_of_day`, the sum of L * L by `squares_in`; `window_days` later they shrink by `went`, `actors_of_day` and
    `squares_out`. Added up along the calendar this is the window's sums for every date, from one pass.

    With `held` the actor's active days in the window that ends with the day, L grows from `held` - 1, and L * L by
    2 * `held` - 1; with `next` those in the window that begins with it, L shrinks from `next`.

    Args:
        rows: SELECT of distinct `day`, segments and `actor_id`, from a window before the first date that is asked for.
    """
    names = "".join(f"{name}, " for name in segments)
    window = f"OVER (PARTITION BY {names}actor_id ORDER BY day RANGE BETWEEN"
    span = f"INTERVAL {window_days - 1} DAYS"
    return (
        f"WITH held AS (SELECT {names}day, "
        f"count(*) {window} {span} PRECEDING AND CURRENT ROW) AS held, "
        f"count(*) {window} CURRENT ROW AND {span} FOLLOWING) AS next FROM ({rows}) AS facts) "
        f"SELECT {names}day, count(*) AS actors_of_day, "
        "count(*) FILTER (WHERE held = 1) AS came, CAST(sum(2 * held - 1) AS BIGINT) AS squares_in, "
        "count(*) FILTER (WHERE next = 1) AS went, CAST(sum(2 * next - 1) AS BIGINT) AS squares_out "
        f"FROM held GROUP BY {names}day"
    )
