"""The power-user curve: on how many of the last 28 days each actor was active (L28, L7, L30; METRICS section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
from pydantic import Field, ValidationInfo, field_validator

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
    definition_of,
    last_complete,
    of_segment,
    open_actor_days,
    received_days,
    segment_values,
)
from tidelake.metrics.answer import Answer, answer, number_fields, totals_table, version_of
from tidelake.metrics.intervals import wilson
from tidelake.metrics.kinds.active_days import by_actor_sql, curve_sql
from tidelake.metrics.levels import by_level
from tidelake.metrics.reading import for_reading
from tidelake.metrics.status import Status


class PowerCurve(OfActorDays):
    """What is counted.

    Attributes:
        window_days: Length of the window: 28, 7 or 30, as L28, L7, L30.
        power_days: From so many active days on an actor is a power user; null = three quarters of the window.
    """

    window_days: int = Field(28, gt=0, le=366)
    power_days: int | None = Field(None, gt=0)

    @field_validator("power_days")
    @classmethod
    def _within_window(cls, value: int | None, info: ValidationInfo) -> int | None:
        window = info.data.get("window_days", 0)
        if value is not None and value > window:
            raise ValueError(f"must not be more than the window's {window}")
        return value

    @property
    def power(self) -> int:
        return self.power_days or -(-3 * self.window_days // 4)


@dataclass(frozen=True)
class PowerCurveResult(Answer):
    """One row a number of active days and segment; `definition` says the window and what a power user is.

    Attributes:
        power: One row a segment: actors, power users, their share with its interval, and `stickiness_avg`.
        totals: With dimensions and segment `any`, one row: `total` and `sum_of_segments` of the window's actors, and
            their `overlap`.
    """

    power: pa.Table | None = field(default=None)
    totals: pa.Table | None = field(default=None)

    def for_people(self) -> Result:
        return for_reader(self)


@by_level
def power_curve(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    *,
    at: date | None = None,
    segment_limit: int = SEGMENT_LIMIT,
    **options: Any,
) -> PowerCurveResult:
    """Actors by the number of days on which they were active, of the last 28 complete ones.

    Args:
        engine: Runs the SELECT.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        at: The window's last local date; None = the last complete date.
        segment_limit: Values of a dimension that get rows of their own.
        options: Those of `PowerCurve`.

    Returns:
        One row a segment and `active_days` j from 1 to the window's length. `actors` = those active on exactly j days;
        `value` = share of the window's actors (`denominator`) active on j days or more (`numerator`), from 0 to 1, with
        Wilson's interval. Null where no day of the window was received. `power` has the power users' share.

    Raises:
        UnknownNameError: Unknown dimension or rule.
        DefinitionError: A window of no days.
    """
    definition = definition_of(PowerCurve, **options)
    days, window_days = open_actor_days(engine, lake, project, sources, definition), definition.window_days
    last = _last(days, at)
    if last is None:
        return _result(days, definition, None, "", [], {}, 0, ["The lake holds no events yet."])
    first = last - timedelta(days=window_days - 1)
    limited, said = days.limited(first, last, segment_limit)
    sql = curve_sql(limited.rows(first, last), limited.names)
    found = limited.gold.query(sql)
    curves: dict[Segment, dict[int, int]] = {one: {} for one in segment_values(found, limited.names)}
    for row in found:
        curves[of_segment(row, limited.names)][int(row["active_days"])] = int(row["actors"])
    received = received_days(days.observed, last, window_days)
    rows = [row for one, curve in curves.items() for row in _rows(limited, definition, last, one, curve, received)]
    answered = _result(limited, definition, last, sql, rows, curves, received, said)
    if not days.by or definition.segment != "any":
        return answered
    whole = limited.gold.query(f"SELECT count(DISTINCT actor_id) AS n FROM ({days.whole().rows(first, last)}) AS facts")
    total, summed = int(whole[0]["n"]), sum(sum(curve.values()) for curve in curves.values())
    return replace(answered, totals=totals_table([(first, total, summed) if received else (first, None, None)]))


@by_level
def power_curve_members(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    *,
    at: date | None = None,
    **options: Any,
) -> Result:
    """The actors behind the curve.

    Args:
        engine: Runs the SELECT.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        at: The window's last local date; None = the last complete date.
        options: Those of `PowerCurve`.

    Returns:
        The dimensions, actor_id, active_days, is_in_numerator (a power user), is_in_denominator (true).
    """
    definition = definition_of(PowerCurve, **options)
    days, window_days = open_actor_days(engine, lake, project, sources, definition), definition.window_days
    last = _last(days, at)
    listed = [f"{column} AS s{index}" for index, column in enumerate(days.names)]
    rows, sql = [], ""
    if last is not None:
        sql = by_actor_sql(days.rows(last - timedelta(days=window_days - 1), last), days.names)
        order = ", ".join([*days.names, "actor_id"])
        rows = days.gold.query(
            f"SELECT {', '.join([*listed, 'actor_id', 'active_days'])} FROM ({sql}) AS members ORDER BY {order}"
        )
    return days.members(
        _result(days, definition, last, sql, [], {}, 0, []),
        rows,
        f"Actors of L{window_days}",
        is_in=lambda row: (row["active_days"] >= definition.power, True),
        parts=[pa.field("active_days", pa.int64())],
    )


def for_reader(result: Result) -> Result:
    """The curve for a reader: what its title says is left out, and its share is called by its name."""
    table = result.table.drop_columns(["period_start", "period_end", "window_days", "numerator", "denominator", "n"])
    names = {"value": "this_or_more"}
    table = table.rename_columns([names.get(name, name) for name in table.column_names])
    return for_reading(Result(table, result.sql, result.sources, result.title, result.notes))


def _last(days: ActorDays, at: date | None) -> date | None:
    observed = days.observed
    if observed.first is None or observed.last is None:
        return None
    return at or last_complete(observed, observed.first, observed.last)


def _status(days: ActorDays, last: date, window_days: int) -> Status:
    return days.observed.of_window(last, window_days)


def _rows(
    days: ActorDays, definition: PowerCurve, last: date, segment: Segment, curve: Mapping[int, int], received: int
) -> list[dict[str, Any]]:
    window = definition.window_days
    first = last - timedelta(days=window - 1)
    total = sum(curve.values())
    rows, at_least = [], total
    for number in range(1, window + 1):
        exactly = curve.get(number, 0)
        low, high = wilson(at_least, total)
        numbers: dict[str, Any] = {
            "actors": exactly,
            "value": at_least / total if total else None,
            "numerator": float(at_least),
            "denominator": float(total),
            "n": total,
            "ci_low": low,
            "ci_high": high,
        }
        rows.append(
            {
                "period_start": first,
                "period_end": last,
                "grain": "day",
                "window_days": window,
                **dict(zip(days.by, segment, strict=True)),
                "active_days": number,
                **(numbers if received else dict.fromkeys(numbers)),
                "status": _status(days, last, window),
            }
        )
        at_least -= exactly
    return rows


def _power_row(
    days: ActorDays, definition: PowerCurve, segment: Segment, curve: Mapping[int, int], received: int
) -> dict[str, Any]:
    total = sum(curve.values())
    power = sum(actors for number, actors in curve.items() if number >= definition.power)
    active_days = sum(number * actors for number, actors in curve.items())
    low, high = wilson(power, total)
    is_known = received > 0 and total > 0
    return {
        **dict(zip(days.by, segment, strict=True)),
        "actors": total if received else None,
        "power_users": power if received else None,
        "power_share": power / total if is_known else None,
        "ci_low": low if received else None,
        "ci_high": high if received else None,
        "mean_active_days": active_days / total if is_known else None,
        "stickiness_avg": active_days / received / total if is_known else None,
    }


def _result(
    days: ActorDays,
    definition: PowerCurve,
    last: date | None,
    sql: str,
    rows: list[dict[str, Any]],
    curves: Mapping[Segment, Mapping[int, int]],
    received: int,
    said: Sequence[str],
) -> PowerCurveResult:
    window, power = definition.window_days, definition.power
    summary = [_power_row(days, definition, one, curve, received) for one, curve in curves.items()]
    kinds = dict.fromkeys(("power_share", "ci_low", "ci_high", "mean_active_days", "stickiness_avg"), pa.float64())
    kinds = {"actors": pa.int64(), "power_users": pa.int64()} | kinds
    schema = pa.schema([*((name, pa.string()) for name in days.by), *kinds.items()])
    notes = list(said)
    for row in summary[:10]:
        of = f"{', '.join(str(row[name]) for name in days.by)}: " if days.by else ""
        if row["power_share"] is not None:
            notes.append(
                f"{of}{row['power_share']:.1%} of {row['actors']:,} actors were active on {power} days or more "
                f"({row['ci_low']:.1%} to {row['ci_high']:.1%}); mean {row['mean_active_days']:.2f} days."
            )
    if last is not None and 0 < received < window:
        notes.append(f"Only {received} of the {window} days were received: active days are counted in these.")
    fields = [
        pa.field("period_start", pa.date32()),
        pa.field("period_end", pa.date32()),
        pa.field("grain", pa.string()),
        pa.field("window_days", pa.int64()),
        *(pa.field(name, pa.string()) for name in days.by),
        pa.field("active_days", pa.int64()),
        pa.field("actors", pa.int64()),
        *number_fields("share"),
    ]
    until = f", {window} days to {last}" if last is not None else ""
    plain = answer(
        days.gold,
        rows,
        fields,
        name=f"power_curve_l{window}",
        version=version_of(days.gold, definition),
        observed=days.observed,
        sql=sql,
        tables=days.tables,
        title=f"Power-user curve L{window}{until}" + (f" by {', '.join(days.by)}" if days.by else ""),
        notes=notes,
    )
    table = pa.Table.from_pylist(summary, schema=schema)
    return PowerCurveResult(plain.table, plain.sql, plain.sources, plain.title, plain.notes, table)
