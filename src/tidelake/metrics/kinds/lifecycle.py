"""Growth accounting: the state of each active actor of a period by the periods around it (METRICS section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from tidelake.errors import LedgerError
from tidelake.gold.sqltext import date_literal
from tidelake.metrics.periods import Grain

State = Literal["active", "new", "new_or_existing", "returning", "resurrected", "churned"]
COUNTED = ("active", "new", "new_or_existing", "returning", "resurrected", "leaving")

IS_STATE = {  # each by itself, so that adding them up says whether they are a partition
    "new": "earlier IS NULL AND is_new",
    "new_or_existing": "earlier IS NULL AND NOT is_new",
    "returning": "earlier = before",
    "resurrected": "earlier < before",
}


def period_sql(day: str, grain: Grain, week_start: str) -> str:
    """First date of the period that a date lies in."""
    if grain == "day":
        return day
    return f"week_start({day}, '{week_start}')" if grain == "week" else f"month_start({day})"


def shifted_sql(period: str, grain: Grain, steps: int) -> str:
    """First date of the period so many periods later."""
    if grain == "month":
        return f"add_months({period}, {steps})"
    return f"add_days({period}, {steps * (7 if grain == 'week' else 1)})"


def came_within(first_date: str, history: date) -> str:
    """Condition that a date lies within the history; null counts as before it."""
    return f"coalesce({first_date} >= {date_literal(history)}, FALSE)"


def placed_sql(
    rows: str,
    segments: Sequence[str],
    *,
    grain: Grain,
    week_start: str,
    is_new: str,
    joins: str = "",
) -> str:
    """Every actor's active periods, each with the one before and the one after it.

    Grain: one row per segment, actor and active period. Columns: segments, actor_id, period_start, before (the period
    before it), earlier, later (the actor's periods around it, null for none), is_new (null but in the first).

    Args:
        rows: SELECT of distinct `day`, segments and `actor_id`.
        is_new: Condition over `placed` (with `first_day`, the actor's first active date in its first period) and what
            is joined.
        joins: Joins of one row an actor to `placed`.
    """
    names = "".join(f"{name}, " for name in segments)
    own = "".join(f"placed.{name}, " for name in segments)
    window = f"OVER (PARTITION BY {names}actor_id ORDER BY period_start)"
    period = period_sql("day", grain, week_start)
    grouped = "" if grain == "day" else f" GROUP BY {names}actor_id, {period}"
    first_day = "day" if grain == "day" else "min(day)"
    return (
        f"WITH active AS (SELECT {names}actor_id, {period} AS period_start, {first_day} AS first_day "
        f"FROM ({rows}) AS facts{grouped}), "
        f"placed AS (SELECT {names}actor_id, period_start, first_day, "
        f"{shifted_sql('period_start', grain, -1)} AS before, {shifted_sql('period_start', grain, 1)} AS after, "
        f"lag(period_start) {window} AS earlier, lead(period_start) {window} AS later FROM active) "
        f"SELECT {own}placed.actor_id, placed.period_start, placed.before, placed.after, placed.earlier, placed.later, "
        f"CASE WHEN placed.earlier IS NULL THEN {is_new} END AS is_new FROM placed{joins}"
    )


IS_LEAVING = "(later IS NULL OR later > after)"


def counts_sql(placed: str, segments: Sequence[str]) -> str:
    """Actors by period and state; `leaving` = active in the period and not in the next one."""
    names = "".join(f"{name}, " for name in segments)
    states = "".join(f", count(*) FILTER (WHERE {condition}) AS {state}" for state, condition in IS_STATE.items())
    return (
        f"SELECT {names}period_start, count(*) AS active{states}, count(*) FILTER (WHERE {IS_LEAVING}) AS leaving "
        f"FROM ({placed}) AS states GROUP BY {names}period_start"
    )


def members_sql(placed: str, segments: Sequence[str]) -> str:
    """The actors behind every count: period_start, segments, actor_id, state; the churned under the next period.

    An actor that was active and left is in two rows: with its state, and as `churned` of the period after.
    """
    names = "".join(f"{name}, " for name in segments)
    state = " ".join(f"WHEN {condition} THEN '{name}'" for name, condition in IS_STATE.items())
    return (
        f"WITH states AS ({placed}) "
        f"SELECT period_start, {names}actor_id, CASE {state} END AS state FROM states "
        f"UNION ALL SELECT after AS period_start, {names}actor_id, 'churned' AS state FROM states WHERE {IS_LEAVING}"
    )


@dataclass(frozen=True)
class Counts:
    """Actors of a period and segment. `leaving` = active in it and not in the next one."""

    active: int = 0
    new: int = 0
    new_or_existing: int = 0
    returning: int = 0
    resurrected: int = 0
    leaving: int = 0


def checked(counted: Mapping[date, Counts], periods: Sequence[date], segment: tuple[str, ...] = ()) -> None:
    """Raise where the states of a period do not add up to its actors, or do not lead from the period before to it.

    Args:
        counted: Actors of the periods that have any.
        periods: Every period from the first of the history on.
        segment: Whose actors these are.

    Raises:
        LedgerError: An identity of METRICS section 4 does not hold.
    """
    known = set(periods)
    outside = sorted(period for period in counted if period not in known)
    if outside:
        raise LedgerError(f"Lifecycle: actors were counted in {outside[0]}, which begins no period.")
    earlier = Counts()
    for period in periods:
        now = counted.get(period, Counts())
        where = f"{period}{f' ({chr(44).join(segment)})' if segment else ''}"
        entered = now.new + now.new_or_existing + now.resurrected
        for name, total in (
            ("new + new_or_existing + returning + resurrected", entered + now.returning),
            ("before + new + new_or_existing + resurrected - churned", earlier.active + entered - earlier.leaving),
        ):
            if total != now.active:
                raise LedgerError(
                    f"Lifecycle, {where}: {name} is {total:,}, but {now.active:,} actors were active.",
                    hint="Run `tide check`; where it finds nothing, this is a fault of Tidelake: please report it.",
                )
        earlier = now
