"""Actors without activity for k days, and how long k must be before silence means that they left (METRICS 6 b)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from tidelake.config import Project, Settings
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.errors import DefinitionError
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables, dates_behind
from tidelake.gold.sqltext import date_literal
from tidelake.metrics.answer import answer, number_fields, version_of
from tidelake.metrics.periods import dates_between, in_order
from tidelake.metrics.status import Observed, observe

TABLE = "gold.user_day"
REACHED = 0.95


class Inactive(Settings):
    """Which silence counts.

    Attributes:
        k: Days without activity, the date itself included; `auto`: the 95 % point of the Kaplan-Meier curve of the
            gaps between active days.
    """

    name: str = "inactive"
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


@dataclass(frozen=True)
class InactiveResult(Result):
    """One row a date.

    Attributes:
        k: Days without activity that count as inactive; with `auto`, what was found.
    """

    k: int = 0
    _gold: Gold | None = None

    def members(self, at: date) -> Result:
        """The actors known on a date: the last active day of each, and whether it is inactive."""
        if self._gold is None:
            raise DefinitionError("There are no members: the lake holds no rows for this.")
        sql = (
            f"SELECT actor_id, last_active_date, last_active_date <= {date_literal(at - timedelta(days=self.k))} "
            "AS in_numerator, TRUE AS in_denominator FROM (SELECT actor_id, max(activity_date) AS last_active_date "
            f"FROM {TABLE} WHERE is_active AND activity_date <= {date_literal(at)} GROUP BY actor_id) AS known "
            "ORDER BY actor_id"
        )
        title = f"Members on {at}: not active for {self.k} days"
        return Result(self._gold.engine.query(sql), sql=sql, title=title)


def inactive(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Inactive | None = None,
    *,
    start: date | None = None,
    end: date | None = None,
) -> InactiveResult:
    """Share of the actors seen until a date that had no activity in the k days that end on it.

    Args:
        engine: Runs the SELECTs.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        definition: k; None = 28 days.
        start: First local date; None = the last complete one alone.
        end: Last local date; None = the last complete one.

    Returns:
        One row a date t: `numerator` actors without activity in (t - k, t], `denominator` all that were active on or
        before t, `value` their quotient, null where there is none or a day in between was not built. A census of
        actors, so without interval. Status as that of a rolling window of k days.

    Raises:
        DefinitionError: k is not positive; or `auto` finds no k, for too few gaps have ended.
    """
    asked = definition or Inactive()
    if asked.k != "auto" and asked.k < 1:
        raise DefinitionError(f"inactive: k is {asked.k}, not a number of days.", hint="The default is 28, or auto.")
    in_order(start, end)
    gold = open_gold(engine, lake, project, sources)
    observed = observe(gold, [source.name for source in gold.events.sources])
    known = _last_complete(observed)
    if known is None or lake.version(TABLE) is None:
        return _result(gold, asked, observed, [], "", 0, ["The lake holds no complete day of actors yet."])
    last = end or known
    first = start or last
    days, notes = _days(gold, asked, known)
    behind = dates_behind(lake, sources, TABLE)
    rows, sql = _counted(gold, observed, days, first, last, behind)
    return _result(gold, asked, observed, rows, sql, days, notes)


def _last_complete(observed: Observed) -> date | None:
    if observed.first is None or observed.last is None:
        return None
    mark = observed.watermark
    if mark is None:
        return None
    last = (mark - observed.lateness).astimezone(observed.zone).date() - timedelta(days=1)
    return last if last >= observed.first else None


def _days(gold: Gold, asked: Inactive, known: date) -> tuple[int, list[str]]:
    """k, and what to say of how it was found."""
    if asked.k != "auto":
        return asked.k, []
    found = gap_quantile(gaps(gold, known))
    if found is None:
        raise DefinitionError(
            "inactive: too few actors came back for `auto` to find k: the curve of gaps never reaches 95 %.",
            hint="Give k as a number of days.",
        )
    said = f"k = {found} days: 95 % of the gaps between active days have ended by then (Kaplan-Meier, actors equal)."
    return found, [said]


def gaps(gold: Gold, last: date) -> list[Gap]:
    """Gaps between the active days of each actor up to a date, each actor weighing 1 in all.

    The gap from an actor's last active day to the date is censored.
    """
    days = f"SELECT actor_id, activity_date FROM {TABLE} WHERE is_active AND activity_date <= {date_literal(last)}"
    by_actor = "PARTITION BY actor_id"
    following = f"lead(activity_date) OVER ({by_actor} ORDER BY activity_date)"
    rows = gold.query(
        f"SELECT days, is_censored, parts, count(*) AS gaps FROM (SELECT "
        f"days_between(activity_date, coalesce(next_date, {date_literal(last)})) AS days, "
        "next_date IS NULL AS is_censored, parts FROM ("
        f"SELECT actor_id, activity_date, {following} AS next_date, count(*) OVER ({by_actor}) AS parts "
        f"FROM ({days}) AS days) AS following) AS gaps GROUP BY days, is_censored, parts"
    )
    return [Gap(row["days"], row["gaps"] / row["parts"], row["is_censored"]) for row in rows]


def _counted(
    gold: Gold, observed: Observed, k: int, first: date, last: date, behind: set[date] | None
) -> tuple[list[dict[str, Any]], str]:
    """Actors known and active on each date: +1 on an active date, -1 where its k days or the next one end it."""
    sql = (
        "SELECT at_date, CAST(sum(known) AS BIGINT) AS known, CAST(sum(active) AS BIGINT) AS active FROM ("
        "SELECT activity_date AS at_date, CASE WHEN place = 1 THEN 1 ELSE 0 END AS known, 1 AS active FROM spans "
        "UNION ALL SELECT least(left_date, coalesce(next_date, left_date)) AS at_date, 0 AS known, -1 AS active "
        "FROM spans) AS steps GROUP BY at_date"
    )
    spans = (
        f"SELECT activity_date, add_days(activity_date, {k}) AS left_date, "
        "lead(activity_date) OVER (PARTITION BY actor_id ORDER BY activity_date) AS next_date, "
        "row_number() OVER (PARTITION BY actor_id ORDER BY activity_date) AS place "
        f"FROM {TABLE} WHERE is_active AND activity_date <= {date_literal(last)}"
    )
    sql = f"WITH spans AS ({spans}) {sql}"
    steps = {row["at_date"]: row for row in gold.query(sql)}
    rows = []
    known = sum(row["known"] for day, row in steps.items() if day < first)
    active = sum(row["active"] for day, row in steps.items() if day < first)
    for day in dates_between(first, last):
        step = steps.get(day)
        known += step["known"] if step else 0
        active += step["active"] if step else 0
        is_built = behind is not None and not any(one <= day for one in behind)
        is_seen = is_built and known > 0 and observed.last is not None and day <= observed.last
        rows.append(
            {
                "at_date": day,
                "k": k,
                "value": (known - active) / known if is_seen else None,
                "numerator": known - active if is_seen else None,
                "denominator": known if is_seen else None,
                "n": known if is_seen else None,
                "ci_low": None,
                "ci_high": None,
                "status": observed.of_window(day, k) if is_built else "open",
            }
        )
    return rows, sql


def _result(
    gold: Gold,
    asked: Inactive,
    observed: Observed,
    rows: list[dict[str, Any]],
    sql: str,
    k: int,
    notes: list[str],
) -> InactiveResult:
    made = answer(
        gold,
        rows,
        [pa.field("at_date", pa.date32()), pa.field("k", pa.int64()), *number_fields("share")],
        name=f"{asked.name}_{k}" if k else asked.name,
        version=version_of(gold, asked),
        observed=observed,
        sql=sql,
        tables=[TABLE] if rows else [],
        title=f"Not active for {k} days" if k else "Not active",
        notes=notes,
    )
    return InactiveResult(made.table, made.sql, made.sources, made.title, made.notes, k=k, _gold=gold if rows else None)
