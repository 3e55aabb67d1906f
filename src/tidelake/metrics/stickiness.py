"""Stickiness: how much of a month's actors a day has (METRICS section 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.gold.dates import Tables
from tidelake.metrics.actor_days import (
    SEGMENT_LIMIT,
    ActorDays,
    OfActorDays,
    Segment,
    asked_dates,
    definition_of,
    last_complete,
    of_segment,
    open_actor_days,
    received_days,
    spans,
    window_status,
)
from tidelake.metrics.answer import NUMBERS, Answer, answer_by_period, within_one
from tidelake.metrics.intervals import moments_bounds, wilson
from tidelake.metrics.kinds.active_days import by_actor_sql, rolling_steps_sql
from tidelake.metrics.levels import by_level
from tidelake.metrics.periods import Grain, dates_between

Method = Literal["avg", "day"]
WINDOWS: Mapping[str, int] = {"avg": 28, "day": 30}


class Stickiness(OfActorDays):
    """What is divided.

    Attributes:
        method: `avg`: mean DAU of the window / its distinct actors, whatever the weekday. `day`: DAU / the window's
            distinct actors.
        window_days: Length of the window that ends on the date; null = 28 for `avg`, 30 for `day`.
        grain: day, or week or month: the value of the period's last complete day.
    """

    method: Method = "avg"
    window_days: int | None = Field(None, gt=0, le=366)
    grain: Grain = "day"

    @property
    def window(self) -> int:
        return self.window_days or WINDOWS[self.method]


@dataclass(frozen=True)
class Window:
    """The sums of a window that ends on a date.

    Attributes:
        actors: Distinct actors (MAU).
        active_days: Sum of their active days (the sum of DAU).
        squares: Sum of the squares of their active days.
        actors_of_day: DAU of the date.
    """

    actors: int = 0
    active_days: int = 0
    squares: int = 0
    actors_of_day: int = 0


@dataclass(frozen=True)
class StickinessResult(Answer):
    """One row a period and segment."""


@by_level
def stickiness(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    *,
    start: date | None = None,
    end: date | None = None,
    segment_limit: int = SEGMENT_LIMIT,
    **options: Any,
) -> StickinessResult:
    """Mean DAU of the last 28 days / MAU_28, or DAU / MAU.

    Args:
        engine: Runs the SELECT.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        start: First local date; None = where the data begin.
        end: Last local date; None = where the data end.
        segment_limit: Values of a dimension that get rows of their own.
        options: Those of `Stickiness`; `first` and `last` values are those of the whole question.

    Returns:
        One row a period and segment. `numerator` = mean DAU over the window's received days (`day`: DAU),
        `denominator` = MAU; `value` from 0 to 1, null where MAU is 0. The interval is that of a mean over actors:
        by the delta method (`day`: Wilson's). `metric` is stickiness_avg or stickiness_day.

    Raises:
        UnknownNameError: Unknown method, grain, dimension or rule.
        DefinitionError: A window of no days.
    """
    definition = definition_of(Stickiness, **options)
    days = open_actor_days(engine, lake, project, sources, definition)
    asked = asked_dates(days.observed, start, end)
    if asked is None:
        return _result(days, definition, [], "", ["The lake holds no events for these dates yet."])
    periods = spans(*asked, definition.grain, project.week_start)
    first = periods[0][0] - timedelta(days=definition.window - 1)
    limited, said = days.limited(first, periods[-1][1], segment_limit)
    rows = limited.rows(first, periods[-1][1])
    sql = rolling_steps_sql(rows, limited.names, window_days=definition.window)
    windows = added_up(
        limited.gold.query(sql), limited.names, periods[0][0], periods[-1][1], window_days=definition.window
    )
    found = [
        row
        for span in periods
        for one in sorted(windows) or ([] if limited.by else [()])
        for row in _row(limited, definition, span, one, windows.get(one, {}))
    ]
    if definition.grain != "day":
        said = [*said, f"Of a {definition.grain} it is the value of its last complete day."]
    return _result(limited, definition, found, sql, said)


@by_level
def stickiness_members(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    at: date,
    **options: Any,
) -> Result:
    """The actors behind stickiness of one date.

    Args:
        engine: Runs the SELECT.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        at: The date.
        options: Those of `Stickiness`.

    Returns:
        The dimensions, actor_id, active_days in the window (the actor's part of the numerator, before it is divided
        by the days), is_in_numerator (`day`: active on the date), is_in_denominator (true).
    """
    definition = definition_of(Stickiness, **options)
    days = open_actor_days(engine, lake, project, sources, definition)
    rows = days.rows(at - timedelta(days=definition.window - 1), at)
    sql = by_actor_sql(rows, days.names)
    order = ", ".join([*days.names, "actor_id"])
    found = days.gold.query(f"SELECT * FROM ({sql}) AS members ORDER BY {order}")
    today: set[tuple[Any, ...]] = set()
    if definition.method == "day":
        own = f"SELECT DISTINCT {order} FROM ({days.rows(at, at)}) AS facts"
        if days.rule == "first":  # its value is that of the actor's first date, which `rows` looks up
            own = f"SELECT DISTINCT {order} FROM ({rows}) AS facts WHERE day = DATE '{at.isoformat()}'"
        today = {(*of_segment(row, days.names), row["actor_id"]) for row in days.gold.query(own)}
    return days.members(
        _result(days, definition, [], sql, []),
        found,
        f"Actors of stickiness_{definition.method} on {at}",
        is_in=lambda row: (
            definition.method == "avg" or (*of_segment(row, days.names), row["actor_id"]) in today,
            True,
        ),
        parts=[pa.field("active_days", pa.int64())],
    )


def added_up(
    steps: Sequence[Mapping[str, Any]], names: Sequence[str], first: date, last: date, *, window_days: int
) -> dict[Segment, dict[date, Window]]:
    """The windows that end on each date from first to last.

    Args:
        steps: What `rolling_steps_sql` gives, from a window before `first` on.
    """
    by_segment: dict[Segment, dict[date, Mapping[str, Any]]] = {}
    for row in steps:
        by_segment.setdefault(of_segment(row, names), {})[row["day"]] = row
    found: dict[Segment, dict[date, Window]] = {}
    for segment, by_day in by_segment.items():
        actors = active_days = squares = 0
        found[segment] = {}
        for day in dates_between(first - timedelta(days=window_days - 1), last):
            new, old = by_day.get(day, {}), by_day.get(day - timedelta(days=window_days), {})
            of_day = new.get("actors_of_day", 0)
            actors += new.get("came", 0) - old.get("went", 0)
            active_days += of_day - old.get("actors_of_day", 0)
            squares += new.get("squares_in", 0) - old.get("squares_out", 0)
            if day >= first:
                found[segment][day] = Window(actors, active_days, squares, of_day)
    return found


def _row(
    days: ActorDays, definition: Stickiness, span: tuple[date, date], segment: Segment, windows: Mapping[date, Window]
) -> Iterator[dict[str, Any]]:
    day = last_complete(days.observed, *span)
    received = received_days(days.observed, day, definition.window)
    if definition.method == "day" and not days.observed.is_received(day):
        received = 0
    numbers = numbers_of(windows.get(day, Window()), definition.method, received)
    yield {
        "period_start": span[0],
        "grain": definition.grain,
        **dict(zip(days.by, segment, strict=True)),
        **(numbers if received else dict.fromkeys(NUMBERS)),
        "status": window_status(days.observed, day, definition.window, span),
    }


def numbers_of(window: Window, method: Method, received: int) -> dict[str, Any]:
    """The number of a window of which so many days were received."""
    if method == "day":
        top, bounds = float(window.actors_of_day), wilson(window.actors_of_day, window.actors)
    else:
        top = window.active_days / received if received else 0.0
        # Each actor's part is its share of the received days: a mean over actors, that is, of ratios with x = 1.
        squares = window.squares / received / received if received else 0.0
        _, bounds = moments_bounds(window.actors, top, window.actors, squares, top, window.actors)
        bounds = within_one(bounds)
    return {
        "value": top / window.actors if window.actors else None,
        "numerator": top,
        "denominator": float(window.actors),
        "n": window.actors,
        "ci_low": bounds[0],
        "ci_high": bounds[1],
    }


def _result(
    days: ActorDays, definition: Stickiness, rows: list[dict[str, Any]], sql: str, notes: Sequence[str]
) -> StickinessResult:
    words = "Mean DAU of {0} days / MAU_{0}" if definition.method == "avg" else "DAU / MAU_{0}"
    plain = answer_by_period(
        days.gold,
        rows,
        days.by,
        definition,
        unit="share",
        name=f"stickiness_{definition.method}",
        observed=days.observed,
        sql=sql,
        tables=days.tables,
        title=f"Stickiness by {', '.join([definition.grain, *days.by])}",
        notes=[f"{words.format(definition.window)}.", *notes],
    )
    return StickinessResult(plain.table, plain.sql, plain.sources, plain.title, plain.notes)
