"""Actors without activity for k days, and how long k must be before silence means that they left (METRICS 6 b)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import date_literal
from tidelake.metrics.actor_days import (
    SEGMENT_LIMIT,
    ActorDays,
    OfActorDays,
    Segment,
    definition_of,
    last_ended,
    of_segment,
    open_actor_days,
)
from tidelake.metrics.answer import NUMBERS, answer, number_fields, version_of
from tidelake.metrics.levels import by_level
from tidelake.metrics.periods import dates_between, in_order

REACHED = 0.95


class Inactive(OfActorDays):
    """Which silence counts.

    Attributes:
        k: Days without activity, the date itself included; `auto`: the 95 % point of the Kaplan-Meier curve of the
            gaps between active days.
    """

    k: int | Literal["auto"] = Field(28)


@dataclass(frozen=True)
class Gap:
    """Gaps of one length.

    Attributes:
        days: From an active day to the next, or to the last day that was seen.
        weight: How much they weigh together.
        is_censored: Nobody knows when the next active day comes.
    """

    days: int
    weight: float
    is_censored: bool


def gap_quantile(gaps: Iterable[Gap], share: float = REACHED) -> int | None:
    """The shortest length by which so large a share of gaps has ended, by the weighted Kaplan-Meier curve.

    At each length S is multiplied by 1 - (weight that ends there) / (weight of gaps that are as long or longer);
    gaps that end come before those censored at the same length.

    Returns:
        Days; None where the curve never comes so far.

    Source:
        E. L. Kaplan, P. Meier, JASA 53 (1958), 457-481; with weights: Klein, Moeschberger, Survival Analysis, 4.2.
    """
    ordered = sorted(gaps, key=lambda gap: gap.days)
    at_risk = sum(gap.weight for gap in ordered)
    survival = 1.0
    for _, group in groupby(ordered, key=lambda gap: gap.days):
        held = list(group)
        ended = sum(gap.weight for gap in held if not gap.is_censored)
        if ended:
            survival *= max(0.0, 1 - ended / at_risk)
            if survival <= 1 - share + 1e-9:
                return held[0].days
        at_risk -= sum(gap.weight for gap in held)
    return None


@by_level
def inactive(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    *,
    start: date | None = None,
    end: date | None = None,
    segment_limit: int = SEGMENT_LIMIT,
    **options: Any,
) -> Result:
    """Share of the actors seen until a date that had no activity in the k days that end on it.

    Args:
        engine: Runs the SELECTs.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        start: First local date; None = the last complete one alone.
        end: Last local date; None = the last complete one.
        segment_limit: Values of a dimension that get rows of their own.
        options: Those of `Inactive`; by a dimension, `any` value asks who was ever active there.

    Returns:
        One row a date t and segment: `numerator` actors without activity in (t - k, t], `denominator` all that were
        active on or before t, `value` their quotient with Wilson's interval; null where there is none or a day in
        between was not built. Status as that of a rolling window of k days.

    Raises:
        UnknownNameError: Unknown dimension or rule.
        DefinitionError: k is not positive; or `auto` finds no k, for too few gaps have ended.
    """
    in_order(start, end)
    asked, days, known = _opened(engine, lake, project, sources, **options)
    if known is None:
        return _result(days, asked, [], "", 0, ["The lake holds no complete day of actors yet."])
    last = end or known
    silence, notes = _days(days, asked, known)
    limited, said = days.limited(_history(days), last, segment_limit)
    rows, sql = _counted(limited, silence, start or last, last)
    return _result(days, asked, rows, sql, silence, [*notes, *said])


@by_level
def inactive_members(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    at: date,
    **options: Any,
) -> Result:
    """The actors known on a date: the last active day of each, and whether it is inactive.

    Args:
        engine: Runs the SELECT.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        at: The date.
        options: Those of `Inactive`.

    Returns:
        The dimensions, actor_id, last_active_date, is_in_numerator (inactive), is_in_denominator (true).
    """
    asked, days, known = _opened(engine, lake, project, sources, **options)
    if known is None:
        raise DefinitionError("There are no members: the lake holds no complete day of actors yet.")
    silence, _ = _days(days, asked, known)
    columns = ", ".join([*days.names, "actor_id"])
    sql = (
        f"SELECT {columns}, max(day) AS last_active_date FROM ({days.rows(_history(days), at)}) AS facts "
        f"GROUP BY {columns} ORDER BY {columns}"
    )
    return days.members(
        _result(days, asked, [], sql, silence, []),
        days.gold.query(sql),
        f"Members on {at}: not active for {silence} days",
        is_in=lambda row: (row["last_active_date"] <= at - timedelta(days=silence), True),
        parts=[pa.field("last_active_date", pa.date32())],
    )


def _opened(
    engine: Engine, lake: Tables, project: Project, sources: Mapping[str, Source], **options: Any
) -> tuple[Inactive, ActorDays, date | None]:
    """What is asked, the actors' days, and the last complete date."""
    asked = definition_of(Inactive, **options)
    if asked.k != "auto" and asked.k < 1:
        raise DefinitionError(f"inactive: k is {asked.k}, not a number of days.", hint="The default is 28, or auto.")
    days = open_actor_days(engine, lake, project, sources, asked)
    return asked, days, last_ended(days.observed)


def _history(days: ActorDays) -> date:
    assert days.observed.first is not None
    return days.observed.first


def _days(days: ActorDays, asked: Inactive, known: date) -> tuple[int, list[str]]:
    """k, and what to say of how it was found."""
    if asked.k != "auto":
        return asked.k, []
    found = gap_quantile(gaps(days, known))
    if found is None:
        raise DefinitionError(
            "inactive: too few actors came back for `auto` to find k: the curve of gaps never reaches 95 %.",
            hint="Give k as a number of days.",
        )
    said = f"k = {found} days: 95 % of the gaps between active days have ended by then (Kaplan-Meier, actors equal)."
    return found, [said]


def gaps(days: ActorDays, last: date) -> list[Gap]:
    """Gaps between the active days of each actor up to a date, each actor weighing 1 in all.

    The gap from an actor's last active day to the date is censored.
    """
    by_actor = "PARTITION BY actor_id"
    following = f"lead(day) OVER ({by_actor} ORDER BY day)"
    rows = days.gold.query(
        f"SELECT days, is_censored, parts, count(*) AS gaps FROM (SELECT "
        f"days_between(day, coalesce(next_date, {date_literal(last)})) AS days, "
        "next_date IS NULL AS is_censored, parts FROM ("
        f"SELECT actor_id, day, {following} AS next_date, count(*) OVER ({by_actor}) AS parts "
        f"FROM ({days.whole().rows(_history(days), last)}) AS days) AS following) AS gaps "
        "GROUP BY days, is_censored, parts"
    )
    return [Gap(row["days"], row["gaps"] / row["parts"], row["is_censored"]) for row in rows]


def _counted(days: ActorDays, k: int, first: date, last: date) -> tuple[list[dict[str, Any]], str]:
    """Actors known and active on each date: +1 on an active date, -1 where its k days or the next one end it."""
    names = "".join(f"{name}, " for name in days.names)
    by_actor = f"PARTITION BY {names}actor_id ORDER BY day"
    spans = (
        f"SELECT {names}day, add_days(day, {k}) AS left_date, lead(day) OVER ({by_actor}) AS next_date, "
        f"row_number() OVER ({by_actor}) AS place FROM ({days.rows(_history(days), last)}) AS facts"
    )
    sql = (
        f"WITH spans AS ({spans}) "
        f"SELECT {names}at_date, CAST(sum(known) AS BIGINT) AS known, CAST(sum(active) AS BIGINT) AS active FROM ("
        f"SELECT {names}day AS at_date, CASE WHEN place = 1 THEN 1 ELSE 0 END AS known, 1 AS active FROM spans "
        f"UNION ALL SELECT {names}least(left_date, coalesce(next_date, left_date)) AS at_date, 0 AS known, "
        f"-1 AS active FROM spans) AS steps GROUP BY {names}at_date"
    )
    steps: dict[Segment, dict[date, tuple[int, int]]] = {} if days.by else {(): {}}
    for row in days.gold.query(sql):
        steps.setdefault(of_segment(row, days.names), {})[row["at_date"]] = (row["known"], row["active"])
    rows = []
    for segment, own in sorted(steps.items()):
        known = sum(step[0] for day, step in own.items() if day < first)
        active = sum(step[1] for day, step in own.items() if day < first)
        for day in dates_between(first, last):
            known, active = known + own.get(day, (0, 0))[0], active + own.get(day, (0, 0))[1]
            rows.append(_row(days, day, k, segment, known, active))
    return sorted(rows, key=lambda row: row["period_start"]), sql


def _row(days: ActorDays, day: date, k: int, segment: Segment, known: int, active: int) -> dict[str, Any]:
    from tidelake.metrics.intervals import wilson  # with numpy

    observed = days.observed
    is_built = not observed.behind or day < min(observed.behind)
    is_seen = is_built and known > 0 and observed.last is not None and day <= observed.last
    low, high = wilson(known - active, known)
    numbers = dict(
        zip(NUMBERS, ((known - active) / max(known, 1), known - active, known, known, low, high), strict=True)
    )
    return {
        "period_start": day,
        "grain": "day",
        "k": k,
        **dict(zip(days.by, segment, strict=True)),
        **(numbers if is_seen else dict.fromkeys(NUMBERS)),
        "status": observed.of_window(day, k) if is_built else "open",
    }


def _result(
    days: ActorDays, asked: Inactive, rows: list[dict[str, Any]], sql: str, k: int, notes: Sequence[str]
) -> Result:
    by = f" by {', '.join(days.by)}" if days.by else ""
    return answer(
        days.gold,
        rows,
        [
            pa.field("period_start", pa.date32()),
            pa.field("grain", pa.string()),
            pa.field("k", pa.int64()),
            *(pa.field(name, pa.string()) for name in days.by),
            *number_fields("share"),
        ],
        name=f"inactive_{k}" if k else "inactive",
        version=version_of(days.gold, asked),
        observed=days.observed,
        sql=sql,
        tables=days.tables if sql else [],
        title=(f"Not active for {k} days" if k else "Not active") + by,
        notes=notes,
    )
