"""The label of churn: who, having been active, does not come back in the days after a date (METRICS section 6 c)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
from pydantic import Field

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError
from tidelake.gold.dates import Tables
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
from tidelake.metrics.answer import NUMBERS, answer_by_period
from tidelake.metrics.levels import by_level
from tidelake.metrics.periods import dates_between, in_order
from tidelake.metrics.status import Status, worst

NO_DATE = "No date has both windows in the data yet: the prediction window of each is still open."


class ChurnLabel(OfActorDays):
    """y(a, t) = 1 iff actor a, active in the observation window that ends on t, is not active in the days after it.

    Attributes:
        observation_days: Local dates up to and with t in which an actor must have been active to get a label.
        prediction_days: Local dates after t in which no activity makes the label 1.
        every: Days from one t to the next.
    """

    observation_days: int = Field(28, ge=1)
    prediction_days: int = Field(28, ge=1)
    every: int = Field(1, ge=1)


@by_level
def churn_label(
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
    """Share of the actors active in the days up to each date t who are not active in the days after it.

    Args:
        engine: Runs the SELECTs, one a date.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        start: First t; None = the last one alone.
        end: Last t; None = the last one whose prediction window has ended.
        segment_limit: Values of a dimension that get rows of their own.
        options: Those of `ChurnLabel`. A dimension's value is that of the observation window: nothing after t plays a
            part in it; whether the actor comes back is asked of the actor, whatever its value then.

    Returns:
        One row a date t and segment: `numerator` the labels 1 of all `denominator` labels, `value` their quotient with
        Wilson's interval. Null while t + prediction_days has not ended (`open`, `provisional`: nobody has a label yet),
        where a day of the prediction window was not received (`missing`: silence is no label then), and where nobody
        was active. Status: the worst of all days of both windows.

    Raises:
        UnknownNameError: Unknown dimension or rule.
        DefinitionError: A window of no days.
    """
    in_order(start, end)
    asked, days = _opened(engine, lake, project, sources, options)
    ended = last_ended(days.observed)
    last = end or (None if ended is None else ended - timedelta(days=asked.prediction_days))
    if days.observed.first is None or last is None or (end is None and (start or last) > last):
        return _result(days, asked, [], "", [NO_DATE])
    if end is None and last < days.observed.first:
        return _result(days, asked, [], "", [NO_DATE])
    dates = list(dates_between(start or last, last))[:: asked.every]
    limited, notes = days.limited(dates[0] - timedelta(days=asked.observation_days - 1), dates[-1], segment_limit)
    counted = {day: _counted(limited, asked, day) if _is_known(days, asked, day) else None for day in dates}
    occurring = {segment for found in counted.values() for segment in found or ()}
    rows = [
        _row(days, asked, day, segment, None if found is None else found.get(segment, (0, 0)))
        for day, found in counted.items()
        for segment in (sorted(occurring) if days.by else [()])
    ]
    return _result(days, asked, rows, labels_sql(limited, asked, dates[-1]), notes if rows else [NO_DATE])


@by_level
def churn_label_members(
    engine: Engine, lake: Tables, project: Project, sources: Mapping[str, Source], at: date, **options: Any
) -> Result:
    """The actors with a label at a date.

    Args:
        at: The date t.
        options: Those of `ChurnLabel`.

    Returns:
        The dimensions, actor_id, is_in_numerator (the label is 1), is_in_denominator (true).

    Raises:
        DefinitionError: Nobody has a label at this date: its prediction window has not ended, or days of it are
            missing.
    """
    asked, days = _opened(engine, lake, project, sources, options)
    if not _is_known(days, asked, at):
        after = at + timedelta(days=asked.prediction_days)
        raise DefinitionError(
            f"Nobody has a label at {at}: not every day up to {after} has ended and was received.",
            hint="Name an earlier date, or fewer days of prediction.",
        )
    sql = labels_sql(days, asked, at)
    return days.members(
        _result(days, asked, [], sql, []),
        days.gold.query(f"SELECT * FROM ({sql}) AS labels ORDER BY {', '.join([*days.names, 'actor_id'])}"),
        f"Members on {at}: churned, not active in the {asked.prediction_days} days after",
        is_in=lambda row: (row["churned"] == 1, True),
    )


def labels_sql(days: ActorDays, asked: ChurnLabel, at: date) -> str:
    """SELECT of the dimensions, actor_id and churned (1 or 0) of those who were active in the observation window."""
    first, after = at - timedelta(days=asked.observation_days - 1), at + timedelta(days=1)
    seen = f"SELECT DISTINCT {', '.join([*days.names, 'actor_id'])} FROM ({days.rows(first, at)}) AS facts"
    later = days.whole().rows(after, at + timedelta(days=asked.prediction_days))
    names = "".join(f"seen.{name}, " for name in days.names)
    return (
        f"SELECT {names}seen.actor_id, CASE WHEN back.actor_id IS NULL THEN 1 ELSE 0 END AS churned FROM ({seen}) "
        f"AS seen LEFT JOIN (SELECT DISTINCT actor_id FROM ({later}) AS later) AS back ON back.actor_id = seen.actor_id"
    )


def _opened(
    engine: Engine, lake: Tables, project: Project, sources: Mapping[str, Source], options: Mapping[str, Any]
) -> tuple[ChurnLabel, ActorDays]:
    asked = definition_of(ChurnLabel, **options)
    return asked, open_actor_days(engine, lake, project, sources, asked)


def _counted(days: ActorDays, asked: ChurnLabel, at: date) -> dict[Segment, tuple[int, int]]:
    """Labels 1, and all labels, by segment."""
    grouped = f" GROUP BY {', '.join(days.names)}" if days.by else ""
    rows = days.gold.query(
        f"SELECT {''.join(f'{name}, ' for name in days.names)}CAST(sum(churned) AS BIGINT) AS churned, "
        f"count(*) AS labels FROM ({labels_sql(days, asked, at)}) AS labels{grouped}"
    )
    return {of_segment(row, days.names): (row["churned"] or 0, row["labels"]) for row in rows}


def _after(asked: ChurnLabel, at: date) -> list[date]:
    return list(dates_between(at + timedelta(days=1), at + timedelta(days=asked.prediction_days)))


def _is_known(days: ActorDays, asked: ChurnLabel, at: date) -> bool:
    """Whether silence after a date is known: each day after it has ended, was received and has been built."""
    observed, later, ended = days.observed, _after(asked, at), last_ended(days.observed)
    if observed.first is None or ended is None or at < observed.first or later[-1] > ended:
        return False
    behind = observed.is_behind(at - timedelta(days=asked.observation_days - 1), later[-1] + timedelta(days=1))
    return not behind and all(observed.is_received(day) for day in later)


def _status(days: ActorDays, asked: ChurnLabel, at: date) -> Status:
    observed = days.observed
    return worst([observed.of_window(at, asked.observation_days), *map(observed.of_day, _after(asked, at))])


def _row(
    days: ActorDays, asked: ChurnLabel, at: date, segment: Segment, found: tuple[int, int] | None
) -> dict[str, Any]:
    from tidelake.metrics.intervals import wilson  # with numpy

    numbers: dict[str, Any] = dict.fromkeys(NUMBERS)
    if found is not None:
        churned, labels = found
        value = churned / labels if labels else None
        numbers = dict(zip(NUMBERS, (value, churned, labels, labels, *wilson(churned, labels)), strict=True))
    return {
        "period_start": at,
        "grain": "day",
        **dict(zip(days.by, segment, strict=True)),
        "observation_days": asked.observation_days,
        "prediction_days": asked.prediction_days,
        **numbers,
        "status": _status(days, asked, at),
    }


def _result(days: ActorDays, asked: ChurnLabel, rows: list[dict[str, Any]], sql: str, notes: Sequence[str]) -> Result:
    by = f" by {', '.join(days.by)}" if days.by else ""
    return answer_by_period(
        days.gold,
        rows,
        days.by,
        asked,
        before=[pa.field(name, pa.int64()) for name in ("observation_days", "prediction_days")],
        unit="share",
        name="churn_label",
        observed=days.observed,
        sql=sql,
        tables=days.tables if sql else [],
        title=f"Active in {asked.observation_days} days, and not in the {asked.prediction_days} days after{by}",
        notes=notes,
    )
